//! Sends one request and times its reply.
//!
//! A [`Client`] talks to one address over HTTP/1.1 and keeps idle connections for reuse. Nothing is
//! sent twice: a request that crosses the server's close of an idle connection fails as `closed`.
//! What is read of a reply and when is the business of `client/meter.rs`, which does no IO.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::{
    outcome::{Failure, Outcome},
    request::Request,
};

mod meter;
mod pool;

use meter::Meter;
use pool::{Connection, Pool};

const SESSION: HeaderName = HeaderName::from_static("x-session-id");
const ENDPOINT: &str = "x-warmlane-endpoint";

/// A reply that must be read whole (not streamed, or an error) may be this long.
const WHOLE_LIMIT: usize = 64 << 20;

/// An HTTP/1.1 client of one server.
#[derive(Debug)]
pub struct Client {
    pool: Pool,
    host: HeaderValue,
    limit: Duration,
}

/// What the head said, kept outside the exchange so that a timeout does not lose it.
#[derive(Default)]
struct Head {
    status: Option<u16>,
    endpoint: Option<String>,
}

// === Client ===

impl Client {
    /// A client of the server at `target`. A request may take an hour, as through the router.
    pub fn new(target: SocketAddr) -> Self {
        // The text of a socket address is always a valid header value.
        let host = HeaderValue::try_from(target.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        Self { pool: Pool::new(target), host, limit: Duration::from_secs(3600) }
    }

    /// The same client with another limit on the time from send to the last byte.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sends `request` and reads the reply to its end. Dropping the future closes the connection.
    pub async fn send(&self, request: &Request) -> Outcome {
        self.send_counted(request, &|_| {}).await
    }

    /// The body of `GET path`, which must answer with a 2xx. For metrics pages, health and debug pages.
    pub async fn get(&self, path: &str) -> Result<Vec<u8>, Failure> {
        tokio::time::timeout(self.limit, self.fetch(path))
            .await
            .unwrap_or(Err(Failure::Timeout { limit: self.limit }))
    }

    async fn fetch(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let mut message = http::Request::new(Full::default());
        *message.uri_mut() =
            path.parse().map_err(|_| Failure::Malformed { reason: format!("{path:?} is no path") })?;
        message.headers_mut().insert(header::HOST, self.host.clone());
        let (connection, response) = self.deliver(message).await?;
        let status = response.status();
        let whole = read_whole(response.into_body()).await?;
        self.pool.put(connection);
        if !status.is_success() {
            return Err(Failure::Status { code: status.as_u16(), message: meter::error_text(&whole) });
        }
        Ok(whole)
    }

    /// As [`send`](Self::send), telling `count` of token events as they arrive.
    pub(crate) async fn send_counted(&self, request: &Request, count: &(dyn Fn(u32) + Sync)) -> Outcome {
        let message = self.message(request);
        let mut head = Head::default();
        let sent = Instant::now();
        let mut meter = Meter::new(sent, request.max_tokens);
        let exchange = self.exchange(message, &mut head, &mut meter, count);
        let failure = match tokio::time::timeout(self.limit, exchange).await {
            Ok(result) => result.err(),
            Err(_) => Some(Failure::Timeout { limit: self.limit }),
        };
        Outcome {
            sent_at: Duration::ZERO,
            status: head.status,
            endpoint: head.endpoint,
            ttft: meter.ttft(),
            e2e: sent.elapsed(),
            chunks: meter.chunks(),
            usage: meter.usage(),
            gaps: meter.into_gaps(),
            failure,
        }
    }

    fn message(&self, request: &Request) -> http::Request<Full<Bytes>> {
        let mut message = http::Request::new(Full::new(request.body()));
        *message.method_mut() = Method::POST;
        *message.uri_mut() = http::Uri::from_static(request.path());
        let headers = message.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(session) = request.session.as_deref().and_then(|id| HeaderValue::try_from(id).ok()) {
            headers.insert(SESSION, session);
        }
        for (name, value) in &request.headers {
            headers.append(name, value.clone());
        }
        message
    }

    async fn exchange(
        &self,
        message: http::Request<Full<Bytes>>,
        head: &mut Head,
        meter: &mut Meter,
        count: &(dyn Fn(u32) + Sync),
    ) -> Result<(), Failure> {
        let (connection, response) = self.deliver(message).await?;
        head.status = Some(response.status().as_u16());
        let endpoint = response.headers().get(ENDPOINT).and_then(|value| value.to_str().ok());
        head.endpoint = endpoint.map(str::to_owned);
        let stream = response.headers().get(header::CONTENT_TYPE).is_some_and(is_event_stream);
        let status = response.status();
        let body = response.into_body();
        if status.is_success() && stream {
            read_stream(body, meter, count).await?;
        } else {
            let whole = read_whole(body).await?;
            if !status.is_success() {
                return Err(Failure::Status { code: status.as_u16(), message: meter::error_text(&whole) });
            }
            meter.whole(&whole)?;
        }
        self.pool.put(connection);
        Ok(())
    }

    async fn deliver(
        &self,
        message: http::Request<Full<Bytes>>,
    ) -> Result<(Connection, http::Response<Incoming>), Failure> {
        let mut connection = self.pool.take().await?;
        match connection.send(message).await {
            Ok(response) => Ok((connection, response)),
            Err(error) => Err(Failure::Closed { reason: error.to_string() }),
        }
    }
}

fn is_event_stream(value: &HeaderValue) -> bool {
    value.as_bytes().starts_with(b"text/event-stream")
}

async fn read_stream(
    mut body: Incoming,
    meter: &mut Meter,
    count: &(dyn Fn(u32) + Sync),
) -> Result<(), Failure> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| meter.truncated(error.to_string()))?;
        if let Some(bytes) = frame.data_ref() {
            let before = meter.chunks();
            meter.feed(Instant::now(), bytes)?;
            count(meter.chunks() - before);
        }
    }
    meter.end()
}

async fn read_whole(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Truncated { chunks: 0, reason: error.to_string() })?;
        if let Some(bytes) = frame.data_ref() {
            if whole.len() + bytes.len() > WHOLE_LIMIT {
                return Err(Failure::Malformed { reason: format!("more than {WHOLE_LIMIT} bytes") });
            }
            whole.extend_from_slice(bytes);
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests;
