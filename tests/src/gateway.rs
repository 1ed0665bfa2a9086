//! The gateway's side of the endpoint picker protocol: what Envoy says over one connection, one stream per request.
//!
//! Messages are those of the crate `envoy-types`, not the router's own: what both understand is the protocol.

mod answer;
mod asked;
mod call;
pub mod messages;

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use envoy_types::pb::envoy::{
    extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode,
    service::ext_proc::v3::{ProcessingRequest, ProcessingResponse},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::timeout,
};
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Status;

pub use answer::{Answer, DESTINATION, Immediate, NAMESPACE, Said};
pub use asked::Asked;
pub use call::{Call, Caller, framed};

use crate::{PATIENCE, tls::trusting};

/// Bodies whole, both ways, as gateways are configured for pickers.
pub const FULL_DUPLEX: (BodySendMode, BodySendMode) =
    (BodySendMode::FullDuplexStreamed, BodySendMode::FullDuplexStreamed);
/// Only the request's.
pub const REQUEST_ONLY: (BodySendMode, BodySendMode) = (BodySendMode::FullDuplexStreamed, BodySendMode::None);

/// A connection to a picker, driven on a thread of its own.
pub struct Gateway {
    runtime: Arc<Runtime>,
    caller: Caller,
    ended: oneshot::Receiver<Result<(), h2::Error>>,
}

/// One request's stream. Dropped, it is reset.
pub struct Exchange {
    /// Drives the connection, which outlives its gateway as long as a stream is open.
    runtime: Arc<Runtime>,
    call: Call,
}

// === Gateway ===

impl Gateway {
    /// Connects in the clear.
    ///
    /// # Panics
    /// When nobody listens or HTTP/2 is not spoken.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(async move { tcp(address).await })
    }

    /// Connects with TLS and takes any certificate.
    ///
    /// # Panics
    /// When nobody listens, the handshake fails or HTTP/2 is not chosen in it.
    pub fn connect_tls(address: SocketAddr) -> Self {
        Self::over(async move {
            let name = ServerName::try_from("picker").expect("a name");
            let stream = trusting(&["h2"]).connect(name, tcp(address).await).await.expect("handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 is chosen");
            stream
        })
    }

    fn over<S>(connect: impl Future<Output = S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let (tell, ended) = oneshot::channel();
        let caller = runtime.block_on(async {
            let (caller, connection) = Caller::over(connect.await).await.expect("HTTP/2");
            tokio::spawn(async move {
                // The test may have left.
                let _ = tell.send(connection.await);
            });
            caller
        });
        Self { runtime: Arc::new(runtime), caller, ended }
    }

    /// Opens a stream.
    ///
    /// # Panics
    /// When the connection is closed.
    pub fn open(&self) -> Exchange {
        self.try_open().expect("a stream")
    }

    /// The same on a connection that may be closed.
    ///
    /// # Errors
    /// What the connection says.
    ///
    /// # Panics
    /// When there is no room for a stream for long.
    pub fn try_open(&self) -> Result<Exchange, h2::Error> {
        let open = async { timeout(PATIENCE, self.caller.open()).await };
        let call = self.runtime.block_on(open).expect("room for a stream")?;
        Ok(Exchange { runtime: self.runtime.clone(), call })
    }

    /// Plays a whole request and waits for what decides it: all of its answers, an immediate one, or the stream's end.
    ///
    /// # Panics
    /// When an answer is missing, or one comes that Envoy would not accept.
    pub fn ask(&self, asked: &Asked) -> Answer {
        let mut exchange = self.open();
        let messages = asked.messages();
        messages.into_iter().for_each(|message| exchange.send(&message));
        let mut said = Said::default();
        while !said.is_over() && !asked.is_answered_by(&said) {
            exchange.hear(&mut said, Said::take_request);
        }
        Answer::new(said, exchange)
    }

    /// Waits for the connection's end.
    ///
    /// # Errors
    /// When it does not end well.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(mut self) -> Result<(), h2::Error> {
        drop(self.caller);
        let ended = self.runtime.block_on(async { timeout(PATIENCE, &mut self.ended).await });
        ended.expect("the connection ends").expect("its task ends by itself")
    }
}

// === Exchange ===

impl Exchange {
    /// Sends a message as soon as there is room.
    ///
    /// # Panics
    /// When there is none for long.
    pub fn send(&mut self, message: &ProcessingRequest) {
        self.send_framed(framed(message));
    }

    /// The same with bytes of the test's own, framed.
    ///
    /// # Panics
    /// When there is no room for long.
    pub fn send_framed(&mut self, message: Bytes) {
        let send = self.call.send(message);
        self.runtime.block_on(async { timeout(PATIENCE, send).await }).expect("room for a message");
    }

    /// Says that no more messages follow.
    pub fn half_close(&mut self) {
        self.call.half_close();
    }

    /// Gives the stream up, as Envoy does when its client leaves, and often when all is said.
    pub fn reset(self) {
        self.call.reset();
    }

    /// Plays a whole response: its last chunk ends it, unless trailers do.
    ///
    /// # Panics
    /// When an answer is missing, or one comes that Envoy would not accept.
    pub fn respond(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        chunks: &[&[u8]],
        trailers: bool,
    ) -> Said {
        let (status, has_body) = (status.to_string(), !chunks.is_empty());
        let headers = [&[(":status", status.as_str())][..], headers].concat();
        self.send(&messages::response_headers(&headers, !has_body && !trailers));
        for (number, chunk) in chunks.iter().enumerate() {
            self.send(&messages::response_body(chunk, !trailers && number + 1 == chunks.len()));
        }
        if trailers {
            self.send(&messages::response_trailers());
        }
        let mut said = Said::default();
        let is_done = |said: &Said| match trailers {
            true => said.trailers_answered,
            false => said.headers_answered && (said.body_eos || !has_body),
        };
        while !said.is_over() && !is_done(&said) {
            self.hear(&mut said, Said::take_response);
        }
        said
    }

    fn hear(&mut self, said: &mut Said, take: fn(&mut Said, ProcessingResponse)) {
        match self.next() {
            Some(Ok(answer)) => take(said, answer),
            Some(Err(status)) => said.status = Some(status),
            None => said.status = Some(Status::ok("")),
        }
    }
}

impl Iterator for Exchange {
    type Item = Result<ProcessingResponse, Status>;

    /// The next answer. `None`: the stream ended well; an error: it did not, and nothing follows.
    ///
    /// # Panics
    /// When nothing comes.
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.call.next();
        self.runtime.block_on(async { timeout(PATIENCE, next).await }).expect("an answer")
    }
}

async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    stream
}

#[cfg(test)]
mod tests;
