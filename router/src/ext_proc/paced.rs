//! A connection that is read in turns: after so many bytes the streams that they are for come first.
//!
//! A connection's task reads frames for as long as there are any, and only then do streams take theirs. Bodies sent in
//! single bytes make thousands of frames of what one read brings, and the HTTP/2 library closes a connection on which too
//! many small ones wait: all exchanges of an Envoy would end for one of its clients.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a turn: some 3,000 frames at the most, of 8,000 that may wait.
const TURN: usize = 64 * 1024;

/// See the module's header.
pub(super) struct Paced<R> {
    reader: R,
    read: usize,
}

// === Paced ===

impl<R> Paced<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, read: 0 }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Paced<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.read >= TURN {
            self.read = 0;
            // Streams that were woken before run before.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.reader).poll_read(cx, buffer);
        self.read = if polled.is_pending() { 0 } else { self.read + buffer.filled().len() - before };
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{Arc, Mutex},
    };

    use tokio::{io::AsyncReadExt, task::LocalSet};

    use super::*;

    #[tokio::test]
    async fn others_run_after_each_turn() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let (reading, other) = (order.clone(), order.clone());
        let tasks = LocalSet::new();
        tasks.spawn_local(async move {
            let mut reader = Paced::new(&[0; 3 * TURN][..]);
            let mut buffer = vec![0; TURN];
            for turn in 0..3 {
                reader.read_exact(&mut buffer).await.expect("bytes");
                reading.lock().expect("order").push(turn);
            }
        });
        tasks.spawn_local(poll_fn(move |cx| {
            other.lock().expect("order").push(100);
            cx.waker().wake_by_ref();
            if other.lock().expect("order").len() > 4 { Poll::Ready(()) } else { Poll::Pending }
        }));
        tasks.await;
        assert_eq!(order.lock().expect("order")[..5], [0, 100, 1, 100, 2]);
    }
}
