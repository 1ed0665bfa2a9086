//! Routes to pools: the picker is asked on them, and on no others. A route without a time limit of its own gets none: Envoy's
//! default of 15 seconds would cut most answers.

use std::collections::HashMap;

use bytes::Bytes;

use super::{ExtensionError, envoy, filter, pool::Backend, wire::Message};

/// Pools by their cluster's name.
pub(super) type Backends = HashMap<Bytes, Backend>;

/// The name of a RouteConfiguration.
pub(super) const CONFIG_NAME: u32 = 1;
const CONFIG_HOSTS: u32 = 2;
const HOST_ROUTES: u32 = 3;
/// The name of a Route.
pub(super) const NAME: u32 = 14;
const ROUTE_ACTION: u32 = 2;
const ROUTE_FILTERS: u32 = 13;
const ACTION_CLUSTER: u32 = 1;
const ACTION_WEIGHTED: u32 = 3;
const ACTION_TIMEOUT: u32 = 8;
const WEIGHTED_CLUSTERS: u32 = 1;
const WEIGHT_NAME: u32 = 1;
const WEIGHT_FILTERS: u32 = 10;

/// Turns the picker on in all routes of a RouteConfiguration that lead to pools. Whether there are any.
pub(super) fn in_config(config: &mut Message, backends: &Backends) -> Result<bool, ExtensionError> {
    let mut leads = false;
    config.change("a virtual host", CONFIG_HOSTS, |host: &mut Message| {
        host.change("a route", HOST_ROUTES, |route: &mut Message| {
            let here = by_cluster(route, backends)?;
            leads |= here;
            Ok::<_, ExtensionError>(here)
        })
    })?;
    Ok(leads)
}

/// Turns it on in a route to one pool: on the whole route where that has one cluster. Of several clusters nobody knows yet which
/// is the pool's.
pub(super) fn to_pool(route: &mut Message, backend: &Backend) -> Result<bool, ExtensionError> {
    let Some(action) = route.message("a route's action", ROUTE_ACTION)? else { return Ok(false) };
    if !action.has(ACTION_CLUSTER) {
        return Ok(false);
    }
    endless(route)?;
    envoy::put(route, ROUTE_FILTERS, filter::NAME, filter::on(backend));
    Ok(true)
}

/// Turns it on in a route, or in those of its weighted clusters, that are of pools. Whether one is.
fn by_cluster(route: &mut Message, backends: &Backends) -> Result<bool, ExtensionError> {
    let Some(action) = route.message("a route's action", ROUTE_ACTION)? else { return Ok(false) };
    if let Some(backend) = action.bytes(ACTION_CLUSTER).and_then(|cluster| backends.get(cluster)) {
        return to_pool(route, backend);
    }
    let weighted = route.change("a route's action", ROUTE_ACTION, |action: &mut Message| {
        action.change("weighted clusters", ACTION_WEIGHTED, |all: &mut Message| {
            all.change("a weighted cluster", WEIGHTED_CLUSTERS, |one: &mut Message| {
                let backend = one.bytes(WEIGHT_NAME).and_then(|cluster| backends.get(cluster));
                let Some(backend) = backend else { return Ok::<_, ExtensionError>(false) };
                envoy::put(one, WEIGHT_FILTERS, filter::NAME, filter::on(backend));
                Ok(true)
            })
        })
    })?;
    if weighted {
        endless(route)?;
    }
    Ok(weighted)
}

fn endless(route: &mut Message) -> Result<(), ExtensionError> {
    route.change("a route's action", ROUTE_ACTION, |action: &mut Message| {
        let has = action.has(ACTION_TIMEOUT);
        if !has {
            action.set(ACTION_TIMEOUT, envoy::endless());
        }
        Ok::<_, ExtensionError>(!has)
    })?;
    Ok(())
}
