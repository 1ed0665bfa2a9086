//! `warmlane bench` through routers and engines that run.

use std::{net::SocketAddr, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use warmlane_sim::server::{self, Options, Running};
use warmlane_tests::{TestRouter, eventually};

use super::{
    answers::{VERSION, ours, serve},
    ask, program,
};

/// Faster than real ones, so often.
fn replicas(time_scale: f64) -> (Vec<Running>, Vec<SocketAddr>) {
    let start = |seed| {
        let mut options = Options::new("m");
        (options.time_scale, options.seed) = (time_scale, seed);
        server::start(options).expect("engine starts")
    };
    let replicas: Vec<Running> = (0..2).map(start).collect();
    let addresses = replicas.iter().map(Running::address).collect();
    (replicas, addresses)
}

#[test]
fn two_routes_are_compared_and_the_router_says_where_requests_went() {
    let (_replicas, addresses) = replicas(100.0);
    let router = TestRouter::start(&addresses);
    let (plain, aware) = (router.plain_address().to_string(), router.aware_address().to_string());
    let admin = router.listening().admin;
    let words = ["--requests", "12", "--concurrency", "3", "--prompt-tokens", "200", "--output-tokens", "5"];
    let both = [&["bench", plain.as_str(), aware.as_str()][..], &words].concat();
    let text = ask(admin, &both).well();
    assert!(text.starts_with("load      m, 3 at once, 4 prefixes, 200 prompt tokens, 5 to come\n"), "{text}");
    for part in ["first   second", "first token p99 (ms)", &format!("  to {}", addresses[0])] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let figures = ask(admin, &[&both[..], &["-o", "json"]].concat()).json();
    for route in figures["routes"].as_array().expect("routes") {
        assert_eq!((&route["requests"], &route["failed"]), (&12.into(), &0.into()));
        assert_eq!((&route["replicas_by"], &route["output_tokens"]), (&"router".into(), &60.into()));
        let spread = route["replicas"].as_object().expect("replicas");
        assert_eq!(spread.values().filter_map(serde_json::Value::as_u64).sum::<u64>(), 12, "{route}");
        assert!(route["ttft_ms"]["p50"].as_f64().is_some_and(|ms| ms > 0.0), "{route}");
        // Four prefixes for twelve requests: some were there before, whoever chose.
        assert!(route["cached_share"].as_f64().is_some_and(|share| share > 0.0), "{route}");
    }
    // Without a router, replies say who served them.
    let figures = ask("127.0.0.1:1", &[&["bench", &aware][..], &words, &["-o", "json"]].concat()).json();
    assert_eq!(figures["routes"][0]["replicas_by"], "replies");
}

#[test]
fn bad_answers_are_counted_and_quoted_and_no_route_is_told() {
    let (_replicas, addresses) = replicas(100.0);
    let router = TestRouter::start(&addresses);
    eventually("the model lists are known", || {
        router.aware().post("/v1/completions", r#"{"model":"nobody's"}"#).status == 404
    });
    let aware = router.aware_address().to_string();
    let said = ask(router.listening().admin, &["bench", &aware, "--model", "nobodys", "--requests", "4"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.out.contains("failed    route: 4 status_404, such as: status 404: "), "{}", said.out);
    let said = ask("127.0.0.1:1", &["bench", "127.0.0.1:1"]);
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("no request can be sent to 127.0.0.1:1: cannot connect"), "{}", said.err);
    let strange = serve(ours(VERSION, "200 OK", r#"{"data":[]}"#)).to_string();
    let said = ask("127.0.0.1:1", &["bench", &strange]);
    assert!(said.code == Some(4) && said.err.contains("Name one by --model"), "{said:?}");
    for wrong in [
        &["bench"][..],
        &["bench", "unix:/a"],
        &["bench", "a:1", "b:1", "c:1"],
        &["bench", "a:1", "--requests", "5000"],
    ] {
        assert_eq!(ask("127.0.0.1:1", wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn who_interrupts_it_sees_what_was_measured_so_far() {
    // As slow as real ones: there is always something under way.
    let (_replicas, addresses) = replicas(1.0);
    let router = TestRouter::start(&addresses);
    let aware = router.aware_address().to_string();
    let admin = router.listening().admin.to_string();
    let mut command = program();
    command.args(["--router", &admin, "bench", &aware, "--requests", "2000", "--output-tokens", "20"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let sent =
        || -> u64 { router.endpoints().iter().filter_map(|endpoint| endpoint["requests"].as_u64()).sum() };
    eventually("some are done", || sent() > 12);
    let id = Pid::from_raw(child.id().try_into().expect("an id")).expect("an id");
    kill_process(id, Signal::INT).expect("it is there");
    let said = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(said.stdout).expect("UTF-8");
    assert_eq!(said.status.code(), Some(0), "{text}");
    assert!(text.contains("stopped   before its end") && text.contains("first token p50"), "{text}");
    eventually("nothing stays behind", || router.in_flight() == 0);
}
