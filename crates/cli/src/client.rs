//! Asks one admin port for its pages, over one kept connection.
//!
//! Bounds: time for a connection and an answer, and the size of a page.

use std::time::{Duration, SystemTime, SystemTimeError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, DATE, HOST},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use warmlane_api::admin::{Failure, VERSION_HEADER};

use crate::{
    address::Address,
    clean::clean,
    error::{CliError, Side},
    kube::{KubeError, Wanted},
};

mod connection;
mod way;

use connection::{Connection, cause, is_babble};
use way::Way;

/// Largest page: 10,000 pins are 4 MiB, 16,384 endpoints 15.
const MAX_PAGE_BYTES: usize = 64 << 20;
/// Of a text of the other side that is quoted in a message.
const MAX_QUOTE_CHARS: usize = 500;

/// See the module's header.
#[derive(Debug)]
pub struct Client {
    who: Side,
    address: Address,
    /// The pod that it is the address of, where a port is forwarded.
    way: Option<Way>,
    /// For each page.
    patience: Duration,
    connection: Option<Connection>,
    /// Of the other side, once it has said so.
    version: Option<String>,
    /// This clock less the other side's, in whole seconds, at its last answer with a date.
    ahead_seconds: Option<i64>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// GET, or POST for a question with a body.
    pub method: Method,
    /// With its query.
    pub path: String,
    /// As people call it, where that is not the path.
    pub name: Option<String>,
    /// Beside those of the connection.
    pub headers: HeaderMap,
    /// Empty for most.
    pub body: Bytes,
}

// === Ask ===

impl Ask {
    /// For a page.
    pub fn page(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            name: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}

// === Client ===

impl Client {
    /// One that has not connected yet.
    pub fn new(who: Side, address: Address, patience: Duration) -> Self {
        Self { who, address, way: None, patience, connection: None, version: None, ahead_seconds: None }
    }

    /// One of a pod, to which a port will be forwarded.
    pub fn of_pod(pod: Wanted, patience: Duration) -> Self {
        let address = Address::Tcp(format!("127.0.0.1:{}", pod.port));
        let client = Self::new(pod.who, address, patience);
        Self { way: Some(Way::to(pod)), ..client }
    }

    /// One of another port of the same machine or pod.
    pub fn beside(&self, port: u16) -> Option<Self> {
        match self.pod() {
            Some(pod) => Some(Self::of_pod(Wanted { port, ..pod.clone() }, self.patience)),
            None => Some(Self::new(self.who, self.address.beside(port)?, self.patience)),
        }
    }

    /// Where it asks.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How far this clock is ahead of the other side's, as its last answer told.
    pub fn ahead_seconds(&self) -> Option<i64> {
        self.ahead_seconds
    }

    /// A warning for people where the other side is of another version.
    pub fn warning(&self) -> Option<String> {
        let (ours, theirs) = (env!("CARGO_PKG_VERSION"), self.version.as_deref()?);
        (ours != theirs).then(|| {
            format!(
                "{} is of version {theirs}, this program of {ours}: what only one of them knows is not shown",
                self.who
            )
        })
    }

    /// A page.
    ///
    /// # Errors
    /// When it cannot be had or read.
    pub async fn page<P: DeserializeOwned>(&mut self, path: &str) -> Result<P, CliError> {
        self.answer(&Ask::page(path)).await
    }

    /// The answer to a question.
    ///
    /// # Errors
    /// When it cannot be had or read.
    pub async fn answer<P: DeserializeOwned>(&mut self, ask: &Ask) -> Result<P, CliError> {
        let body = self.bytes(ask).await?;
        serde_json::from_slice(&body).map_err(|source| CliError::Unreadable {
            who: self.who,
            version: self.version.clone().unwrap_or_default(),
            path: ask.path.clone(),
            source,
        })
    }

    /// The same, as it is sent.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn bytes(&mut self, ask: &Ask) -> Result<Bytes, CliError> {
        if let Some(way) = &mut self.way
            && let Some(address) = way.open().await?
        {
            (self.address, self.connection) = (address, None);
        }
        match timeout(self.patience, self.exchange(ask)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => {
                self.connection = None;
                Err(error)
            }
            Err(_) => {
                self.connection = None;
                Err(CliError::Silent { who: self.who, address: self.address.clone(), after: self.patience })
            }
        }
    }

    /// Ends the way to a pod, where there is one. The next question opens another.
    pub(crate) fn close(&mut self) {
        self.connection = None;
        if let Some(way) = &mut self.way {
            way.forward = None;
        }
    }

    /// The pod that is asked, as far as one is named or chosen.
    pub(crate) fn pod(&self) -> Option<&Wanted> {
        self.way.as_ref().map(|way| &way.wanted)
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<Bytes, CliError> {
        let response = self.ask(ask).await?;
        let path = ask.path.as_str();
        let Some(version) = response.headers().get(VERSION_HEADER) else {
            return Err(
                self.foreign(format!("its answer ({}) lacks the header {VERSION_HEADER}", response.status()))
            );
        };
        self.version = Some(quote(&String::from_utf8_lossy(version.as_bytes())));
        self.ahead_seconds = ahead_seconds(&response);
        let status = response.status();
        let body = match Limited::new(response.into_body(), MAX_PAGE_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(CliError::Large { who: self.who, path: path.to_owned(), limit: MAX_PAGE_BYTES });
            }
            Err(error) => return Err(self.broken(error.to_string())),
        };
        if status == StatusCode::OK { Ok(body) } else { Err(self.refused(ask, status, &body)) }
    }

    /// The head of an answer. A connection that was closed while it was idle is replaced, once.
    async fn ask(&mut self, ask: &Ask) -> Result<Response<Incoming>, CliError> {
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            match connection.sender.send_request(self.request(ask)?).await {
                Ok(response) => {
                    connection.used = true;
                    self.connection = Some(connection);
                    return Ok(response);
                }
                // Asking twice does no harm.
                Err(_) if connection.used => {}
                Err(error) if is_babble(&error) => {
                    return Err(self.foreign("it does not speak HTTP/1.1".to_owned()));
                }
                Err(error) => return Err(self.broken(cause(&error))),
            }
        }
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, CliError> {
        let host = match &self.address {
            Address::Tcp(address) => address,
            // Nobody asks there whose it is.
            Address::Unix(_) => "localhost",
        };
        let request = Request::builder().method(&ask.method).uri(&ask.path).header(HOST, host);
        let mut request =
            request.body(Full::new(ask.body.clone())).map_err(|error| self.broken(error.to_string()))?;
        request.headers_mut().extend(ask.headers.clone());
        Ok(request)
    }

    async fn connect(&self) -> Result<Connection, CliError> {
        let unreachable = |source| match self.way.as_ref().and_then(|way| way.forward.as_ref()) {
            Some(forward) => KubeError::Lost { pod: forward.pod.clone() }.into(),
            None => CliError::Unreachable { who: self.who, address: self.address.clone(), source },
        };
        Connection::to(&self.address).await.map_err(unreachable)
    }

    fn refused(&self, ask: &Ask, status: StatusCode, body: &[u8]) -> CliError {
        let (who, address, path) = (self.who, self.address.clone(), ask.path.clone());
        let failure = serde_json::from_slice::<Failure>(body).ok().map(|failure| failure.error);
        // A page that is there says what it has not got; of one that is not, the other side lists what is.
        let is_page = failure.as_ref().is_some_and(|problem| problem.paths.is_empty());
        if status == StatusCode::NOT_FOUND && !is_page {
            let paths = failure.map(|problem| problem.paths).unwrap_or_default();
            let paths = paths.iter().map(|path| quote(path)).collect();
            return CliError::Missing {
                who,
                address,
                version: self.version.clone().unwrap_or_default(),
                path,
                paths,
            };
        }
        let message = failure.map(|problem| problem.message);
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        // Part of a name is what the user wrote.
        let asked = ask.name.as_deref().map_or(path, quote);
        let (status, showed_token) = (status.as_u16(), ask.headers.contains_key(AUTHORIZATION));
        CliError::Refused { who, address, asked, status, showed_token, message: quote(message.trim()) }
    }

    fn foreign(&self, what: String) -> CliError {
        CliError::Foreign { who: self.who, address: self.address.clone(), what }
    }

    fn broken(&self, what: String) -> CliError {
        CliError::Broken { who: self.who, address: self.address.clone(), what }
    }
}

/// This clock less that of who answered.
fn ahead_seconds(response: &Response<Incoming>) -> Option<i64> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    let theirs = httpdate::parse_http_date(date).ok()?;
    #[expect(clippy::disallowed_methods, reason = "wall clocks are what is compared")]
    let ours = SystemTime::now();
    let seconds = |time: Result<Duration, SystemTimeError>| match time {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    };
    Some(seconds(ours.duration_since(theirs)))
}

/// A text of the other side for a message: harmless, and not too much of it.
fn quote(text: &str) -> String {
    let short: String = text.chars().take(MAX_QUOTE_CHARS).collect();
    clean(&short).into_owned()
}
