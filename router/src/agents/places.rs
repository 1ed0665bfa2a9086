//! Where endpoints are, as this router finds out by itself: an agent's own way to one may be another.
//!
//! A name is looked up when an agent first tells of it, and again after the agent did not reach it, since it may lead elsewhere by
//! then. What was found holds until something else is. Lookups go on beside each other and are not repeated before [`AGAIN`]: with
//! a name service that does not answer, what the agent tells comes later by one [`LOOKUP`] now and then, not by one for each name.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    time::Duration,
};

use tokio::{net::lookup_host, task::JoinSet, time::timeout};
use warmlane_picker::{Slot, Time};

/// A lookup that takes longer has failed.
const LOOKUP: Duration = Duration::from_secs(2);
/// Between two lookups of one name.
const AGAIN: Time = Time::from_secs(5);

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Slot, Place>);

#[derive(Debug, Default)]
struct Place {
    socket: Option<SocketAddr>,
    /// It may be elsewhere by now.
    in_doubt: bool,
    /// When it was looked up last.
    asked: Option<Time>,
}

// === Places ===

impl Places {
    /// Finds out where those of these endpoints are of which that is not known, or in doubt. What was found, and of which nothing
    /// is known.
    pub(super) async fn find(
        &mut self,
        endpoints: impl IntoIterator<Item = (Slot, &str)>,
        now: Time,
    ) -> BTreeMap<Slot, Option<SocketAddr>> {
        let mut lookups = JoinSet::new();
        for (slot, address) in endpoints {
            let place = self.0.entry(slot).or_default();
            if place.is_due(now) {
                place.asked = Some(now);
                lookups.spawn(look_up(slot, address.to_owned()));
            }
        }
        let mut found = BTreeMap::new();
        while let Some(ended) = lookups.join_next().await {
            let Ok((slot, socket)) = ended else { continue };
            let place = self.0.entry(slot).or_default();
            if socket.is_some() {
                (place.socket, place.in_doubt) = (socket, false);
            }
            if socket.is_some() || place.socket.is_none() {
                found.insert(slot, socket);
            }
        }
        found
    }

    /// Whether it is known where an endpoint is.
    pub(super) fn knows(&self, slot: Slot) -> bool {
        self.0.get(&slot).is_some_and(|place| place.socket.is_some())
    }

    /// Keeps what is known of these endpoints, and of no others.
    pub(super) fn keep(&mut self, is_there: impl Fn(Slot) -> bool) {
        self.0.retain(|slot, _| is_there(*slot));
    }

    /// Its agent did not reach it there.
    pub(super) fn doubt(&mut self, slot: Slot) {
        self.0.entry(slot).or_default().in_doubt = true;
    }

    /// Nobody has told of them for a while.
    pub(super) fn doubt_all(&mut self) {
        self.0.values_mut().for_each(|place| place.in_doubt = true);
    }
}

async fn look_up(slot: Slot, address: String) -> (Slot, Option<SocketAddr>) {
    let found = timeout(LOOKUP, lookup_host(address)).await;
    (slot, found.ok().and_then(Result::ok).and_then(|mut all| all.next()))
}

// === Place ===

impl Place {
    fn is_due(&self, now: Time) -> bool {
        let is_wanted = self.socket.is_none() || self.in_doubt;
        is_wanted && self.asked.is_none_or(|asked| now.saturating_sub(asked) >= AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: &str = "nowhere.invalid:8000";

    fn secs(s: u64) -> Time {
        Time::from_secs(s)
    }

    #[tokio::test]
    async fn a_place_is_looked_up_once_and_again_when_it_is_in_doubt() {
        let (mut places, slot) = (Places::default(), Slot(3));
        assert!(!places.knows(slot));
        let here = places.find([(slot, "127.0.0.1:8000")], secs(1)).await;
        assert_eq!(here[&slot], Some(([127, 0, 0, 1], 8000).into()));
        assert!(places.knows(slot) && places.find([(slot, NOWHERE)], secs(9)).await.is_empty());
        places.doubt(slot);
        let moved = places.find([(slot, "127.0.0.2:8000")], secs(9)).await;
        assert_eq!(moved[&slot], Some(([127, 0, 0, 2], 8000).into()));
        assert!(places.find([(slot, NOWHERE)], secs(99)).await.is_empty(), "no doubt any more");
    }

    #[tokio::test]
    async fn what_was_found_holds_until_something_else_is() {
        let (mut places, slot) = (Places::default(), Slot(3));
        places.find([(slot, "127.0.0.1:8000")], secs(1)).await;
        places.doubt(slot);
        assert!(places.find([(slot, NOWHERE)], secs(9)).await.is_empty() && places.knows(slot));
        assert!(places.find([(slot, "127.0.0.2:8000")], secs(10)).await.is_empty(), "not at once");
        assert_eq!(places.find([(slot, "127.0.0.2:8000")], secs(14)).await.len(), 1);
    }

    #[tokio::test]
    async fn a_name_that_leads_nowhere_is_asked_for_now_and_then() {
        let (mut places, slot) = (Places::default(), Slot(3));
        assert_eq!(places.find([(slot, NOWHERE)], secs(1)).await[&slot], None);
        assert!(places.find([(slot, NOWHERE)], secs(5)).await.is_empty() && !places.knows(slot));
        assert_eq!(places.find([(slot, NOWHERE)], secs(6)).await.len(), 1);
        places.find([(slot, "127.0.0.1:8000")], secs(11)).await;
        places.doubt_all();
        assert_eq!(places.find([(slot, "127.0.0.2:8000")], secs(16)).await.len(), 1);
    }
}
