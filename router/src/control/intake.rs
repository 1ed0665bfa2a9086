//! Takes in the connections of a port of the control plane.
//!
//! Bound: so many at once; further ones wait to be accepted.

use std::{future::Future, io, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinSet,
    time::sleep,
};

use crate::seldom::Seldom;

/// Wait after a failed accept: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections come in by.
pub(crate) trait Intake {
    /// A connection.
    type Stream;

    /// The next one.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Serves until it is dropped; its connections end with it. `failed` tells the log now and then why none was accepted, and how often it
/// was not told.
pub(crate) async fn take_in<I: Intake, S: Future<Output = ()> + Send + 'static>(
    intake: I,
    most: usize,
    serve: impl Fn(I::Stream) -> S,
    failed: impl Fn(io::Error, Option<u64>),
) {
    let (mut connections, complaint) = (JoinSet::new(), Seldom::new());
    loop {
        tokio::select! {
            accepted = intake.next(), if connections.len() < most => match accepted {
                Ok(stream) => {
                    connections.spawn(serve(stream));
                }
                Err(error) => {
                    if let Some(not_logged) = complaint.is_due() {
                        failed(error, not_logged);
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

// === Intake ===

impl Intake for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

impl Intake for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}
