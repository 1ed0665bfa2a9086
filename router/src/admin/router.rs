//! `/debug/router`: which router this is, and whether it serves.

use warmlane_api::admin;

use super::{Sources, endpoints};
use crate::{shutdown::Shutdown, world::World};

/// What is wrong with the cluster's objects, at most, where nothing is ready.
const TROUBLES: usize = 10;

/// The page.
pub(super) fn page(sources: &Sources) -> admin::Router {
    let readiness = readiness(sources);
    admin::Router {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: sources.world.now().as_secs_f64(),
        ready: readiness.is_ok(),
        readiness: readiness.unwrap_or_else(|why| why),
    }
}

/// What there is to serve with; or why new requests cannot be served, with what is wrong in the cluster.
pub(super) fn readiness(sources: &Sources) -> Result<String, String> {
    if let Some(mut reason) = unready(&sources.world, *sources.shutdown.borrow()) {
        let desired = sources.desired.as_ref().map(|desired| desired.borrow().clone());
        for trouble in desired.iter().flat_map(|desired| &desired.troubles).take(TROUBLES) {
            reason += &format!("\n{trouble}");
        }
        return Err(reason);
    }
    if !sources.world.has_replicas {
        return Ok("ok: hooks for Envoy Gateway are served, which need no replica".to_owned());
    }
    let snapshot = sources.world.snapshot.load();
    let all = snapshot.endpoints();
    let ready = all.iter().filter(|endpoint| endpoint.ready).count();
    Ok(format!("ok: {ready} of {} replicas ready", all.len()))
}

/// Why new requests cannot be served, if they cannot.
pub(super) fn unready(world: &World, shutdown: Shutdown) -> Option<String> {
    if shutdown.is_announced() {
        return Some("draining: the router is stopping".to_owned());
    }
    if !world.has_replicas {
        // The hooks are served before anybody can ask.
        return None;
    }
    let snapshot = world.snapshot.load();
    let all = snapshot.endpoints();
    (!all.iter().any(|endpoint| endpoint.ready)).then(|| endpoints::why_none_is_ready(all))
}
