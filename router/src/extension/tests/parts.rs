//! Clusters, routes and pools as Envoy Gateway sends them.

use std::collections::HashMap;

use super::*;

impl Default for Hooks {
    fn default() -> Self {
        Self::new(ExtensionSettings::default(), Arc::default())
    }
}

pub(super) fn encoded(message: &impl prost::Message) -> Bytes {
    message.encode_to_vec().into()
}

pub(super) fn decoded<M: prost::Message + Default>(bytes: &Bytes) -> M {
    M::decode(bytes.clone()).expect("Envoy's own definitions read it")
}

pub(super) fn v1(name: &str, failure: &str) -> Value {
    json!({
        "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": name}}, "targetPorts": [{"number": 8000}],
            "endpointPickerRef": {"name": "picker", "port": {"number": 9002}, "failureMode": failure},
        },
    })
}

pub(super) fn v1alpha2(name: &str, failure: &str) -> Value {
    json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferencePool",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"app": name}, "targetPortNumber": 8000,
            "extensionRef": {"name": "picker", "failureMode": failure},
        },
    })
}

pub(super) fn of_type(kind: DiscoveryType) -> ClusterDiscoveryType {
    ClusterDiscoveryType::Type(kind.into())
}

pub(super) fn eds(name: &str) -> Cluster {
    Cluster {
        name: name.to_owned(),
        connect_timeout: Some(Duration { seconds: 10, nanos: 0 }),
        cluster_discovery_type: Some(of_type(DiscoveryType::Eds)),
        eds_cluster_config: Some(EdsClusterConfig { service_name: name.to_owned(), ..Default::default() }),
        lb_policy: LbPolicy::LeastRequest.into(),
        load_balancing_policy: Some(Default::default()),
        ..Default::default()
    }
}

pub(super) fn resources(pools: &[Value]) -> Vec<ExtensionResource> {
    pools.iter().map(|pool| ExtensionResource { unstructured_bytes: pool.to_string().into() }).collect()
}

pub(super) fn cluster(bytes: &Bytes, pool: &Value) -> Result<Bytes, ExtensionError> {
    let context =
        PostClusterExtensionContext { backend_extension_resources: resources(std::slice::from_ref(pool)) };
    let request = PostClusterModifyRequest { cluster: bytes.clone(), post_cluster_context: Some(context) };
    Hooks::default().cluster(request)
}

pub(super) fn route_to(cluster: &str) -> Route {
    let specifier = Some(ClusterSpecifier::Cluster(cluster.to_owned()));
    let action = RouteAction { cluster_specifier: specifier, ..Default::default() };
    Route { action: Some(Action::Route(action)), ..Default::default() }
}

pub(super) fn routes_of(name: &str, clusters: &[&str]) -> RouteConfiguration {
    let routes = clusters.iter().map(|cluster| route_to(cluster)).collect();
    let host =
        VirtualHost { name: name.to_owned(), domains: vec!["*".to_owned()], routes, ..Default::default() };
    RouteConfiguration { name: name.to_owned(), virtual_hosts: vec![host], ..Default::default() }
}

/// What is sent to `Translation`: a cluster `0`, `1` ... for each pool; routes to the first, to a Service, and to the last beside
/// a Service; routes of another listener; both listeners.
pub(super) fn request(_: &Hooks, pools: &[Value]) -> PostTranslateModifyRequest {
    let made = |(at, pool): (usize, &Value)| cluster(&encoded(&eds(&at.to_string())), pool).expect("a pool");
    let last = pools.len().saturating_sub(1).to_string();
    let weight = |name: &str| ClusterWeight {
        name: name.to_owned(),
        weight: Some(UInt32Value { value: 1 }),
        ..Default::default()
    };
    let weighted = WeightedCluster { clusters: vec![weight(&last), weight("service")], ..Default::default() };
    let mut routes = routes_of("aware", &["0", "service", ""]);
    routes.virtual_hosts[0].routes[2].action = Some(Action::Route(RouteAction {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weighted)),
        ..Default::default()
    }));
    PostTranslateModifyRequest {
        clusters: pools.iter().enumerate().map(made).collect(),
        secrets: vec![Bytes::from_static(b"a secret, which nobody reads")],
        listeners: vec![listeners::listener("aware"), listeners::listener("plain")],
        routes: vec![encoded(&routes), encoded(&routes_of("plain", &["service"]))],
    }
}

pub(super) fn translated(hooks: &Hooks, pools: &[Value]) -> PostTranslateModifyResponse {
    hooks.translate(request(hooks, pools)).expect("an answer")
}

pub(super) fn hosts(cluster: &Cluster) -> Vec<String> {
    use envoy_types::pb::envoy::config::{
        core::v3::{address::Address, socket_address::PortSpecifier},
        endpoint::v3::lb_endpoint::HostIdentifier,
    };
    let all = cluster.load_assignment.as_ref().expect("hosts");
    assert_eq!(all.cluster_name, cluster.name);
    let each = all.endpoints.iter().flat_map(|locality| &locality.lb_endpoints);
    each.map(|endpoint| {
        let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else {
            panic!("no endpoint")
        };
        let Some(Address::SocketAddress(at)) = endpoint.address.as_ref().and_then(|at| at.address.as_ref())
        else {
            panic!("no address")
        };
        let Some(PortSpecifier::PortValue(port)) = at.port_specifier else { panic!("no port") };
        format!("{}:{port}", at.address)
    })
    .collect()
}

pub(super) fn action(route: &Route) -> RouteAction {
    let Some(Action::Route(action)) = &route.action else { panic!("{route:?}") };
    action.clone()
}

/// The picker's cluster, the pool that it is told, and whether requests go on without it.
pub(super) fn picker_of(filters: &HashMap<String, Any>) -> Option<(String, String, bool)> {
    let per_route: ExtProcPerRoute = decoded(&filters.get(NAME)?.value.clone().into());
    let Some(Override::Overrides(overrides)) = per_route.r#override else { panic!("no overrides") };
    let GrpcService { target_specifier, initial_metadata, .. } = overrides.grpc_service.expect("a picker");
    let Some(TargetSpecifier::EnvoyGrpc(grpc)) = target_specifier else { panic!("no cluster") };
    assert_eq!(initial_metadata[0].key, "x-warmlane-pool");
    assert!(overrides.metadata_options.is_some() && overrides.processing_mode.is_some());
    let opens = overrides.failure_mode_allow.expect("a failure mode").value;
    Some((grpc.cluster_name, initial_metadata[0].value.clone(), opens))
}
