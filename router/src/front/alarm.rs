//! One timer for everything that a client connection waits for, one thing after the other.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Where an alarm stands at first: most of what is waited for is nearer or comes before.
const FAR: Duration = Duration::from_secs(60);

/// Setting a timer takes a lock, and nearly all that is waited for comes in time. So an alarm that stands earlier than it
/// need is left there, and set anew when it rings: about once a second, not several times a request.
#[derive(Debug)]
pub struct Alarm(Pin<Box<Sleep>>);

// === Alarm ===

impl Alarm {
    /// Ready once `at` has passed.
    pub fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        if self.0.deadline() > at {
            self.0.as_mut().reset(at);
        }
        loop {
            ready!(self.0.as_mut().poll(cx));
            if self.0.deadline() >= at {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(at);
        }
    }

    /// Resolves once `at` has passed.
    pub async fn at(&mut self, at: Instant) {
        poll_fn(|cx| self.poll_at(cx, at)).await;
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self(Box::pin(sleep(FAR)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_it_should_whatever_was_waited_for_before() {
        let (start, mut alarm) = (Instant::now(), Alarm::default());
        let after = |millis| start + Duration::from_millis(millis);
        for (set, rings) in [(100, 100), (5_000, 5_000), (5_000, 5_000), (4_000, 5_000), (200_000, 200_000)] {
            alarm.at(after(set)).await;
            assert_eq!(Instant::now(), after(rings), "set to {set} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_moment_is_not_missed() {
        let (start, mut alarm) = (Instant::now(), Alarm::default());
        for millis in [50_000_u64, 1_000] {
            let wait = alarm.at(start + Duration::from_millis(millis));
            let _ = tokio::time::timeout(Duration::from_millis(10), wait).await;
        }
        alarm.at(start + Duration::from_secs(1)).await;
        assert_eq!(Instant::now(), start + Duration::from_secs(1));
    }
}
