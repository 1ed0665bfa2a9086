//! Envoy Gateway: makes clusters, routes and listeners as it does, calls the hooks in its order, and leaves the result in files
//! that an Envoy reads.

use std::{net::SocketAddr, path::PathBuf};

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{
                CircuitBreakers, Cluster,
                circuit_breakers::Thresholds,
                cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy},
            },
            core::v3::{
                Address, AggregatedConfigSource, ApiVersion, ConfigSource, PathConfigSource, SocketAddress,
                address, config_source::ConfigSourceSpecifier, socket_address::PortSpecifier,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, FilterChain, Listener, filter},
            route::v3::{
                Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
                route::Action, route_action::ClusterSpecifier, route_match::PathSpecifier,
                weighted_cluster::ClusterWeight,
            },
        },
        extensions::filters::{
            http::router::v3::Router,
            network::http_connection_manager::v3::{
                HttpConnectionManager, HttpFilter, Rds, http_connection_manager::RouteSpecifier, http_filter,
            },
        },
        service::discovery::v3::DiscoveryResponse,
    },
    google::protobuf::{Any, Duration, UInt32Value},
};
use prost::Message;
use serde_json::Value;
use tempfile::TempDir;
use tonic::Status;
use warmlane_api::extension::PostTranslateModifyRequest;
use warmlane_tests::{
    caller::Caller,
    tls::{Authority, Issued},
};

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const LISTENER: &str = "envoy.config.listener.v3.Listener";
const ROUTES: &str = "envoy.config.route.v3.RouteConfiguration";
const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
/// As it names the cluster of a rule.
const POOL: &str = "httproute/default/qwen/rule/0";
const SERVICE: &str = "httproute/default/plain/rule/0";

/// See the module's header.
pub(crate) struct EnvoyGateway {
    caller: Caller,
}

/// What an Envoy reads.
pub(crate) struct Made(TempDir);

fn any(kind: &str, value: Vec<u8>) -> Any {
    Any { type_url: format!("type.googleapis.com/{kind}"), value }
}

// === EnvoyGateway ===

impl EnvoyGateway {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self { caller: Caller::connect(address) }
    }

    /// By TLS, showing this certificate; why not, if so.
    pub(crate) fn connect_by_tls(
        address: SocketAddr,
        servers: &Authority,
        shown: Option<&Issued>,
    ) -> Result<Self, String> {
        Caller::connect_by_tls(address, "localhost", servers, shown).map(|caller| Self { caller })
    }

    /// `Cluster`, for a pool's.
    pub(crate) fn cluster(&self, pool: &Value) -> Result<bytes::Bytes, Status> {
        self.caller.cluster(eds(POOL).encode_to_vec(), pool)
    }

    /// All of it, of a pool and of a Service at this address: listener `aware` leads to the pool, under `/plain` to the Service and
    /// under `/both` to either, listener `plain` to the Service.
    pub(crate) fn configuration(&self, pool: &Value, service: SocketAddr) -> Made {
        let made = Made(TempDir::new().expect("a folder"));
        let aware =
            [route("/plain", cluster(SERVICE)), route("/both", weighted()), route("/", cluster(POOL))];
        let routes = [routes("aware", aware.into()), routes("plain", vec![route("/", cluster(SERVICE))])];
        let request = PostTranslateModifyRequest {
            clusters: vec![
                self.cluster(pool).expect("a pool"),
                fixed(SERVICE, service).encode_to_vec().into(),
            ],
            secrets: Vec::new(),
            listeners: ["aware", "plain"].map(|name| made.listener(name).encode_to_vec().into()).into(),
            routes: routes.iter().map(|config| config.encode_to_vec().into()).collect(),
        };
        let all = self.caller.translate(request).expect("an answer");
        made.write("clusters", CLUSTER, &all.clusters);
        made.write("listeners", LISTENER, &all.listeners);
        made.write("aware", ROUTES, &all.routes[..1]);
        made.write("plain", ROUTES, &all.routes[1..]);
        made
    }
}

// === Made ===

impl Made {
    pub(crate) fn clusters(&self) -> PathBuf {
        self.file("clusters")
    }

    pub(crate) fn listeners(&self) -> PathBuf {
        self.file("listeners")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.pb"))
    }

    fn write(&self, name: &str, kind: &str, all: &[bytes::Bytes]) {
        let resources = all.iter().map(|one| any(kind, one.to_vec())).collect();
        let type_url = format!("type.googleapis.com/{kind}");
        let response =
            DiscoveryResponse { version_info: "1".to_owned(), resources, type_url, ..Default::default() };
        std::fs::write(self.file(name), response.encode_to_vec()).expect("written");
    }

    /// Its routes come from a file, where Envoy Gateway's come from itself.
    fn listener(&self, name: &str) -> Listener {
        let path = self.file(name).to_string_lossy().into_owned();
        let path = PathConfigSource { path, ..Default::default() };
        let source = ConfigSource {
            resource_api_version: ApiVersion::V3.into(),
            config_source_specifier: Some(ConfigSourceSpecifier::PathConfigSource(path)),
            ..Default::default()
        };
        let router = HttpFilter {
            name: "envoy.filters.http.router".to_owned(),
            config_type: Some(http_filter::ConfigType::TypedConfig(any(
                ROUTER,
                Router { suppress_envoy_headers: true, ..Default::default() }.encode_to_vec(),
            ))),
            ..Default::default()
        };
        let manager = HttpConnectionManager {
            stat_prefix: name.to_owned(),
            route_specifier: Some(RouteSpecifier::Rds(Rds {
                config_source: Some(source),
                route_config_name: name.to_owned(),
            })),
            http_filters: vec![router],
            ..Default::default()
        };
        let manager = Filter {
            name: "envoy.filters.network.http_connection_manager".to_owned(),
            config_type: Some(filter::ConfigType::TypedConfig(any(MANAGER, manager.encode_to_vec()))),
        };
        Listener {
            name: name.to_owned(),
            address: Some(at(SocketAddr::from(([127, 0, 0, 1], 0)))),
            default_filter_chain: Some(FilterChain { filters: vec![manager], ..Default::default() }),
            per_connection_buffer_limit_bytes: Some(UInt32Value { value: 32_768 }),
            ..Default::default()
        }
    }
}

// === Resources ===

fn at(address: SocketAddr) -> Address {
    let socket = SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
        ..Default::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

fn base(name: &str, kind: DiscoveryType) -> Cluster {
    let retries = Thresholds { max_retries: Some(UInt32Value { value: 1_024 }), ..Default::default() };
    Cluster {
        name: name.to_owned(),
        connect_timeout: Some(Duration { seconds: 10, nanos: 0 }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(kind.into())),
        circuit_breakers: Some(CircuitBreakers { thresholds: vec![retries], ..Default::default() }),
        common_lb_config: Some(Default::default()),
        ignore_health_on_host_removal: true,
        ..Default::default()
    }
}

/// Of a backend that it does not know: its endpoints would come from itself, and there are none.
fn eds(name: &str) -> Cluster {
    let source = ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    };
    let eds = EdsClusterConfig { eds_config: Some(source), service_name: name.to_owned() };
    Cluster {
        eds_cluster_config: Some(eds),
        lb_policy: LbPolicy::LeastRequest.into(),
        ..base(name, DiscoveryType::Eds)
    }
}

fn fixed(name: &str, address: SocketAddr) -> Cluster {
    let endpoint = Endpoint { address: Some(at(address)), ..Default::default() };
    let endpoint =
        LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..Default::default() };
    let locality = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() };
    let hosts = ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![locality],
        ..Default::default()
    };
    Cluster { load_assignment: Some(hosts), ..base(name, DiscoveryType::Static) }
}

fn cluster(name: &str) -> ClusterSpecifier {
    ClusterSpecifier::Cluster(name.to_owned())
}

fn weighted() -> ClusterSpecifier {
    let half = |name: &str| ClusterWeight {
        name: name.to_owned(),
        weight: Some(UInt32Value { value: 1 }),
        ..Default::default()
    };
    ClusterSpecifier::WeightedClusters(WeightedCluster {
        clusters: vec![half(POOL), half(SERVICE)],
        ..Default::default()
    })
}

fn route(prefix: &str, to: ClusterSpecifier) -> Route {
    let path = Some(PathSpecifier::Prefix(prefix.to_owned()));
    Route {
        name: format!("httproute/default{prefix}"),
        r#match: Some(RouteMatch { path_specifier: path, ..Default::default() }),
        action: Some(Action::Route(RouteAction { cluster_specifier: Some(to), ..Default::default() })),
        ..Default::default()
    }
}

fn routes(name: &str, routes: Vec<Route>) -> RouteConfiguration {
    let host = VirtualHost {
        name: format!("{name}/*"),
        domains: vec!["*".to_owned()],
        routes,
        ..Default::default()
    };
    RouteConfiguration { name: name.to_owned(), virtual_hosts: vec![host], ..Default::default() }
}
