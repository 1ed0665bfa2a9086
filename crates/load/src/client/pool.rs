//! Keep-alive connections to one address.
//!
//! The pool grows to the number of requests that were in flight at once. The last one put back is the
//! first one taken, so that spare connections grow old at the bottom and the server may close them.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle};

use crate::outcome::Failure;

/// Idle connections to one address.
#[derive(Debug)]
pub(super) struct Pool {
    target: SocketAddr,
    idle: Mutex<Vec<Connection>>,
}

/// One connection, its IO driven by a task that ends with it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

// === Pool ===

impl Pool {
    pub(super) fn new(target: SocketAddr) -> Self {
        Self { target, idle: Mutex::new(Vec::new()) }
    }

    /// An idle connection that is still open, else a new one.
    pub(super) async fn take(&self) -> Result<Connection, Failure> {
        loop {
            let idle = self.lock().pop();
            let Some(mut connection) = idle else { return self.dial().await };
            if connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    /// Takes back a connection whose last reply was read to the end.
    pub(super) fn put(&self, connection: Connection) {
        if !connection.sender.is_closed() {
            self.lock().push(connection);
        }
    }

    async fn dial(&self) -> Result<Connection, Failure> {
        let target = self.target;
        let failed = |source| Failure::Connect { target, source };
        let stream = TcpStream::connect(target).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, io) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::Closed { reason: error.to_string() })?;
        // An error of the connection reaches whoever waits on it as the error of that request.
        let driver = tokio::spawn(async move { drop(io.await) });
        Ok(Connection { sender, driver })
    }

    #[cfg(test)]
    pub(super) fn all_closed(&self) -> bool {
        self.lock().iter().all(|connection| connection.sender.is_closed())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Connection ===

impl Connection {
    pub(super) async fn send(
        &mut self,
        message: http::Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, hyper::Error> {
        self.sender.send_request(message).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
