//! How calls end: what is told of a refusal, and what is counted.

use tonic::Request;
use warmlane_api::extension::{
    PostHttpListenerModifyRequest, PostVirtualHostModifyRequest,
    envoy_gateway_extension_server::EnvoyGatewayExtension as _,
};

use super::*;
use crate::metrics::{Hook, HookMetrics, HookOutcome, Label as _};

/// A message with one more value of this field, which ends too early.
fn torn(message: &impl prost::Message, field: u32) -> Bytes {
    let whole = Message::parse("it", &encoded(message)).expect("a message");
    whole.with(field, Bytes::from_static(&[0x0a])).encode()
}

fn of_pool(cluster: Bytes, pool: &Value) -> Request<PostClusterModifyRequest> {
    let context =
        PostClusterExtensionContext { backend_extension_resources: resources(std::slice::from_ref(pool)) };
    Request::new(PostClusterModifyRequest { cluster, post_cluster_context: Some(context) })
}

#[test]
fn a_refusal_names_the_part_of_the_configuration_where_it_is() {
    let hooks = Hooks::default();
    let why = |error: ExtensionError| error.to_string();
    let mut nameless = v1("qwen", "FailOpen");
    nameless["metadata"]["name"] = json!("");
    let told = why(cluster(&encoded(&eds("httproute/a/b/rule/0")), &nameless).expect_err("no name"));
    assert_eq!(told, "cluster httproute/a/b/rule/0: an InferencePool has no metadata.name");
    let told = why(cluster(&Bytes::from_static(&[0x08]), &v1("qwen", "FailOpen")).expect_err("no message"));
    assert!(told.starts_with("cluster without a name: ") && told.contains("cannot be read"), "{told}");

    let good = request(&hooks, &[v1("qwen", "FailOpen")]);
    let refused = |change: &dyn Fn(&mut PostTranslateModifyRequest)| {
        let mut sent = good.clone();
        change(&mut sent);
        why(hooks.translate(sent).expect_err("refused"))
    };
    let told = refused(&|sent| sent.routes[0] = torn(&routes_of("default/eg/http", &["0"]), 2));
    assert!(told.starts_with("route configuration default/eg/http: "), "{told}");
    let told = refused(&|sent| {
        let listener: envoy_types::pb::envoy::config::listener::v3::Listener = decoded(&sent.listeners[0]);
        sent.listeners[0] = torn(&listener, 3);
    });
    assert!(told.starts_with("listener aware: "), "{told}");
    let told = refused(&|sent| {
        let mut marked = Message::parse("it", &sent.clusters[0]).expect("a cluster");
        let mut metadata = marked.message("it", 25).expect("metadata").expect("a mark");
        envoy::put(&mut metadata, 1, "warmlane.dev", Message::default());
        marked.set(25, metadata);
        sent.clusters[0] = marked.encode();
    });
    assert!(told.starts_with("cluster 0: a cluster's metadata warmlane.dev does not say "), "{told}");

    let route = Route { name: "httproute/a/b".to_owned(), ..route_to("0") };
    let context = PostRouteExtensionContext {
        extension_resources: resources(&[v1("qwen", "FailOpen")]),
        ..Default::default()
    };
    let request = PostRouteModifyRequest { route: torn(&route, 2), post_route_context: Some(context) };
    let told = why(hooks.route(request).expect_err("torn"));
    assert!(told.starts_with("route httproute/a/b: "), "{told}");
}

#[tokio::test]
async fn calls_are_counted_by_hook_and_by_how_they_end() {
    let metrics = Arc::<HookMetrics>::default();
    let gone = ExtensionSettings {
        picker_tls: PickerTls::Authority("/nowhere/ca.crt".into()),
        ..ExtensionSettings::default()
    };
    let hooks = Hooks::new(gone, metrics.clone());
    let good = v1("qwen", "FailOpen");
    let mut wrong = good.clone();
    wrong["spec"]["targetPorts"][0]["number"] = json!(0);
    let bytes = encoded(&eds("pool"));
    hooks.post_cluster_modify(of_pool(bytes.clone(), &good)).await.expect("answered");
    hooks.post_cluster_modify(of_pool(bytes.clone(), &good)).await.expect("answered");
    hooks.post_cluster_modify(of_pool(bytes, &wrong)).await.expect_err("no port");
    hooks.post_cluster_modify(of_pool(Bytes::from_static(&[8]), &good)).await.expect_err("no message");
    let sent = request(&hooks, std::slice::from_ref(&good));
    hooks.post_translate_modify(Request::new(sent.clone())).await.expect_err("no CA");
    let mut unmarked = sent.clone();
    unmarked.clusters.clear();
    hooks.post_translate_modify(Request::new(unmarked)).await.expect("answered");
    let listener = sent.listeners[0].clone();
    let listener = PostHttpListenerModifyRequest { listener };
    hooks.post_http_listener_modify(Request::new(listener)).await.expect("answered");
    hooks
        .post_virtual_host_modify(Request::new(PostVirtualHostModifyRequest::default()))
        .await
        .expect("answered");
    hooks.post_route_modify(Request::new(PostRouteModifyRequest::default())).await.expect("answered");
    let wanted = [
        (Hook::Cluster, HookOutcome::Ok, 2),
        (Hook::Cluster, HookOutcome::Pool, 1),
        (Hook::Cluster, HookOutcome::Unreadable, 1),
        (Hook::Translation, HookOutcome::Authority, 1),
        (Hook::Translation, HookOutcome::Ok, 1),
        (Hook::HttpListener, HookOutcome::Ok, 1),
        (Hook::VirtualHost, HookOutcome::Ok, 1),
        (Hook::Route, HookOutcome::Ok, 1),
    ];
    for hook in Hook::ALL {
        for outcome in HookOutcome::ALL {
            let row = wanted.iter().find(|(at, how, _)| at == hook && how == outcome);
            let count = row.map_or(0, |(_, _, count)| *count);
            assert_eq!(metrics.count(*hook, *outcome), count, "{hook:?} {outcome:?}");
        }
    }
}
