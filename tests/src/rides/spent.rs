//! What router, pod and clients have spent.

use std::ops::Sub;

use rustix::thread::gettid;

use super::{pod::Pod, router::Router};
use crate::proxy::cost;

/// Since each of them started. In seconds, but for the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spent {
    pub(super) router: f64,
    pub(super) pod: f64,
    /// All of them are on this thread.
    pub(super) clients: f64,
    pub(super) kernel: f64,
    /// Of the router's threads.
    pub(super) wake_ups: f64,
}

// === Spent ===

impl Spent {
    /// Looked at when a time begins: what takes long to look at comes first.
    pub(super) fn before(router: &Router, pod: &Pod) -> Self {
        let (kernel, wake_ups) = Self::slow(router);
        Self { kernel, wake_ups, ..Self::quick(router, pod) }
    }

    /// Looked at when a time ends: what takes long to look at comes last.
    pub(super) fn after(router: &Router, pod: &Pod) -> Self {
        let quick = Self::quick(router, pod);
        let (kernel, wake_ups) = Self::slow(router);
        Self { kernel, wake_ups, ..quick }
    }

    /// CPU seconds of everybody.
    pub(super) fn all(&self) -> f64 {
        self.router + self.pod + self.clients + self.kernel
    }

    fn quick(router: &Router, pod: &Pod) -> Self {
        Self {
            router: cost::cpu_seconds(router.id()),
            pod: cost::thread_seconds(pod.thread),
            clients: cost::thread_seconds(gettid()),
            kernel: 0.0,
            wake_ups: 0.0,
        }
    }

    fn slow(router: &Router) -> (f64, f64) {
        (cost::kernel_seconds(), cost::wake_ups(router.id()) as f64)
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            router: self.router - before.router,
            pod: self.pod - before.pod,
            clients: self.clients - before.clients,
            // One that has ended takes what it spent with it.
            kernel: (self.kernel - before.kernel).max(0.0),
            wake_ups: self.wake_ups - before.wake_ups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_what_everybody_spent_in_between() {
        let at = |seconds| Spent {
            router: seconds,
            pod: 2.0 * seconds,
            clients: 3.0 * seconds,
            kernel: -seconds,
            wake_ups: seconds,
        };
        let spent = at(3.0) - at(1.0);
        assert_eq!((spent.all(), spent.kernel, spent.wake_ups), (12.0, 0.0, 2.0));
    }
}
