//! Listeners: which get the filter, and where.

use envoy_types::pb::envoy::{
    config::listener::v3::{Filter, FilterChain, Listener, filter::ConfigType},
    extensions::filters::{
        http::ext_proc::v3::{ExternalProcessor, processing_mode::BodySendMode},
        network::http_connection_manager::v3::{
            HttpFilter, Rds, http_connection_manager::RouteSpecifier, http_filter,
        },
    },
};
use warmlane_api::extension::PostHttpListenerModifyRequest;

use super::*;

const MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// With the routes of this name, and another filter before the router.
pub(super) fn listener(routes: &str) -> Bytes {
    let filter = |name: &str| HttpFilter { name: name.to_owned(), ..Default::default() };
    let rds = Rds { route_config_name: routes.to_owned(), ..Default::default() };
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(rds)),
        http_filters: vec![filter("envoy.filters.http.cors"), filter("envoy.filters.http.router")],
        ..Default::default()
    };
    let filter = Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: MANAGER.to_owned(),
            value: manager.encode_to_vec(),
        })),
    };
    let chain = FilterChain { filters: vec![filter], ..Default::default() };
    encoded(&Listener { name: routes.to_owned(), default_filter_chain: Some(chain), ..Default::default() })
}

fn manager(listener: &Bytes) -> HttpConnectionManager {
    let listener: Listener = decoded(listener);
    let mut chain = listener.default_filter_chain.expect("a chain");
    let Some(ConfigType::TypedConfig(any)) = chain.filters.remove(0).config_type else {
        panic!("no manager")
    };
    decoded(&any.value.into())
}

fn has_it(listener: &Bytes) {
    let manager = manager(listener);
    let names: Vec<&str> = manager.http_filters.iter().map(|filter| filter.name.as_str()).collect();
    assert_eq!(names, ["envoy.filters.http.cors", NAME, "envoy.filters.http.router"]);
    let filter = &manager.http_filters[1];
    assert!(filter.disabled, "off until a route turns it on");
    let Some(http_filter::ConfigType::TypedConfig(any)) = &filter.config_type else { panic!("no filter") };
    let filter: ExternalProcessor = decoded(&any.value.clone().into());
    let mode = filter.processing_mode.expect("a mode");
    assert_eq!(mode.request_body_mode(), BodySendMode::FullDuplexStreamed);
    assert_eq!(mode.response_body_mode(), BodySendMode::None);
    assert_eq!(filter.response_attributes.len(), 2);
    let early = format!("{:?}", manager.early_header_mutation_extensions);
    assert!(early.contains("warmlane.dev/destination"), "{early}");
}

#[test]
fn the_filter_is_before_the_router_of_listeners_that_lead_to_pools() {
    let after = translated(&Hooks::default(), &[v1("qwen", "FailOpen")]);
    has_it(&after.listeners[0]);
    assert_eq!(after.listeners[1], listener("plain"), "another listener keeps its bytes");
}

#[test]
fn the_hook_for_listeners_puts_it_into_each() {
    let request = PostHttpListenerModifyRequest { listener: listener("plain") };
    has_it(&Hooks::default().listener(&request).expect("a listener"));
}

#[test]
fn without_routes_every_listener_may_lead_to_pools() {
    let hooks = Hooks::default();
    let sent =
        PostTranslateModifyRequest { routes: Vec::new(), ..request(&hooks, &[v1("qwen", "FailOpen")]) };
    let after = hooks.translate(sent).expect("an answer");
    after.listeners.iter().for_each(has_it);
}

#[test]
fn a_listener_of_other_protocols_keeps_its_bytes() {
    let filter = Filter {
        name: "envoy.filters.network.tcp_proxy".to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy".to_owned(),
            value: b"which nobody reads".to_vec(),
        })),
    };
    let chain = FilterChain { filters: vec![filter], ..Default::default() };
    let tcp = encoded(&Listener { filter_chains: vec![chain], ..Default::default() });
    let request = PostHttpListenerModifyRequest { listener: tcp.clone() };
    assert_eq!(Hooks::default().listener(&request).expect("a listener"), tcp);
}
