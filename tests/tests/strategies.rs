//! Where requests go: prefixes, sessions, adapters and load, on simulated engines; and how often engines are read for it.

use std::{collections::HashSet, net::SocketAddr};

use warmlane_picker::{PlainPolicy, Profile, Strategy};
use warmlane_sim::server::{self, Options, Running};
use warmlane_tests::{Response, TestRouter, eventually};

/// Replicas that compute a thousand times faster than the real ones.
fn replicas(count: usize, change: impl Fn(&mut Options)) -> Vec<Running> {
    let start = |seed| {
        let mut options = Options::new("m");
        options.adapters = vec!["a".to_owned(), "b".to_owned()];
        (options.time_scale, options.seed) = (1_000.0, seed);
        change(&mut options);
        server::start(options).expect("engine starts")
    };
    (0..count as u64).map(start).collect()
}

fn router(replicas: &[Running], strategy: Strategy) -> TestRouter {
    let addresses: Vec<SocketAddr> = replicas.iter().map(Running::address).collect();
    let router = TestRouter::with(&addresses, |config| {
        config.profile = Profile::of(strategy);
        config.headers.set_session_cookie = true;
    });
    eventually("the model lists are known", || {
        router.aware().post("/v1/completions", r#"{"model":"nobody's"}"#).status == 404
    });
    router
}

fn endpoint(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.text());
    response.header("x-warmlane-endpoint").expect("endpoint").to_owned()
}

/// A prompt of about `words` words that shares nothing with another number's.
fn prompt(number: usize, words: usize) -> String {
    (0..words).map(|word| format!("w{number}x{} ", word * 31 % 997)).collect()
}

fn completion(prompt: &str) -> String {
    format!(r#"{{"model":"m","prompt":"{prompt}","max_tokens":2}}"#)
}

fn cached(response: &Response) -> u64 {
    response.json()["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0)
}

#[test]
fn prefix_cache_sends_every_repeat_to_the_replica_that_is_warm() {
    let replicas = replicas(4, |_| {});
    let router = router(&replicas, Strategy::PrefixCache);
    let prompts: Vec<String> = (0..12).map(|n| completion(&prompt(n, 600))).collect();
    let first: Vec<String> =
        prompts.iter().map(|p| endpoint(&router.aware().post("/v1/completions", p))).collect();
    assert!(first.iter().collect::<HashSet<_>>().len() > 1, "they spread: {first:?}");
    for (prompt, warm) in prompts.iter().zip(&first) {
        let again = router.aware().post("/v1/completions", prompt);
        assert_eq!(&endpoint(&again), warm);
        assert!(cached(&again) > 500, "{}", again.text());
    }
}

#[test]
fn a_growing_conversation_stays_where_its_beginning_is() {
    let replicas = replicas(4, |_| {});
    let router = router(&replicas, Strategy::PrefixCache);
    let mut messages = format!(r#"{{"role":"user","content":"{}"}}"#, prompt(1, 300));
    let mut homes = HashSet::new();
    for turn in 0..5 {
        let body = format!(r#"{{"messages":[{messages}],"model":"m","max_tokens":2}}"#);
        let response = router.aware().post("/v1/chat/completions", &body);
        homes.insert(endpoint(&response));
        assert!(turn == 0 || cached(&response) > 200, "turn {turn}: {homes:?} {}", response.json()["usage"]);
        let answer = r#"{"role":"assistant","content":"yes"}"#;
        messages = format!(r#"{messages},{answer},{{"role":"user","content":"{}"}}"#, prompt(10 + turn, 40));
    }
    assert_eq!(homes.len(), 1, "{homes:?}");
}

#[test]
fn equal_prompts_of_other_models_or_salts_share_nothing() {
    let replicas = replicas(1, |_| {});
    let router = router(&replicas, Strategy::PrefixCache);
    let text = prompt(3, 400);
    let matched = || router.metric("warmlane_prefix_matched_tokens_total");
    let send = |body: String| {
        let before = matched();
        endpoint(&router.aware().post("/v1/completions", &body));
        matched() - before
    };
    assert_eq!(send(completion(&text)), 0.0);
    assert!(send(completion(&text)) > 400.0, "a repeat matches");
    assert_eq!(
        send(format!(r#"{{"model":"a","prompt":"{text}","max_tokens":2}}"#)),
        0.0,
        "an adapter's is another"
    );
    let salted =
        |salt: &str| format!(r#"{{"model":"m","prompt":"{text}","max_tokens":2,"cache_salt":"{salt}"}}"#);
    assert_eq!(send(salted("s")), 0.0, "a salt makes it another");
    assert!(send(salted("s")) > 400.0);
    assert_eq!(send(salted("t")), 0.0);
}

#[test]
fn a_session_stays_on_its_replica_however_it_is_declared() {
    let replicas = replicas(4, |_| {});
    let router = router(&replicas, Strategy::Default);
    let body = |n: usize, extra: &str| {
        format!(r#"{{"model":"m","prompt":"{}","max_tokens":2{extra}}}"#, prompt(n, 3))
    };
    let homes =
        |send: &dyn Fn(usize) -> Response| (0..12).map(|n| endpoint(&send(n))).collect::<HashSet<_>>().len();
    let by_header = |n| router.aware().post_with("/v1/completions", "X-Session-ID: alice\r\n", &body(n, ""));
    let by_cookie = |n| {
        router.aware().post_with("/v1/completions", "Cookie: x=y; warmlane-session=bob\r\n", &body(n, ""))
    };
    let by_key = |n| router.aware().post("/v1/completions", &body(n, r#","prompt_cache_key":"carol""#));
    assert_eq!((homes(&by_header), homes(&by_cookie), homes(&by_key)), (1, 1, 1));
    let nobody = |n| router.aware().post("/v1/completions", &body(n, ""));
    assert!(homes(&nobody) > 1, "without a session they spread");
}

#[test]
fn the_cookie_that_was_set_leads_back() {
    let replicas = replicas(4, |_| {});
    let router = router(&replicas, Strategy::Default);
    let first = router.aware().post("/v1/completions", &completion("hi"));
    let cookie = first.header("set-cookie").expect("cookie").split(';').next().unwrap_or_default().to_owned();
    for n in 0..10 {
        let again = router.aware().post_with(
            "/v1/completions",
            &format!("Cookie: {cookie}\r\n"),
            &completion(&prompt(n, 3)),
        );
        assert_eq!(endpoint(&again), endpoint(&first));
        assert_eq!(again.header("set-cookie"), None, "it has one");
    }
}

#[test]
fn a_response_that_is_continued_goes_where_it_was_made() {
    let replicas = replicas(4, |_| {});
    let router = router(&replicas, Strategy::Default);
    for stream in [false, true] {
        let ask = format!(r#"{{"model":"m","input":"hello","max_output_tokens":2,"stream":{stream}}}"#);
        let first = router.aware().post("/v1/responses", &ask);
        let home = endpoint(&first);
        let text = first.text();
        let at = text.find("\"resp_").expect("id") + 1;
        let id = text[at..].split('"').next().unwrap_or_default();
        for _ in 0..8 {
            let next = format!(
                r#"{{"model":"m","input":"more","max_output_tokens":2,"previous_response_id":"{id}"}}"#
            );
            assert_eq!(endpoint(&router.aware().post("/v1/responses", &next)), home, "stream: {stream}");
        }
    }
}

#[test]
fn a_session_leaves_a_replica_that_is_gone_and_stays_on_the_next() {
    let mut replicas = replicas(3, |_| {});
    let router = router(&replicas, Strategy::Default);
    let send = || router.aware().post_with("/v1/completions", "X-Session-ID: alice\r\n", &completion("x"));
    let home = endpoint(&send());
    let at = replicas.iter().position(|r| r.address().to_string() == home).expect("one of them");
    replicas.remove(at).stop(server::Stop::Kill);
    let next = endpoint(&send());
    assert_ne!(next, home);
    assert!((0..8).all(|_| endpoint(&send()) == next), "pinned again");
}

#[test]
fn a_sleeping_replica_gets_nothing_though_it_looks_idle() {
    let replicas = replicas(2, |_| {});
    let router = router(&replicas, Strategy::Default);
    let asleep = replicas[0].address();
    assert_eq!(warmlane_tests::Wire::connect(asleep).post("/sleep", "").status, 200);
    eventually("the router knows", || router.endpoints()[0]["signals"]["awake"]["value"] == false);
    let served =
        (0..30).map(|n| endpoint(&router.aware().post("/v1/completions", &completion(&prompt(n, 2)))));
    assert!(served.collect::<HashSet<_>>().iter().all(|e| *e != asleep.to_string()));
}

#[test]
fn plain_policies_spread_as_they_say() {
    let replicas = replicas(3, |_| {});
    let addresses: Vec<SocketAddr> = replicas.iter().map(Running::address).collect();
    for policy in [PlainPolicy::Random, PlainPolicy::RoundRobin, PlainPolicy::LeastRequest] {
        let router = TestRouter::with(&addresses, |config| {
            (config.plain_policy, config.workers) = (policy, 1);
        });
        let send = |_| endpoint(&router.plain().post("/v1/completions", &completion("x")));
        let served: Vec<String> = (0..30).map(send).collect();
        assert_eq!(served.iter().collect::<HashSet<_>>().len(), 3, "{policy}: {served:?}");
        if policy == PlainPolicy::RoundRobin {
            assert!(served.windows(4).all(|w| w[0] == w[3] && w[0] != w[1]), "{served:?}");
        }
    }
}

#[test]
fn the_endpoint_header_can_be_turned_off() {
    let replicas = replicas(1, |_| {});
    let router = TestRouter::with(&[replicas[0].address()], |config| config.headers.endpoint = false);
    let response = router.aware().post("/v1/completions", &completion("x"));
    assert_eq!((response.status, response.header("x-warmlane-endpoint")), (200, None));
}

#[test]
fn many_engines_together_are_read_no_more_often_than_is_set_and_all_of_them_are() {
    const RATE: usize = 40;
    let (engines, addresses) = warmlane_tests::picker::engines(20);
    let begun = std::time::Instant::now();
    // All are ready at once: first readings wait for no turn.
    let router = TestRouter::with(&addresses, |config| {
        (config.scrape.rate, config.scrape.max_interval) = (RATE, config.scrape.min_interval);
    });
    let read = || router.metric("warmlane_scrapes_total{outcome=\"ok\"}") as usize;
    eventually("each was read some times", || read() > 4 * engines.len());
    let (read, most) =
        (read(), engines.len() + 1 + begun.elapsed().as_secs_f64().mul_add(RATE as f64, 1.0) as usize);
    assert!(read <= most, "{read} readings, and no more than {most} were due");
    let ages = router.endpoints();
    let ages = ages.iter().map(|endpoint| endpoint["signals"]["kv_use"]["age_ms"].as_f64());
    assert!(ages.clone().all(|age| age.is_some_and(|age| age < 5_000.0)), "{:?}", ages.collect::<Vec<_>>());
}
