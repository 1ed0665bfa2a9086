//! What the hooks make, read by Envoy's own definitions.

use bytes::Bytes;
use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{
                CircuitBreakers, Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbConfig, LbPolicy},
            },
            core::v3::{GrpcService, grpc_service::TargetSpecifier, health_check::HealthChecker},
            route::v3::{
                Route, RouteAction, RouteConfiguration, VirtualHost, WeightedCluster, route::Action,
                route_action::ClusterSpecifier, weighted_cluster::ClusterWeight,
            },
        },
        extensions::{
            filters::{
                http::ext_proc::v3::{ExtProcPerRoute, ext_proc_per_route::Override},
                network::http_connection_manager::v3::HttpConnectionManager,
            },
            load_balancing_policies::override_host::v3::OverrideHost,
            transport_sockets::tls::v3::UpstreamTlsContext,
            upstreams::http::v3::HttpProtocolOptions,
        },
    },
    google::protobuf::{Any, Duration, UInt32Value},
};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};
use tonic::{Code, Status};
use warmlane_api::extension::{
    ExtensionResource, PostClusterExtensionContext, PostClusterModifyRequest, PostRouteExtensionContext,
    PostRouteModifyRequest, PostTranslateModifyRequest, PostTranslateModifyResponse,
};

use super::*;
use crate::extension::{filter::NAME, wire::Message};

mod listeners;
mod parts;
mod protocol;
mod refused;

use parts::*;

#[test]
fn a_pools_cluster_goes_by_the_pickers_header_and_keeps_the_rest() {
    let before = Cluster {
        circuit_breakers: Some(CircuitBreakers::default()),
        per_connection_buffer_limit_bytes: Some(UInt32Value { value: 32_768 }),
        ..eds("pool")
    };
    // A field that no Envoy has yet.
    let bytes = Message::parse("it", &encoded(&before)).expect("a cluster").with(4_000, "of tomorrow");
    for object in [v1("qwen", "FailClose"), v1alpha2("qwen", "FailClose")] {
        let after = cluster(&bytes.encode(), &object).expect("a cluster");
        let unknown = Message::parse("it", &after).expect("a cluster");
        assert_eq!(unknown.bytes(4_000).map(|bytes| &bytes[..]), Some(&b"of tomorrow"[..]));
        let after: Cluster = decoded(&after);
        assert_eq!(after.cluster_discovery_type, Some(of_type(DiscoveryType::OriginalDst)));
        assert_eq!(after.lb_policy(), LbPolicy::ClusterProvided);
        let Some(LbConfig::OriginalDstLbConfig(by)) = &after.lb_config else { panic!("{after:?}") };
        assert!(by.use_http_header && by.http_header_name == "x-gateway-destination-endpoint");
        assert!(after.eds_cluster_config.is_none() && after.load_balancing_policy.is_none());
        let kept =
            (&after.circuit_breakers, &after.connect_timeout, &after.per_connection_buffer_limit_bytes);
        let of =
            (&before.circuit_breakers, &before.connect_timeout, &before.per_connection_buffer_limit_bytes);
        assert_eq!(kept, of);
        let options =
            &after.typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
        let options: HttpProtocolOptions = decoded(&options.value.clone().into());
        let idle = options.common_http_protocol_options.and_then(|common| common.idle_timeout);
        assert_eq!(idle, Some(Duration { seconds: 4, nanos: 0 }));
    }
}

#[test]
fn with_a_service_of_its_replicas_a_pools_cluster_can_do_without_a_picker() {
    let mut object = v1("qwen", "FailOpen");
    object["metadata"]["annotations"] = json!({ pool::REPLICAS: "qwen-pods" });
    object["spec"]["targetPorts"] = json!([{"number": 8000}, {"number": 8001}]);
    let after: Cluster = decoded(&cluster(&encoded(&eds("pool")), &object).expect("a cluster"));
    assert_eq!(after.cluster_discovery_type, Some(of_type(DiscoveryType::StrictDns)));
    assert_eq!(
        hosts(&after),
        ["qwen-pods.default.svc.cluster.local:8000", "qwen-pods.default.svc.cluster.local:8001"]
    );
    let policy = after.load_balancing_policy.expect("a policy").policies.remove(0);
    let policy = policy.typed_extension_config.and_then(|config| config.typed_config).expect("a policy");
    assert!(policy.type_url.ends_with("override_host.v3.OverrideHost"));
    let policy: OverrideHost = decoded(&policy.value.into());
    assert_eq!(policy.override_host_sources.len(), 2);
    assert!(policy.fallback_policy.is_some() && policy.selected_host_key.is_some());
}

#[test]
fn a_picker_is_a_service_that_is_checked() {
    let after = translated(&Hooks::default(), &[v1("qwen", "FailOpen"), v1alpha2("other", "FailClose")]);
    let all: Vec<Cluster> = after.clusters.iter().map(decoded).collect();
    let names: Vec<&str> = all.iter().map(|cluster| cluster.name.as_str()).collect();
    assert_eq!(names, ["0", "1", "warmlane/picker/default/other", "warmlane/picker/default/qwen"]);
    let picker = &all[3];
    assert_eq!(hosts(picker), ["picker.default.svc.cluster.local:9002"]);
    assert_eq!(picker.cluster_discovery_type, Some(of_type(DiscoveryType::StrictDns)));
    let Some(HealthChecker::GrpcHealthCheck(check)) = &picker.health_checks[0].health_checker else {
        panic!("{picker:?}")
    };
    assert_eq!(check.service_name, "envoy.service.ext_proc.v3.ExternalProcessor");
    assert_eq!(check.authority, "picker.default.svc.cluster.local", "the cluster's name is no host");
    let panic = picker.common_lb_config.as_ref().and_then(|common| common.healthy_panic_threshold.as_ref());
    assert_eq!(panic.map(|percent| percent.value), Some(0.0));
    assert!(picker.transport_socket.is_none());
}

#[test]
fn a_picker_is_asked_by_tls_and_its_certificate_is_checked_where_a_ca_is_named() {
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), "the CA").expect("written");
    let settings = |picker_tls| ExtensionSettings { picker_tls, ..ExtensionSettings::default() };
    let hooks = |picker_tls| Hooks::new(settings(picker_tls), Arc::default());
    let context = |hooks: &Hooks| {
        let all = translated(hooks, &[v1("qwen", "FailOpen")]).clusters;
        let picker: Cluster = decoded(&all[1]);
        let socket = picker.transport_socket.expect("a socket");
        let Some(envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType::TypedConfig(any)) =
            socket.config_type
        else {
            panic!("no configuration")
        };
        decoded::<UpstreamTlsContext>(&any.value.into())
    };
    let unverified = context(&hooks(PickerTls::Unverified));
    assert_eq!(unverified.sni, "picker.default.svc.cluster.local");
    let common = unverified.common_tls_context.expect("common");
    assert!(common.alpn_protocols == ["h2"] && common.validation_context_type.is_none());
    let verified = format!("{:?}", context(&hooks(PickerTls::Authority(ca.path().into()))));
    assert!(verified.contains("InlineBytes"), "{verified}");
    assert!(verified.contains(r#"Exact("picker.default.svc.cluster.local")"#), "{verified}");
    let gone = hooks(PickerTls::Authority("/nowhere/ca.crt".into()));
    let error = gone.translate(request(&gone, &[v1("qwen", "FailOpen")])).expect_err("no file");
    let status = Status::from(error);
    assert!(
        status.message().contains("/nowhere/ca.crt") && status.code() == Code::FailedPrecondition,
        "{status}"
    );
}

#[test]
fn the_picker_is_on_for_routes_and_weighted_clusters_of_pools_alone() {
    let after = translated(&Hooks::default(), &[v1("qwen", "FailOpen"), v1alpha2("other", "FailClose")]);
    let config: RouteConfiguration = decoded(&after.routes[0]);
    let routes = &config.virtual_hosts[0].routes;
    let asked = picker_of(&routes[0].typed_per_filter_config);
    assert_eq!(asked, Some(("warmlane/picker/default/qwen".to_owned(), "default/qwen".to_owned(), true)));
    assert_eq!(action(&routes[0]).timeout, Some(Duration::default()), "no limit where none was set");
    assert!(routes[1].typed_per_filter_config.is_empty(), "a Service's");
    assert_eq!(action(&routes[1]).timeout, None);
    assert!(routes[2].typed_per_filter_config.is_empty(), "only one of two is a pool");
    let Some(ClusterSpecifier::WeightedClusters(weighted)) = action(&routes[2]).cluster_specifier else {
        panic!("{:?}", routes[2])
    };
    let picker = ("warmlane/picker/default/other".to_owned(), "default/other".to_owned(), false);
    assert_eq!(picker_of(&weighted.clusters[0].typed_per_filter_config), Some(picker));
    assert!(weighted.clusters[1].typed_per_filter_config.is_empty());
    assert_eq!(
        after.routes[1],
        encoded(&routes_of("plain", &["service"])),
        "a configuration without pools keeps its bytes"
    );
}

#[test]
fn a_route_hook_turns_it_on_and_keeps_a_time_limit_that_is_set() {
    let hooks = Hooks::default();
    let limit = Some(Duration { seconds: 9, nanos: 0 });
    let route = |pools: &[Value]| {
        let mut route = route_to("0");
        if let Some(Action::Route(action)) = &mut route.action {
            action.timeout = limit;
        }
        let context =
            PostRouteExtensionContext { extension_resources: resources(pools), ..Default::default() };
        let request = PostRouteModifyRequest { route: encoded(&route), post_route_context: Some(context) };
        decoded::<Route>(&hooks.route(request).expect("a route"))
    };
    let on = route(&[v1("qwen", "FailClose")]);
    assert_eq!(action(&on).timeout, limit);
    let picker = ("warmlane/picker/default/qwen".to_owned(), "default/qwen".to_owned(), false);
    assert_eq!(picker_of(&on.typed_per_filter_config), Some(picker));
    assert!(route(&[]).typed_per_filter_config.is_empty());
    let both = route(&[v1("qwen", "FailClose"), v1("other", "FailClose")]);
    assert!(both.typed_per_filter_config.is_empty(), "nobody knows which");
}

#[test]
fn applied_again_the_hooks_change_nothing() {
    let (hooks, pools) = (Hooks::default(), [v1("qwen", "FailOpen"), v1alpha2("other", "FailClose")]);
    let once = translated(&hooks, &pools);
    let again = PostTranslateModifyRequest {
        clusters: once.clusters.clone(),
        secrets: once.secrets.clone(),
        listeners: once.listeners.clone(),
        routes: once.routes.clone(),
    };
    assert_eq!(hooks.translate(again).expect("again"), once);
    let twice = cluster(&once.clusters[0], &pools[0]).expect("a cluster");
    let read = decoded::<Cluster>;
    assert_eq!(read(&twice), read(&once.clusters[0]), "fields in another order mean the same");
}

#[test]
fn without_pools_everything_keeps_its_bytes() {
    let hooks = Hooks::default();
    let before = request(&hooks, &[]);
    let after = hooks.translate(before.clone()).expect("an answer");
    let PostTranslateModifyResponse { clusters, secrets, listeners, routes } = after;
    assert_eq!(PostTranslateModifyRequest { clusters, secrets, listeners, routes }, before);
    let other = json!({"kind": "S3Backend", "metadata": {"name": "x"}});
    let bytes = encoded(&eds("bucket"));
    assert_eq!(cluster(&bytes, &other).expect("another's backend"), bytes);
}

#[test]
fn a_pool_that_cannot_be_used_alone_goes_without_requests() {
    let mut object = v1("qwen", "FailOpen");
    object["spec"].as_object_mut().expect("a spec").remove("endpointPickerRef");
    let bytes = encoded(&eds("pool"));
    assert_eq!(cluster(&bytes, &object).expect("valid, as of 1.6"), bytes);
}

#[test]
fn what_is_wrong_with_a_pool_is_told_with_its_field() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut object = v1("qwen", "FailOpen");
        change(&mut object);
        let status = Status::from(cluster(&encoded(&eds("pool")), &object).expect_err("refused"));
        assert_eq!(status.code(), Code::InvalidArgument);
        status.message().to_owned()
    };
    let ports = refused(&|object| object["spec"]["targetPorts"] = json!([{"number": 70_000}]));
    assert!(ports.starts_with("InferencePool default/qwen: spec.targetPorts[0].number: "), "{ports}");
    let mode = refused(&|object| object["spec"]["endpointPickerRef"]["failureMode"] = json!("Maybe"));
    assert!(mode.contains("spec.endpointPickerRef.failureMode") && mode.contains("FailClose"), "{mode}");
    assert!(refused(&|object| object["apiVersion"] = json!("x/v9")).contains("\"x/v9\""));
    assert!(refused(&|object| object["metadata"]["namespace"] = json!("")).contains("metadata.namespace"));
    let context = PostClusterExtensionContext {
        backend_extension_resources: vec![ExtensionResource { unstructured_bytes: Bytes::from_static(b"{") }],
    };
    let request = PostClusterModifyRequest { cluster: Bytes::new(), post_cluster_context: Some(context) };
    assert!(Hooks::default().cluster(request).expect_err("no JSON").to_string().contains("no JSON"));
}

proptest! {
    #[test]
    fn any_bytes_are_answered_or_refused(
        a in prop::collection::vec(any::<u8>(), 0..80),
        at in any::<prop::sample::Index>(), bit in 0_u32..8,
    ) {
        let hooks = Hooks::default();
        let _ = cluster(&a.clone().into(), &v1("qwen", "FailOpen"));
        let mut sent = request(&hooks, &[v1("qwen", "FailOpen")]);
        // One bit of it is another.
        let list = [&mut sent.clusters, &mut sent.listeners, &mut sent.routes];
        for all in list {
            let mut bytes = all[0].to_vec();
            let place = at.index(bytes.len());
            bytes[place] ^= 1 << bit;
            all[0] = bytes.into();
        }
        let _ = hooks.translate(sent.clone());
        sent.routes[0] = a.into();
        let _ = hooks.translate(sent);
    }
}
