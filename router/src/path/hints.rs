//! What is said of a request beside it, by headers and metadata that a gateway sets. Clients must not: gateways take these
//! headers off what they send, see `docs/ENVOY.md`.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

use warmlane_picker::{SlotSet, Snapshot};

/// See the module's header.
#[derive(Debug, Default)]
pub struct Hints {
    /// The pool to pick from.
    pub pool: Option<String>,
    /// The name of its objective: how important it is, whatever its model's rule says.
    pub objective: Option<String>,
    /// The model to send instead, whatever its model's rule says.
    pub model: Option<String>,
    /// Where it may go; `None`: everywhere.
    pub offered: Option<Offered>,
}

/// Endpoints that a request may go to, by address.
#[derive(Debug, Default)]
pub struct Offered {
    sockets: HashSet<SocketAddr>,
    /// Given without a port: all ports of theirs.
    hosts: HashSet<IpAddr>,
}

// === Offered ===

impl Offered {
    /// Reads addresses, `ip:port` or `ip`, several in one text separated by commas. What is none is nobody's.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut offered = Self::default();
        for text in texts.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
            if let Ok(socket) = text.parse() {
                offered.sockets.insert(socket);
            } else if let Ok(host) = text.trim_matches(['[', ']']).parse() {
                offered.hosts.insert(host);
            }
        }
        offered
    }

    /// Those in a snapshot.
    pub fn positions(&self, snapshot: &Snapshot) -> SlotSet {
        let mut positions = SlotSet::default();
        for (at, endpoint) in snapshot.endpoints().iter().enumerate() {
            if self.sockets.contains(&endpoint.socket) || self.hosts.contains(&endpoint.socket.ip()) {
                positions.insert(at);
            }
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use warmlane_picker::{Endpoint, Models, Slot};

    use super::*;

    fn offered(texts: &[&str]) -> Vec<usize> {
        let addresses = ["10.0.0.1:8000", "10.0.0.1:8001", "10.0.0.2:8000", "[fd00::1]:8000"];
        let endpoint = |(at, address): (usize, &&str)| {
            let endpoint = Endpoint::ready(Slot(at as u16), address, address.parse().expect("socket"));
            (endpoint, Models::Unknown)
        };
        let snapshot = Snapshot::new(addresses.iter().enumerate().map(endpoint).collect());
        Offered::of(texts.iter().copied()).positions(&snapshot).positions().collect()
    }

    #[test]
    fn a_port_means_that_port_and_none_means_all() {
        assert_eq!(offered(&["10.0.0.1:8000"]), [0]);
        assert_eq!(offered(&["10.0.0.1"]), [0, 1]);
        assert_eq!(offered(&["[fd00::1]:8000"]), [3]);
        assert_eq!(offered(&["fd00::1"]), [3]);
    }

    #[test]
    fn lists_and_texts_with_commas_may_be_mixed() {
        assert_eq!(offered(&["10.0.0.1:8001, 10.0.0.2:8000", "[fd00::1]:8000"]), [1, 2, 3]);
    }

    #[test]
    fn what_is_no_address_offers_nobody() {
        assert_eq!(offered(&[]), [] as [usize; 0]);
        assert_eq!(offered(&["", "pod-a:8000", "10.0.0.9:8000"]), [] as [usize; 0]);
    }
}
