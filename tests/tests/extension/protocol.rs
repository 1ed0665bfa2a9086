//! A pool whose pods speak HTTP/2: Envoy does so too. A router stands for such a pod, as it takes both.

use warmlane_tests::{RawEngine, TestRouter};

use super::*;

/// The pool's cluster, as Envoy's statistics name it.
const CLUSTER: &str = "cluster.httproute/default/qwen/rule/0.upstream_cx";

#[test]
fn envoy_speaks_to_the_pods_of_a_pool_as_it_says() {
    for (protocol, [http1, http2]) in [("http", [1, 0]), ("kubernetes.io/h2c", [0, 1])] {
        let engine = RawEngine::start(Behaviour::Answer(answer("application/json", b"{\"engine\":7}")));
        let pod = TestRouter::start(&[engine.address()]);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let router = TestRouter::with(&[pod.plain_address()], |config| {
            (config.listen.ext_proc, config.listen.extension) = (Some(any), Some(any));
            config.extension.domain = DOMAIN.to_owned();
        });
        let picker = router.listening().ext_proc.expect("a picker");
        let pool = json!({
            "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
            "metadata": {"name": "qwen", "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": {"app": "qwen"}}, "appProtocol": protocol,
                "targetPorts": [{"number": pod.plain_address().port()}],
                "endpointPickerRef": {"name": "picker", "port": {"number": picker.port()}},
            },
        });
        let extension = router.listening().extension.expect("an extension server");
        let made = EnvoyGateway::connect(extension).configuration(&pool, engine.address());
        let envoy = Bootstrap::of_resources(&made.clusters(), &made.listeners()).start();
        let healthy = "cluster.warmlane/picker/default/qwen.membership_healthy";
        eventually("Envoy sees the picker", || envoy.stat(healthy) == 1);
        assert_eq!(by(&Wire::connect(envoy.aware()).post(PATH, CHAT)), 7, "{protocol}");
        let made = ["http1", "http2"].map(|version| envoy.stat(&format!("{CLUSTER}_{version}_total")));
        assert_eq!(made, [http1, http2], "{protocol}");
    }
}
