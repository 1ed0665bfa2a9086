//! What an agent tells of one endpoint, passed on to the writer.

use warmlane_api::node::{self as told, endpoint::Contact};
use warmlane_picker::{Slot, Time};

use super::{super::merge, Follower};
use crate::{
    scrape::is_local,
    world::writer::{Failure, Update},
};

// === Follower ===

impl Follower {
    pub(super) async fn merge(&mut self, slot: Slot, endpoint: told::Endpoint) {
        let now = self.following.world.now();
        let health = merge::health(endpoint.verdict.as_ref());
        let said = self.spoken_for.entry(slot).or_default();
        if said.health != health {
            said.health = health.clone();
            self.send(Update::Gpu { slot, health }).await;
        }
        if let Some(Contact::Unreachable(_)) = endpoint.contact {
            self.places.doubt(slot);
        }
        // What the agent reaches is of no use to a router that does not know where it is.
        if !self.places.knows(slot) {
            return;
        }
        // First what it serves: it is ready with that known, not a moment before.
        if let Some(models) = &endpoint.models {
            self.list(slot, &endpoint.address, models, now).await;
        }
        let sent = |at| self.marks.at(slot, at);
        if let Some(update) = endpoint.contact.and_then(|contact| merge::contact(slot, contact, now, sent)) {
            self.send(update).await;
        }
    }

    async fn list(&mut self, slot: Slot, address: &str, models: &told::ModelList, now: Time) {
        let list = merge::models(slot, models, now);
        let did = std::mem::replace(&mut self.spoken_for.entry(slot).or_default().lists_badly, list.is_err());
        match list {
            Ok(update) => self.send(update).await,
            // Lists come again and again.
            Err(error) if !did => tracing::warn!(endpoint = address, "its agent's list of models: {error}"),
            Err(_) => {}
        }
    }

    pub(super) async fn locate(&mut self, endpoints: &[(Slot, told::Endpoint)]) {
        let addresses = endpoints.iter().map(|(slot, endpoint)| (*slot, endpoint.address.as_str()));
        for (slot, socket) in self.places.find(addresses, self.following.world.now()).await {
            let update = match socket {
                Some(socket) => Update::Resolved { slot, socket, local: is_local(socket.ip()) },
                None => Update::Unreachable { slot, why: Failure::Unresolved },
            };
            self.send(update).await;
        }
    }
}
