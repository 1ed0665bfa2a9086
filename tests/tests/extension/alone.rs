//! Hooks from a server that has nothing else to do: it knows no replicas and no pools, and asks no cluster.

use warmlane_tests::TestRouter;

use super::*;

fn alone() -> TestRouter {
    TestRouter::unready(&[], |config| {
        (config.listen.plain, config.listen.aware) = (None, None);
        config.listen.extension = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.extension.domain = DOMAIN.to_owned();
    })
}

/// What one router makes of the pool of another, which picks.
#[test]
fn a_gateway_it_has_configured_asks_the_pools_picker() {
    let (alone, mut picker) = (alone(), picker(|config| config.listen.extension = None));
    let pool = pool(&picker, "FailClose");
    let gateway = EnvoyGateway::connect(alone.listening().extension.expect("an extension server"));
    let made = gateway.configuration(&pool, picker.engines[0].address());
    let envoy = Bootstrap::of_resources(&made.clusters(), &made.listeners()).start();
    let engines = std::mem::take(&mut picker.engines);
    let scene = Scene { picker: Some(picker), engines, envoy, _made: made };
    scene.wait_for_picker(true);
    assert_eq!(by(&scene.chat()), 1);
    drop(alone);
    assert_eq!(by(&scene.chat()), 1, "requests need no hooks");
}

#[test]
fn it_is_ready_without_a_replica_and_counts_what_it_is_asked() {
    let alone = alone();
    let ready = alone.metrics().get("/readyz");
    assert_eq!(
        (ready.status, ready.text().trim()),
        (200, "ok: hooks for Envoy Gateway are served, which need no replica")
    );
    let gateway = EnvoyGateway::connect(alone.listening().extension.expect("an extension server"));
    let picker = picker(|_| {});
    let (good, mut wrong) = (pool(&picker, "FailOpen"), pool(&picker, "FailOpen"));
    wrong["spec"]["targetPorts"][1]["number"] = json!(0);
    gateway.cluster(&good).expect("a cluster");
    gateway.cluster(&wrong).expect_err("no port");
    let counted = |outcome: &str| {
        alone.metric(&format!("warmlane_extension_hooks_total{{hook=\"cluster\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!((counted("ok"), counted("pool")), (1.0, 1.0));
    let took = "warmlane_extension_hook_duration_seconds_count{hook=\"cluster\"}";
    eventually("both are timed", || alone.metric(took) == 2.0);
}
