//! Both fronts decide alike: the same requests over the same snapshots, read by either from its own bytes.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use warmlane_engine::body::{Api, RequestBody};
use warmlane_picker::{Endpoint, Health, Lora, Models, Profile, Reading, Signals, Slot, Snapshot, Strategy};

use super::{
    inbound::{self, Inbound},
    messages::{HeaderMap, HeaderValue},
};
use crate::{
    config::{Config, ModelRule, Target},
    error::Fault,
    front::{Client, Transport},
    metrics::{Listener, Metrics},
    path::{self, Incoming, Plan, Trace},
    shutdown::Shutdown,
    worker::{Shared, Worker},
    world::{World, pools::Wanted},
};

const REQUESTS: u64 = 3_000;
/// A new snapshot after so many.
const SNAPSHOT: u64 = 25;

fn worker(strategy: Strategy) -> Worker {
    let endpoints = Config::for_endpoints(vec!["127.0.0.1:1".to_owned()]);
    let mut config = Config { profile: Profile::of(strategy), ..endpoints };
    let target = |name: &str, weight| Target { name: name.to_owned(), weight };
    config.models = vec![ModelRule {
        name: "split".to_owned(),
        criticality: warmlane_picker::Criticality::Sheddable,
        targets: vec![target("m", 1), target("a1", 2)],
    }];
    let config = Arc::new(config);
    let world = Arc::new(World::new(&config, 7));
    world.pools.want(&Wanted::of(&config));
    let metrics = Arc::new(Metrics::new(&world));
    let (updates, _) = mpsc::channel(1);
    let (_, shutdown) = watch::channel(Shutdown::Serving);
    Worker::new(Shared { world, config, metrics, tracer: None, updates, shutdown })
}

/// Anything that writers may publish; with readings that count in full, since two clocks are never the same.
fn snapshot(rng: &mut fastrand::Rng, now: std::time::Duration) -> Snapshot {
    let count = rng.u16(1..12);
    let member = |slot: u16, rng: &mut fastrand::Rng| {
        let reading = |value: f32| Some(Reading { value, at: now });
        let mut names = vec!["a1".to_owned(), "a2".to_owned()];
        names.truncate(rng.usize(0..3));
        let signals = Signals {
            queue: reading(f32::from(rng.u8(0..12))),
            running: reading(f32::from(rng.u8(0..60))),
            kv_use: reading(rng.f32()),
            kv_capacity_tokens: Some(rng.u64(20_000..300_000)),
            lora: Some(Reading {
                value: Lora { active: names.clone(), waiting: Vec::new(), max: 2 },
                at: now,
            }),
            awake: None,
            mark: warmlane_picker::Work::default(),
        };
        let endpoint = Endpoint {
            slot: Slot(slot),
            address: format!("10.0.0.{slot}:8000").into(),
            socket: ([10, 0, 0, slot as u8], 8000).into(),
            ready: rng.u8(0..10) > 0,
            health: if rng.u8(0..10) == 0 { Health::Degraded("hot".into()) } else { Health::Healthy },
            stuck: None,
            local: rng.bool(),
            joined: None,
            signals,
        };
        (
            endpoint,
            Models::Known { base: vec!["m".to_owned()], adapters: vec!["a1".to_owned(), "a2".to_owned()] },
        )
    };
    Snapshot::new((0..count).map(|slot| member(slot, rng)).collect())
}

struct Asked {
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn asked(rng: &mut fastrand::Rng) -> Asked {
    let model = ["m", "a1", "a2", "split", "nobody's"][rng.usize(0..5)];
    let words = rng.usize(1..400);
    let prompt = format!("conversation {} {}", rng.u8(0..12), "and so on ".repeat(words));
    let headers = match rng.u8(0..3) {
        0 => vec![("x-session-id", format!("s{}", rng.u8(0..20)))],
        1 => vec![("cookie", format!("warmlane-session=c{}", rng.u8(0..20)))],
        _ => Vec::new(),
    };
    let stream = rng.bool();
    let max = rng.u16(1..2_000);
    let (path, body) = match rng.u8(0..4) {
        0 => (
            "/v1/completions",
            format!(r#"{{"model":"{model}","prompt":"{prompt}","max_tokens":{max},"stream":{stream}}}"#),
        ),
        1 => (
            "/v1/responses",
            format!(r#"{{"input":"{prompt}","model":"{model}","max_output_tokens":{max}}}"#),
        ),
        2 => ("/v1/chat/completions", format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}]}}"#)),
        _ => (
            "/v1/chat/completions",
            format!(
                r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
            ),
        ),
    };
    Asked { path, headers, body }
}

/// What a decision is, or why there is none.
fn shown(plan: Result<Plan, Fault>) -> String {
    match plan {
        Ok(plan) => format!(
            "{:?} {:?} {:?} {:?} {:?} {}",
            plan.first, plan.fallbacks, plan.rewrite, plan.load, plan.decision, plan.incoming.session
        ),
        Err(fault) => fault.to_string(),
    }
}

async fn by_http(worker: &Worker, client: &mut Client, asked: &Asked) -> String {
    let mut head =
        format!("POST {} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n", asked.path, asked.body.len());
    asked.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    client.request = format!("{head}\r\n{}", asked.body).into_bytes();
    let mut trace = Trace::begin(Listener::Aware);
    let decide = match path::read_http(worker, client, &mut trace).await {
        Ok(incoming) => decide(worker, client.api.zip(client.asked()), incoming, &mut trace),
        Err(fault) => Err(fault),
    };
    shown(decide)
}

fn by_envoy(worker: &Worker, asked: &Asked, rng: &mut fastrand::Rng) -> String {
    let header = |name: &str, value: &str| HeaderValue {
        key: Bytes::copy_from_slice(name.as_bytes()),
        raw_value: Bytes::copy_from_slice(value.as_bytes()),
        ..HeaderValue::default()
    };
    let mut headers = vec![header(":method", "POST"), header(":path", asked.path)];
    headers.extend(asked.headers.iter().map(|(name, value)| header(name, value)));
    let mut inbound = Inbound::new(worker, HeaderMap { headers }, false, None).expect("a request");
    let mut trace = Trace::begin(Listener::ExtProc);
    trace.request_id = inbound::identify(worker, &inbound);
    let mut rest = Bytes::copy_from_slice(asked.body.as_bytes());
    while !rest.is_empty() {
        let piece = rest.split_to(rng.usize(1..=rest.len()));
        inbound.push(worker, piece, 0).expect("room");
    }
    let api = inbound.api;
    let decided = inbound
        .finish(worker, false)
        .and_then(|whole| decide(worker, api.zip(whole.asked.as_ref()), whole.incoming, &mut trace));
    shown(decided)
}

fn decide(
    worker: &Worker,
    asked: Option<(Api, &RequestBody)>,
    incoming: Incoming,
    trace: &mut Trace,
) -> Result<Plan, Fault> {
    let (admitted, _) = path::admit(worker, asked, incoming, trace, Vec::new)?;
    path::choose(worker, asked.map(|(_, body)| body), admitted, trace)
}

#[tokio::test]
async fn same_decision() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
    let mut client = Client::new(Transport::Tcp(stream));
    let (mut decided, mut refused) = (0, 0);
    for strategy in [Strategy::Default, Strategy::PrefixCache] {
        let (http, envoy) = (worker(strategy), worker(strategy));
        let mut rng = fastrand::Rng::with_seed(11);
        for number in 0..REQUESTS {
            if number % SNAPSHOT == 0 {
                let seed = rng.u64(..);
                for worker in [&http, &envoy] {
                    let now = worker.world.time(Instant::now());
                    let snapshot = snapshot(&mut fastrand::Rng::with_seed(seed), now);
                    worker.world.pools.first().expect("the configured one").publish(Arc::new(snapshot));
                }
            }
            let asked = asked(&mut rng);
            let seed = rng.u64(..);
            for worker in [&http, &envoy] {
                worker.chooser.rng.replace(fastrand::Rng::with_seed(seed));
            }
            let by_http = by_http(&http, &mut client, &asked).await;
            let by_envoy = by_envoy(&envoy, &asked, &mut rng);
            assert_eq!(by_http, by_envoy, "request {number}: {}", asked.body);
            if by_http.contains("Destination") { decided += 1 } else { refused += 1 }
        }
    }
    assert!(decided > 3_000 && refused > 500, "{decided} decided, {refused} refused");
}
