//! Where an endpoint is, and whether that is this node.
//!
//! A pod has an address of its own, so its address alone does not tell. Where both ends of a connection to it were seen in
//! this kernel it is here; where one was looked for and not found it is not, or its address is translated on the way, which
//! is as far for the kernel lane.

use std::net::{Ipv4Addr, SocketAddr};

/// See the module's header.
pub(super) struct Place {
    /// Where to connect.
    pub(super) socket: SocketAddr,
    /// The address is one of this machine's own.
    own_address: bool,
    /// What connections showed.
    seen: Option<bool>,
}

// === Place ===

impl Place {
    /// Of an address, or of a name that is not resolved yet.
    pub(super) fn new(address: &str) -> Self {
        // Port 0 of no address: nothing connects to it, and nothing tries while the endpoint is not ready.
        let socket = address.parse().unwrap_or_else(|_| (Ipv4Addr::UNSPECIFIED, 0).into());
        Self { socket, own_address: false, seen: None }
    }

    /// Its name led there. True where that is news.
    pub(super) fn moved(&mut self, socket: SocketAddr, own_address: bool) -> bool {
        let (before, was) = (self.socket, self.is_local());
        self.seen = self.seen.filter(|_| socket == before);
        (self.socket, self.own_address) = (socket, own_address);
        (self.socket, self.is_local()) != (before, was)
    }

    /// A connection to that address showed whether it is here. True where that is news. One to an earlier address says nothing:
    /// streams may outlast a lookup of the name.
    pub(super) fn seen(&mut self, socket: SocketAddr, local: bool) -> bool {
        let before = self.is_local();
        if socket == self.socket {
            self.seen = Some(local);
        }
        self.is_local() != before
    }

    /// Whether it is on this node.
    pub(super) fn is_local(&self) -> bool {
        self.seen.unwrap_or(self.own_address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connections_show_counts_until_the_address_is_another() {
        let (first, second) = (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 80).into());
        let mut place = Place::new("pod:80");
        assert!(place.moved(first, false) && !place.is_local());
        assert!(place.seen(first, true) && place.is_local());
        assert!(!place.moved(first, false) && place.is_local(), "the name was only looked up again");
        assert!(!place.seen(first, true));
        assert!(place.moved(second, false) && !place.is_local());
        assert!(!place.seen(first, true) && !place.is_local(), "a stream that began before ends");
        assert!(place.moved(second, true) && place.is_local());
        assert!(place.seen(second, false) && !place.is_local(), "its address is translated on the way");
    }
}
