//! What a pool's pods are spoken to in.

use envoy_types::pb::envoy::{
    config::core::v3::{Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as Common},
    extensions::upstreams::http::v3::http_protocol_options::{
        AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
        explicit_http_config::ProtocolConfig,
    },
};

use super::*;

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

fn speaking(protocol: &str) -> Value {
    let mut object = v1("qwen", "FailClose");
    object["spec"]["appProtocol"] = json!(protocol);
    object
}

/// A cluster of Envoy Gateway's that says this of its HTTP.
fn saying(options: &HttpProtocolOptions) -> Bytes {
    let any = Any { type_url: format!("type.googleapis.com/{OPTIONS}"), value: options.encode_to_vec() };
    let mut cluster = eds("pool");
    cluster.typed_extension_protocol_options.insert(OPTIONS.to_owned(), any);
    encoded(&cluster)
}

fn said(cluster: &Bytes) -> HttpProtocolOptions {
    let cluster: Cluster = decoded(cluster);
    decoded(&cluster.typed_extension_protocol_options[OPTIONS].value.clone().into())
}

fn explicit(protocol: ProtocolConfig) -> Option<UpstreamProtocolOptions> {
    Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(protocol) }))
}

fn http1() -> Option<UpstreamProtocolOptions> {
    explicit(ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default()))
}

fn http2(streams: Option<u32>) -> Option<UpstreamProtocolOptions> {
    explicit(ProtocolConfig::Http2ProtocolOptions(version_2(streams)))
}

fn version_2(streams: Option<u32>) -> Http2ProtocolOptions {
    let max_concurrent_streams = streams.map(|value| UInt32Value { value });
    Http2ProtocolOptions { max_concurrent_streams, ..Default::default() }
}

#[test]
fn pods_are_spoken_to_as_their_pool_says() {
    let plain = encoded(&eds("pool"));
    for (object, wanted) in [
        (v1("qwen", "FailClose"), http1()),
        (v1alpha2("qwen", "FailClose"), http1()),
        (speaking("http"), http1()),
        (speaking("kubernetes.io/h2c"), http2(None)),
    ] {
        let options = said(&cluster(&plain, &object).expect("a cluster"));
        assert_eq!(options.upstream_protocol_options, wanted, "{object}");
        let idle = options.common_http_protocol_options.and_then(|common| common.idle_timeout);
        assert_eq!(idle, Some(Duration { seconds: 4, nanos: 0 }));
    }
    let why = cluster(&plain, &speaking("h2c")).expect_err("unknown").to_string();
    assert!(why.starts_with("InferencePool default/qwen: spec.appProtocol: "), "{why}");
}

#[test]
fn what_envoy_gateway_has_set_of_http_stays_but_for_the_version_of_an_http_2_pool() {
    let idle_timeout = Some(Duration { seconds: 77, nanos: 0 });
    let common = Some(Common { idle_timeout, ..Default::default() });
    let with = |options| HttpProtocolOptions {
        common_http_protocol_options: common,
        upstream_protocol_options: options,
        ..Default::default()
    };
    let clients = UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig::default());
    let clients_with = UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
        http2_protocol_options: Some(version_2(Some(9))),
        ..Default::default()
    });
    let offered = UpstreamProtocolOptions::AutoConfig(AutoHttpConfig {
        http2_protocol_options: Some(version_2(Some(8))),
        ..Default::default()
    });
    for (before, after) in [
        (http1(), http2(None)),
        (Some(clients.clone()), http2(None)),
        (Some(clients_with), http2(Some(9))),
        (Some(offered), http2(Some(8))),
        (None, http2(None)),
        (http2(Some(9)), http2(Some(9))),
    ] {
        let once =
            cluster(&saying(&with(before.clone())), &speaking("kubernetes.io/h2c")).expect("a cluster");
        assert_eq!(said(&once), with(after), "{before:?}");
        let options: Cluster = decoded(&once);
        let options: Bytes = options.typed_extension_protocol_options[OPTIONS].value.clone().into();
        let options = Message::parse("it", &options).expect("a message");
        assert!(
            !options.has(4) && !options.has(5),
            "nothing is left for whoever takes the first of two: {before:?}"
        );
        let again = cluster(&once, &speaking("kubernetes.io/h2c")).expect("a cluster");
        assert_eq!(said(&again), said(&once), "applied again");
    }
    for before in [Some(clients), http2(Some(9))] {
        let options = said(&cluster(&saying(&with(before.clone())), &speaking("http")).expect("a cluster"));
        assert_eq!(options, with(before), "\"http\" is filled in where a pool says nothing");
    }
}
