//! Listeners: the filter, off, before the last one of each HTTP filter chain, which is the router; and no client says where its
//! request goes.
//!
//! The header of the destination is taken off before anything else looks at a request: without a picker a cluster would go wherever
//! it says, and that may be any address that the gateway reaches.

use std::collections::HashSet;

use bytes::Bytes;

use super::{ExtensionError, envoy, filter, wire::Message};
use crate::ext_proc::names::DESTINATION;

/// The name of a Listener.
pub(super) const LISTENER_NAME: u32 = 1;
const LISTENER_CHAINS: [u32; 2] = [3, 25];
const CHAIN_FILTERS: u32 = 3;
const FILTER_CONFIG: u32 = 4;
const NAME: u32 = 1;
const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const MANAGER_RDS: u32 = 3;
const MANAGER_FILTERS: u32 = 5;
const MANAGER_EARLY: u32 = 52;
const RDS_NAME: u32 = 2;
const STRIP: &str = "warmlane.dev/destination";
const EARLY: &str = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";

/// Which HTTP filter chains are to have it.
pub(super) enum Chains {
    /// All.
    All,
    /// Those whose routes come from one of these.
    Of(HashSet<Bytes>),
}

/// Puts it into a listener. Whether that changes anything.
pub(super) fn change(listener: &mut Message, chains: &Chains) -> Result<bool, ExtensionError> {
    let mut changed = false;
    for field in LISTENER_CHAINS {
        changed |= listener.change("a filter chain", field, |chain: &mut Message| {
            chain.change("a filter", CHAIN_FILTERS, |filter: &mut Message| {
                filter.change("a filter's configuration", FILTER_CONFIG, |any: &mut Message| {
                    envoy::change_any(any, MANAGER, |manager| in_manager(manager, chains))
                })
            })
        })?;
    }
    Ok(changed)
}

fn in_manager(manager: &mut Message, chains: &Chains) -> Result<bool, ExtensionError> {
    if let Chains::Of(configs) = chains {
        let routes = manager.message("a source of routes", MANAGER_RDS)?;
        let name = routes.as_ref().and_then(|routes| routes.bytes(RDS_NAME));
        if !name.is_some_and(|name| configs.contains(name)) {
            return Ok(false);
        }
    }
    let before = manager.clone();
    without(manager, MANAGER_EARLY, STRIP);
    manager.insert(MANAGER_EARLY, 0, strip());
    without(manager, MANAGER_FILTERS, filter::NAME);
    let last = manager.each(MANAGER_FILTERS).count().saturating_sub(1);
    manager.insert(MANAGER_FILTERS, last, filter::off());
    Ok(*manager != before)
}

/// Takes off what an earlier hook has put there.
fn without(manager: &mut Message, field: u32, name: &str) {
    manager.retain(field, |bytes| {
        Message::parse("", bytes).map_or(true, |one| one.bytes(NAME).is_none_or(|other| *other != name))
    });
}

/// HeaderMutation: one that removes.
fn strip() -> Message {
    let config = Message::default().with(1, Message::default().with(1, DESTINATION));
    envoy::extension(STRIP, 2, EARLY, config)
}
