use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinSet,
};
use warmlane_api::admin;
use warmlane_picker::{Chain, Lora, Reading, Saved, Signals as Load, Slot, Time};

use super::*;
use crate::{
    config::Config,
    shutdown::Shutdown,
    world::writer::{Failure, Update, Writer},
};

/// For what must happen soon: only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Fixture {
    pub(super) sources: Sources,
    shutdown: watch::Sender<Shutdown>,
    pub(super) updates: mpsc::Sender<Update>,
    _writer: JoinSet<()>,
}

impl Fixture {
    pub(super) fn new(endpoints: &[&str]) -> Self {
        let config = Config::for_endpoints(endpoints.iter().map(ToString::to_string).collect());
        let world = Arc::new(World::new(&config, 1));
        let (writer, updates) = Writer::new(world.clone(), &config);
        let mut task = JoinSet::new();
        task.spawn(writer.run());
        let (shutdown, is_shutdown) = watch::channel(Shutdown::Serving);
        let metrics = Arc::new(Metrics::new(&world));
        let sources = Sources {
            world,
            config_text: config.to_string().into(),
            config: Arc::new(config),
            metrics,
            shutdown: is_shutdown,
            desired: None,
            levers: Levers {
                updates: updates.clone(),
                log: None,
                token_file: Default::default(),
                hosts: Vec::new(),
            },
        };
        Self { sources, shutdown, updates, _writer: task }
    }

    /// Tells the writer and waits until it has published.
    pub(super) async fn tell(&self, update: Update) {
        let before = self.sources.world.snapshot.load_full();
        self.updates.send(update).await.expect("the writer runs");
        let published = async {
            while Arc::ptr_eq(&before, &self.sources.world.snapshot.load_full()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, published).await.expect("the writer publishes");
    }

    fn ask(&self, port: Port, path: &str) -> (StatusCode, String) {
        self.ask_by(Method::GET, port, path)
    }

    fn ask_by(&self, method: Method, port: Port, path: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(()).expect("request");
        let response = pages::answer(port, &request, &self.sources);
        let status = response.status();
        let mut body = response.into_body();
        let frame = std::pin::pin!(async { http_body_util::BodyExt::frame(&mut body).await });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(frame) = frame.poll(&mut context) else { panic!("a whole body is there") };
        let text = frame.and_then(Result::ok).and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        (status, String::from_utf8(text.to_vec()).expect("text"))
    }
}

#[tokio::test]
async fn readiness_follows_the_replicas_and_the_drain() {
    let fixture = Fixture::new(&["a:1", "b:2"]);
    let (status, why) = fixture.ask(Port::Metrics, "/readyz");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let each = "a:1: failed: not heard of yet; b:2: failed: not heard of yet";
    assert!(why.contains(&format!("none of 2 replicas gets requests; {each}")), "{why}");
    fixture.tell(Update::Alive { slot: Slot(1) }).await;
    for port in [Port::Metrics, Port::Admin] {
        assert_eq!(fixture.ask(port, "/readyz"), (StatusCode::OK, "ok: 1 of 2 replicas ready\n".to_owned()));
        assert_eq!(fixture.ask(port, "/healthz").0, StatusCode::OK);
    }
    fixture.tell(Update::Unreachable { slot: Slot(1), why: Failure::Refused }).await;
    assert_eq!(fixture.ask(Port::Admin, "/readyz").0, StatusCode::SERVICE_UNAVAILABLE);
    fixture.tell(Update::Alive { slot: Slot(1) }).await;
    let about = || serde_json::from_str(&fixture.ask(Port::Admin, "/debug/router").1).expect("a page");
    let admin::Router { ready, readiness, version, .. } = about();
    assert_eq!((ready, readiness.as_str()), (true, "ok: 1 of 2 replicas ready"));
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    fixture.shutdown.send_replace(Shutdown::Announced);
    let admin::Router { ready, readiness, .. } = about();
    assert_eq!((ready, readiness.as_str()), (false, "draining: the router is stopping"));
    let (status, why) = fixture.ask(Port::Metrics, "/readyz");
    assert_eq!(
        (status, why.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "draining: the router is stopping\n")
    );
    assert_eq!(fixture.ask(Port::Metrics, "/healthz").0, StatusCode::OK, "a draining process is healthy");
}

#[tokio::test]
async fn debug_endpoints_shows_every_signal_with_its_age() {
    let fixture = Fixture::new(&["10.0.0.1:8000", "10.0.0.2:8000"]);
    let reading = |value| Some(Reading { value, at: Time::ZERO });
    let lora = Lora { active: vec!["tuned".to_owned()], waiting: vec![], max: 2 };
    let signals = Load {
        queue: reading(3.0),
        kv_use: reading(0.5),
        kv_capacity_tokens: Some(95_000),
        lora: Some(Reading { value: lora, at: Time::ZERO }),
        ..Load::default()
    };
    let load = crate::world::writer::Load { slot: Slot(0), signals, progress: None };
    fixture.tell(Update::Load(Box::new(load))).await;
    let list = warmlane_engine::models::ModelList::parse(br#"{"data":[{"id":"m"}]}"#).expect("list");
    fixture.tell(Update::Models { slot: Slot(0), at: Time::ZERO, list }).await;
    let in_flight = fixture.sources.world.ledger.open(Slot(0), crate::ledger::Load::default());
    let (status, page) = fixture.ask(Port::Admin, "/debug/endpoints");
    assert_eq!(status, StatusCode::OK);
    let page: Value = serde_json::from_str(&page).expect("JSON");
    let (first, second) = (&page["endpoints"][0], &page["endpoints"][1]);
    assert_eq!(first["address"], "10.0.0.1:8000");
    assert_eq!((&first["ready"], &first["in_flight"]), (&Value::from(true), &Value::from(1)));
    assert_eq!(first["signals"]["queue"]["value"], 3.0);
    assert!(first["signals"]["queue"]["age_ms"].is_u64());
    assert_eq!(first["signals"]["kv_use"]["value"], 0.5);
    assert_eq!(first["signals"]["running"], Value::Null, "never said");
    assert_eq!(first["signals"]["lora"]["value"]["active"][0], "tuned");
    assert_eq!(
        (&first["health"], &first["kv_capacity_tokens"]),
        (&Value::from("healthy"), &Value::from(95_000))
    );
    assert_eq!(first["models"], serde_json::json!(["m"]));
    assert_eq!((&second["ready"], &second["models"]), (&Value::from(false), &Value::Null));
    assert_eq!(second["health"], "failed: not heard of yet");
    assert_eq!((&first["pools"], &first["node"]), (&serde_json::json!(["endpoints"]), &Value::Null));
    drop(in_flight);
}

#[tokio::test]
async fn debug_pins_shows_sessions_and_groups_with_what_the_lane_carried() {
    let fixture = Fixture::new(&["10.0.0.1:8000", "10.0.0.2:8000"]);
    let world = &fixture.sources.world;
    let saved = |responses| Saved { responses, bytes: 4_096 * responses, wakeups: 40 * responses };
    let chain = Chain::new(7, &[9; 16]);
    let group = (0..8).filter_map(|_| world.groups.observe(&chain, Time::ZERO)).next().expect("a group");
    world.groups.pin(&group, Slot(0), Time::ZERO);
    world.groups.pin(&group, Slot(1), Time::ZERO);
    world.groups.credit(group.id, saved(3));
    world.pins.pin(0xfeed_beef_0f12_3456, Slot(1), Time::ZERO);
    world.pins.credit(0xfeed_beef_0f12_3456, saved(2));
    world.pins.pin(77 << 30, Slot(9), Time::ZERO);
    let (status, page) = fixture.ask(Port::Admin, "/debug/pins");
    assert_eq!(status, StatusCode::OK);
    let page: Value = serde_json::from_str(&page).expect("JSON");
    let (sessions, groups) = (&page["sessions"], &page["groups"]);
    assert_eq!((&sessions["pinned"], &groups["pinned"]), (&Value::from(2), &Value::from(1)));
    assert!(sessions["capacity"].as_u64() >= Some(65_536), "{page}");
    assert_eq!((&sessions["lifetime_seconds"], &groups["window_seconds"]), (&1800.0.into(), &60.0.into()));
    assert_eq!(groups["min_requests"], 8);
    let row = |session| sessions["pins"].as_array()?.iter().find(|row| row["session"] == session);
    let pin = row("feedbeef0f000000").expect("the first 40 bits of the hash");
    assert_eq!((&pin["endpoint"], &pin["local"]), (&"10.0.0.2:8000".into(), &false.into()));
    assert!(pin["idle_seconds"].as_f64().is_some_and(|idle| (0.0..60.0).contains(&idle)), "{pin}");
    assert_eq!(pin["lane"], serde_json::json!({ "responses": 2, "bytes": 8_192, "wakeups_saved": 80 }));
    let gone = row("0000001340000000").expect("the other session");
    assert_eq!((&gone["endpoint"], &gone["lane"]["bytes"]), (&Value::Null, &0.into()), "left the pool");
    let pinned = &groups["pins"][0];
    assert_eq!(pinned["group"], format!("{:016x}", group.id >> 24 << 24));
    assert_eq!(pinned["endpoints"], serde_json::json!(["10.0.0.2:8000", "10.0.0.1:8000"]));
    assert_eq!(pinned["lane"], serde_json::json!({ "responses": 3, "bytes": 12_288, "wakeups_saved": 120 }));
}

#[tokio::test]
async fn debug_pins_shows_as_many_as_asked_and_refuses_what_it_cannot_show() {
    let fixture = Fixture::new(&["a:1"]);
    let world = &fixture.sources.world;
    (1..=150_u64).for_each(|n| _ = world.pins.pin(n << 40, Slot(0), Time::ZERO));
    for (path, rows) in [("", 100), ("?limit=0", 0), ("?limit=7", 7), ("?limit=10000", 150)] {
        let (status, page) = fixture.ask(Port::Admin, &format!("/debug/pins{path}"));
        assert_eq!(status, StatusCode::OK, "{path}");
        let page: Value = serde_json::from_str(&page).expect("JSON");
        assert_eq!(page["sessions"]["pins"].as_array().map(Vec::len), Some(rows), "{path}");
        assert_eq!(page["sessions"]["pinned"], 150, "{path}");
    }
    for query in ["limit=10001", "limit=-1", "limit=", "limit=ten", "rows=5", "limit=5&limit=6"] {
        let (status, body) = fixture.ask(Port::Admin, &format!("/debug/pins?{query}"));
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let message = body["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(query) && message.contains("?limit=500"), "{message}");
    }
    assert_eq!(fixture.ask(Port::Metrics, "/debug/pins").0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn debug_groups_is_the_half_of_debug_pins() {
    let fixture = Fixture::new(&["10.0.0.1:8000"]);
    let world = &fixture.sources.world;
    for seed in 1..=5 {
        let chain = Chain::new(seed, &[9; 16]);
        let group = (0..8).filter_map(|_| world.groups.observe(&chain, Time::ZERO)).next().expect("a group");
        world.groups.pin(&group, Slot(0), Time::ZERO);
    }
    let page = |path: &str| -> Value {
        let (status, page) = fixture.ask(Port::Admin, path);
        assert_eq!(status, StatusCode::OK, "{path}");
        serde_json::from_str(&page).expect("JSON")
    };
    let (groups, pins) = (page("/debug/groups?limit=3"), page("/debug/pins?limit=3"));
    assert_eq!(groups["groups"]["pins"].as_array().map(Vec::len), Some(3));
    assert_eq!((&groups["groups"]["pinned"], &groups["sessions"]), (&5.into(), &Value::Null));
    let names = |page: &Value| -> Vec<String> {
        let rows = page["groups"]["pins"].as_array().expect("rows");
        rows.iter().map(|row| row["group"].to_string()).collect()
    };
    assert_eq!(names(&groups), names(&pins));
    assert_eq!(fixture.ask(Port::Admin, "/debug/groups?limit=ten").0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn every_answer_says_which_version_gives_it_and_every_page_is_indented() {
    let fixture = Fixture::new(&["a:1"]);
    let nothing = fixture.ask(Port::Admin, "/debug/nothing").1;
    let nothing: admin::Failure = serde_json::from_str(&nothing).expect("a failure");
    assert!(nothing.error.paths.len() > 9, "{nothing:?}");
    for path in
        nothing.error.paths.iter().map(String::as_str).chain(["/debug/nothing", "/debug/pins?limit=x"])
    {
        let request = Request::builder().uri(path).body(()).expect("request");
        let answer = pages::answer(Port::Admin, &request, &fixture.sources);
        let version = answer.headers().get(admin::VERSION_HEADER).map(|version| version.as_bytes());
        assert_eq!(version, Some(env!("CARGO_PKG_VERSION").as_bytes()), "{path}");
        let json = answer.headers()["content-type"] == "application/json";
        let text = fixture.ask(Port::Admin, path).1;
        assert_eq!(text.starts_with("{\n  \""), json, "{path}: {text}");
    }
}

#[tokio::test]
async fn each_port_has_its_own_pages_and_names_them() {
    let fixture = Fixture::new(&["a:1"]);
    assert!(fixture.ask(Port::Metrics, "/metrics").1.ends_with("# EOF\n"));
    assert!(fixture.ask(Port::Admin, "/debug/config").1.contains("endpoints = [\"a:1\"]"));
    let (status, body) = fixture.ask(Port::Metrics, "/debug/endpoints");
    assert_eq!(status, StatusCode::NOT_FOUND, "debugging is not for the cluster");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["error"]["paths"][0], "/metrics");
    assert_eq!(fixture.ask(Port::Admin, "/metrics").0, StatusCode::NOT_FOUND);
    assert_eq!(fixture.ask_by(Method::POST, Port::Admin, "/readyz").0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(fixture.ask_by(Method::HEAD, Port::Admin, "/healthz").0, StatusCode::OK);
}

#[tokio::test]
async fn a_full_port_serves_again_when_a_connection_ends() {
    let fixture = Fixture::new(&["a:1"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("address");
    let mut task = JoinSet::new();
    task.spawn(Server::new(listener, Port::Metrics, fixture.sources.clone()).expect("server").run());
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        held.push(get(address).await);
    }
    let mut late = TcpStream::connect(address).await.expect("connect");
    late.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("send");
    drop(held.pop());
    assert!(first_line(&mut late).await.starts_with("HTTP/1.1 200"));
}

/// A kept connection after one answer.
async fn get(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("send");
    assert!(first_line(&mut stream).await.starts_with("HTTP/1.1 200"));
    stream
}

async fn first_line(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 1_024];
    let read = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an answer").expect("read");
    String::from_utf8_lossy(&buffer[..read]).lines().next().unwrap_or_default().to_owned()
}
