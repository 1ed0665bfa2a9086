//! The hooks: what Envoy Gateway sends goes in, what Envoy gets comes out. Applied again, a hook changes nothing.
//!
//! `Cluster` makes a pool's cluster and marks it. `Translation` comes last: by the marks it finds the routes and listeners that lead
//! to pools and adds the pickers' clusters. `Route` and `HTTPListener` do their part of that for an Envoy Gateway that does not
//! send all routes and listeners to `Translation`.

use std::{collections::HashSet, sync::Arc, time::Instant};

use bytes::Bytes;
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status, async_trait};
use warmlane_api::extension::{
    PostClusterModifyRequest, PostClusterModifyResponse, PostHttpListenerModifyRequest,
    PostHttpListenerModifyResponse, PostRouteModifyRequest, PostRouteModifyResponse,
    PostTranslateModifyRequest, PostTranslateModifyResponse, PostVirtualHostModifyRequest,
    PostVirtualHostModifyResponse, envoy_gateway_extension_server::EnvoyGatewayExtension,
};

use super::{
    ExtensionError, ExtensionSettings, cluster,
    envoy::CLUSTER_NAME,
    listener::{self, Chains},
    picker,
    pool::{self, Backend, Declared},
    route::{self, Backends},
    wire::Message,
};
use crate::{
    metrics::{Hook, HookMetrics, HookOutcome, Label as _},
    seldom::Seldom,
};

/// Pools whose requests get 503.
static UNROUTED: Seldom = Seldom::new();
/// Hooks that are refused: no change of the gateway's takes effect until that is mended.
static REFUSED: Seldom = Seldom::new();

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Hooks {
    settings: Arc<ExtensionSettings>,
    pub(super) metrics: Arc<HookMetrics>,
}

// === Hooks ===

impl Hooks {
    /// With these settings, counted here.
    pub fn new(settings: ExtensionSettings, metrics: Arc<HookMetrics>) -> Self {
        Self { settings: Arc::new(settings), metrics }
    }

    /// `Cluster`.
    pub fn cluster(&self, request: PostClusterModifyRequest) -> Result<Bytes, ExtensionError> {
        let context = request.post_cluster_context.unwrap_or_default();
        let bytes = request.cluster;
        let changed = || {
            let pools = pool::pools(&context.backend_extension_resources)?;
            let Some(pool) = only(&pools) else { return Ok(bytes.clone()) };
            let mut cluster = Message::parse("a cluster", &bytes)?;
            cluster::change(&mut cluster, pool, &self.settings)?;
            Ok(cluster.encode())
        };
        changed().map_err(|error: ExtensionError| error.within("cluster", &bytes, CLUSTER_NAME))
    }

    /// `Route`.
    pub fn route(&self, request: PostRouteModifyRequest) -> Result<Bytes, ExtensionError> {
        let context = request.post_route_context.unwrap_or_default();
        let bytes = request.route;
        let changed = || {
            let pools = pool::pools(&context.extension_resources)?;
            let Some(backend) = only(&pools).and_then(|pool| pool.backend.as_ref()) else {
                return Ok(bytes.clone());
            };
            let mut route = Message::parse("a route", &bytes)?;
            route::to_pool(&mut route, backend)?;
            Ok(route.encode())
        };
        changed().map_err(|error: ExtensionError| error.within("route", &bytes, route::NAME))
    }

    /// `HTTPListener`.
    pub fn listener(&self, request: &PostHttpListenerModifyRequest) -> Result<Bytes, ExtensionError> {
        changed_listener(&request.listener, &Chains::All)
    }

    /// `Translation`.
    pub fn translate(
        &self,
        request: PostTranslateModifyRequest,
    ) -> Result<PostTranslateModifyResponse, ExtensionError> {
        let PostTranslateModifyRequest { mut clusters, secrets, mut listeners, mut routes } = request;
        let backends = marked(&clusters)?;
        if !backends.is_empty() {
            let chains = enable(&mut routes, &backends)?;
            for listener in &mut listeners {
                *listener = changed_listener(listener, &chains)?;
            }
            self.add_pickers(&mut clusters, &backends)?;
        }
        Ok(PostTranslateModifyResponse { clusters, secrets, listeners, routes })
    }

    /// Once for each pool, in the order of their names, in the place of those that are there already.
    fn add_pickers(&self, clusters: &mut Vec<Bytes>, backends: &Backends) -> Result<(), ExtensionError> {
        let mut all: Vec<&Backend> = backends.values().collect();
        all.sort_unstable_by(|a, b| a.pool.cmp(&b.pool));
        all.dedup();
        let names: HashSet<Bytes> = all.iter().map(|backend| picker::name(backend).into()).collect();
        let mut kept = Vec::with_capacity(clusters.len() + all.len());
        for cluster in clusters.drain(..) {
            let name = Message::parse("a cluster", &cluster)?.bytes(CLUSTER_NAME).cloned();
            if !name.is_some_and(|name| names.contains(&name)) {
                kept.push(cluster);
            }
        }
        for backend in all {
            kept.push(picker::cluster(backend, &self.settings)?.encode());
        }
        *clusters = kept;
        Ok(())
    }

    /// The answer, or the refusal; either is counted.
    fn told<T>(
        &self,
        hook: Hook,
        begun: Instant,
        answer: Result<T, ExtensionError>,
    ) -> Result<Response<T>, Status> {
        let outcome = answer.as_ref().map_or_else(ExtensionError::outcome, |_| HookOutcome::Ok);
        self.metrics.done(hook, outcome, begun.elapsed());
        answer.map(Response::new).map_err(|error| {
            if let Some(not_logged) = REFUSED.is_due() {
                let hook = hook.name();
                tracing::warn!(not_logged, hook, "Envoy Gateway keeps its configuration as it is: {error}");
            }
            Status::from(error)
        })
    }
}

/// The pool, where there is one. Envoy Gateway makes one cluster for several backends where it sees no reason for more.
fn only(pools: &[Declared]) -> Option<&Declared> {
    let why = match pools {
        [] => return None,
        [pool] if pool.backend.is_some() => return Some(pool),
        [_] => "it names no picker (spec.endpointPickerRef, spec.extensionRef)",
        _ => {
            "a cluster or route has several pools at once: give each of them a rule, or a weight, of its own"
        }
    };
    if let Some(not_logged) = UNROUTED.is_due() {
        tracing::warn!(not_logged, pool = pools[0].name, "a pool gets no requests from this gateway: {why}");
    }
    None
}

/// Pools by their clusters' names.
fn marked(clusters: &[Bytes]) -> Result<Backends, ExtensionError> {
    let mut backends = Backends::new();
    for bytes in clusters {
        let read = || {
            let cluster = Message::parse("a cluster", bytes)?;
            let backend = Backend::of(&cluster)?;
            Ok(cluster.bytes(CLUSTER_NAME).cloned().zip(backend))
        };
        let read = read().map_err(|error: ExtensionError| error.within("cluster", bytes, CLUSTER_NAME));
        backends.extend(read?);
    }
    Ok(backends)
}

/// Turns the picker on where routes lead to pools, and says which listeners need it.
fn enable(configs: &mut [Bytes], backends: &Backends) -> Result<Chains, ExtensionError> {
    if configs.is_empty() {
        return Ok(Chains::All);
    }
    let mut leading = HashSet::new();
    for bytes in configs {
        let changed = || {
            let mut config = Message::parse("a route configuration", bytes)?;
            Ok(route::in_config(&mut config, backends)?.then_some(config))
        };
        let within = |error: ExtensionError| error.within("route configuration", bytes, route::CONFIG_NAME);
        if let Some(config) = changed().map_err(within)? {
            leading.extend(config.bytes(route::CONFIG_NAME).cloned());
            *bytes = config.encode();
        }
    }
    Ok(Chains::Of(leading))
}

fn changed_listener(bytes: &Bytes, chains: &Chains) -> Result<Bytes, ExtensionError> {
    let changed = || {
        let mut listener = Message::parse("a listener", bytes)?;
        Ok(if listener::change(&mut listener, chains)? { listener.encode() } else { bytes.clone() })
    };
    changed().map_err(|error: ExtensionError| error.within("listener", bytes, listener::LISTENER_NAME))
}

#[async_trait]
impl EnvoyGatewayExtension for Hooks {
    async fn post_route_modify(
        &self,
        request: Request<PostRouteModifyRequest>,
    ) -> Result<Response<PostRouteModifyResponse>, Status> {
        let begun = Instant::now();
        let answer = self.route(request.into_inner());
        self.told(Hook::Route, begun, answer.map(|route| PostRouteModifyResponse { route }))
    }

    /// Nothing of a pool is in it but its routes: what comes goes back.
    async fn post_virtual_host_modify(
        &self,
        request: Request<PostVirtualHostModifyRequest>,
    ) -> Result<Response<PostVirtualHostModifyResponse>, Status> {
        let virtual_host = request.into_inner().virtual_host;
        self.told(Hook::VirtualHost, Instant::now(), Ok(PostVirtualHostModifyResponse { virtual_host }))
    }

    async fn post_http_listener_modify(
        &self,
        request: Request<PostHttpListenerModifyRequest>,
    ) -> Result<Response<PostHttpListenerModifyResponse>, Status> {
        let begun = Instant::now();
        let answer = self.listener(&request.into_inner());
        let answer = answer.map(|listener| PostHttpListenerModifyResponse { listener });
        self.told(Hook::HttpListener, begun, answer)
    }

    async fn post_cluster_modify(
        &self,
        request: Request<PostClusterModifyRequest>,
    ) -> Result<Response<PostClusterModifyResponse>, Status> {
        let begun = Instant::now();
        let answer = self.cluster(request.into_inner());
        self.told(Hook::Cluster, begun, answer.map(|cluster| PostClusterModifyResponse { cluster }))
    }

    async fn post_translate_modify(
        &self,
        request: Request<PostTranslateModifyRequest>,
    ) -> Result<Response<PostTranslateModifyResponse>, Status> {
        let begun = Instant::now();
        // Megabytes, and a file: neither must hold up the control plane.
        let (hooks, request) = (self.clone(), request.into_inner());
        let answer = spawn_blocking(move || hooks.translate(request)).await;
        self.told(Hook::Translation, begun, answer.map_err(ExtensionError::from).flatten())
    }
}
