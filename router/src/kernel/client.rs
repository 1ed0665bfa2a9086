//! A client's connection, in the map from which redirects find it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::Lane;

/// See the module's header. Out of the map once dropped.
#[derive(Debug)]
pub struct Client {
    lane: Arc<Lane>,
    cookie: u64,
}

// === Client ===

impl Client {
    pub(super) fn new(lane: Arc<Lane>, cookie: u64) -> Self {
        lane.clients.fetch_add(1, Relaxed);
        Self { lane, cookie }
    }

    pub(super) fn cookie(&self) -> u64 {
        self.cookie
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.lane.forget_client(self.cookie);
        self.lane.clients.fetch_sub(1, Relaxed);
    }
}
