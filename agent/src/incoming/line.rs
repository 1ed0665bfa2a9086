//! A router's connection, and what ends it from this side: that nobody follows over it, or that nothing written gets on.
//!
//! Neither can be left to others. HTTP/2 waits for its first byte as long as it takes; its pings tell who is gone, but what it
//! does then is to write a farewell; and a kernel keeps what it cannot send for a quarter of an hour, or for ever where the other
//! side is there and takes nothing.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};
use tonic::transport::server::Connected;

/// A connection that is let in must be followed over within this time.
pub(super) const OPENING: Duration = Duration::from_secs(5);
/// A write that gets no byte further for this long is given up.
const STUCK: Duration = Duration::from_secs(10);

/// See the module's header.
pub(crate) struct Line<T> {
    transport: T,
    followed: Followed,
    /// Runs out where nobody follows.
    opening: Option<Pin<Box<Sleep>>>,
    /// Runs out where nothing gets on.
    stuck: Option<Pin<Box<Sleep>>>,
    _seat: OwnedSemaphorePermit,
}

/// Whether somebody follows over a connection, which its service says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Followed(Arc<AtomicBool>);

// === Followed ===

impl Followed {
    pub(crate) fn begin(&self) {
        self.0.store(true, Relaxed);
    }
}

// === Line ===

impl<T> Line<T> {
    pub(super) fn new(transport: T, seat: OwnedSemaphorePermit) -> Self {
        let opening = Some(Box::pin(sleep(OPENING)));
        Self { transport, followed: Followed::default(), opening, stuck: None, _seat: seat }
    }

    fn wait_for_follower(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(opening) = &mut self.opening else { return Ok(()) };
        if self.followed.0.load(Relaxed) {
            self.opening = None;
        } else if opening.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody follows over it"));
        }
        Ok(())
    }

    /// Gives up what has been waiting for too long.
    fn gets_on<O>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<O>>) -> Poll<io::Result<O>> {
        if outcome.is_ready() {
            self.stuck = None;
            return outcome;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(STUCK)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing")))
    }
}

impl<T> Connected for Line<T> {
    type ConnectInfo = Followed;

    fn connect_info(&self) -> Followed {
        self.followed.clone()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Line<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wait_for_follower(cx)?;
        Pin::new(&mut self.transport).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Line<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.transport).poll_write(cx, bytes);
        self.gets_on(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.transport).poll_write_vectored(cx, parts);
        self.gets_on(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.transport).poll_flush(cx);
        self.gets_on(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.transport).poll_shutdown(cx);
        self.gets_on(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        sync::Semaphore,
        time::{Instant, timeout},
    };

    use super::*;

    /// One that takes so many bytes before somebody reads, and its other side.
    fn line(takes: usize) -> (Line<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(takes);
        let seat = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a seat");
        (Line::new(near, seat), far)
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_nobody_follows_over_ends_whatever_comes_over_it() {
        let (mut line, mut far) = line(64);
        let began = Instant::now();
        let sending = tokio::spawn(async move { while far.write_all(b"ping").await.is_ok() {} });
        let ended = loop {
            match line.read(&mut [0; 4]).await {
                Ok(_) => sleep(Duration::from_millis(100)).await,
                Err(error) => break error,
            }
        };
        assert_eq!((ended.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, OPENING.as_secs()));
        sending.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_followed_over_may_say_nothing_for_ever() {
        let (mut line, _far) = line(64);
        line.connect_info().begin();
        assert!(timeout(OPENING * 100, line.read(&mut [0; 4])).await.is_err(), "it waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_does_not_get_on_is_given_up_and_a_slow_one_is_not() {
        let (mut line, mut far) = line(64);
        let slow = tokio::spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..4 {
                sleep(STUCK - Duration::from_secs(1)).await;
                taken.resize(64, 0);
                far.read_exact(&mut taken).await.expect("it is sent");
            }
            far
        });
        line.write_all(&[0; 5 * 64]).await.expect("it gets on");
        let _far = slow.await.expect("read");
        let began = Instant::now();
        let error = line.write_all(&[0; 5 * 64]).await.expect_err("nobody reads");
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, STUCK.as_secs()));
    }
}
