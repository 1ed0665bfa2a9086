use std::{
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::{ledger, metrics};

const PAGE: &str = "vllm:num_requests_waiting{engine=\"0\"} 3.0\nvllm:num_requests_running{engine=\"0\"} 2.0\n\
                    vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\nvllm:prompt_tokens_total{engine=\"0\"} 10.0\n";
const LIST: &str = r#"{"object":"list","data":[{"id":"/model/qwen"},{"id":"tuned","parent":"/model/qwen"}]}"#;

/// For what must happen soon: only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// How an engine behaves now.
#[derive(Clone)]
struct Script {
    page: (u16, String),
    health: u16,
    /// Close the connection after each answer.
    closing: bool,
    /// Never answer.
    mute: bool,
}

/// A scripted engine.
struct Engine {
    script: Arc<Mutex<Script>>,
    asked: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    address: SocketAddr,
    _task: JoinSet<()>,
}

/// A reader under test and what it tells.
struct Reading {
    shared: Scraping,
    metrics: metrics::Metrics,
    told: mpsc::Receiver<Update>,
    _task: JoinSet<()>,
}

// === Engine ===

impl Engine {
    async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("bind"))
    }

    fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("address");
        let script = Script { page: (200, PAGE.to_owned()), health: 200, closing: false, mute: false };
        let script = Arc::new(Mutex::new(script));
        let (asked, most_at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut task = JoinSet::new();
        task.spawn(serve(listener, script.clone(), asked.clone(), most_at_once.clone()));
        Self { script, asked, most_at_once, address, _task: task }
    }

    fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().expect("script"));
    }
}

async fn serve(
    listener: TcpListener,
    script: Arc<Mutex<Script>>,
    asked: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
) {
    let now = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        let closing = script.lock().expect("script").closing;
        let (script, asked) = (script.clone(), asked.clone());
        let (now, most_at_once) = (now.clone(), most_at_once.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (script, now) = (script.lock().expect("script").clone(), now.clone());
            if request.uri().path() == "/metrics" {
                asked.fetch_add(1, Relaxed);
            }
            most_at_once.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
            async move {
                tokio::task::yield_now().await;
                if script.mute {
                    std::future::pending::<()>().await;
                }
                now.fetch_sub(1, Relaxed);
                Ok::<_, Infallible>(answer(request.uri().path(), &script))
            }
        });
        connections.spawn(async move {
            let _ = http1::Builder::new()
                .keep_alive(!closing)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(path: &str, script: &Script) -> Response<Full<Bytes>> {
    let (status, body) = match path {
        "/metrics" => (script.page.0, script.page.1.clone()),
        "/health" => (script.health, String::new()),
        "/v1/models" => (200, LIST.to_owned()),
        other => panic!("asked for {other}"),
    };
    Response::builder().status(status).body(Full::new(Bytes::from(body))).expect("response")
}

// === Reading ===

impl Reading {
    fn of(address: &impl ToString) -> Self {
        Self::with(address, |_| {})
    }

    fn with(address: &impl ToString, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::for_endpoints(vec![address.to_string()]);
        change(&mut config);
        let config = Arc::new(config);
        let world = Arc::new(World::new(&config, 1));
        let metrics = metrics::Metrics::new(&world);
        let (updates, told) = mpsc::channel(64);
        let shared = Scraping { world, config, metrics: metrics.scraping(), updates };
        let mut task = JoinSet::new();
        spawn(&shared, &mut task);
        Self { shared, metrics, told, _task: task }
    }

    async fn next(&mut self) -> Update {
        let told = time::timeout(PATIENCE, self.told.recv()).await.expect("the reader tells something");
        told.expect("the reader runs")
    }

    async fn load(&mut self) -> Load {
        loop {
            match self.next().await {
                Update::Load(load) => return *load,
                Update::Unreachable { why, .. } => panic!("unreachable: {why}"),
                // The data plane's.
                update @ (Update::Failed { .. } | Update::Terminating { .. }) => panic!("{update:?}"),
                Update::Models { .. } | Update::Alive { .. } | Update::Resolved { .. } => {}
            }
        }
    }

    /// The first failure, before which nothing good is told.
    async fn failure(&mut self) -> Failure {
        loop {
            match self.next().await {
                Update::Unreachable { why, .. } => return why,
                Update::Resolved { .. } => {}
                good => panic!("no failure but {good:?}"),
            }
        }
    }

    fn count(&self, outcome: ScrapeOutcome) -> u64 {
        self.metrics.scraping().count(outcome)
    }
}

#[tokio::test]
async fn an_engine_that_comes_up_tells_address_models_and_load() {
    let engine = Engine::start().await;
    let mut reading = Reading::of(&engine.address);
    let ledger = reading.shared.world.ledger.clone();
    drop(ledger.open(Slot(0), ledger::Load { kv_tokens: 5, ..ledger::Load::default() }));
    let Update::Resolved { socket, local, .. } = reading.next().await else { panic!("address first") };
    assert_eq!((socket, local), (engine.address, true), "this machine's own address");
    let Update::Models { list, .. } = reading.next().await else { panic!("models second") };
    assert_eq!(list.models.len(), 2);
    let Update::Load(load) = reading.next().await else { panic!("load third") };
    assert_eq!(load.signals.queue.map(|r| r.value), Some(3.0));
    assert_eq!(load.signals.kv_use.map(|r| r.value), Some(0.25));
    assert_eq!(load.progress, Some(10.0));
    assert_eq!((load.signals.mark.requests, load.signals.mark.kv_tokens), (1, 5), "as the ledger had it");
}

#[tokio::test]
async fn there_is_one_request_at_a_time_and_readings_go_forward() {
    let engine = Engine::start().await;
    let mut reading = Reading::of(&engine.address);
    let mut last = Time::ZERO;
    for n in 0..6 {
        engine.change(|script| script.page.1 = PAGE.replace("3.0", &format!("{n}.0")));
        let at = reading.load().await.signals.queue.expect("queue").at;
        assert!(at >= last);
        last = at;
    }
    assert_eq!(engine.most_at_once.load(Relaxed), 1);
    assert_eq!(reading.count(ScrapeOutcome::Ok), 6);
}

#[tokio::test]
async fn an_engine_that_closes_after_each_answer_is_still_read() {
    let engine = Engine::start().await;
    engine.change(|script| script.closing = true);
    let mut reading = Reading::of(&engine.address);
    for _ in 0..4 {
        reading.load().await;
    }
}

#[tokio::test]
async fn a_page_of_no_engine_leaves_it_alive_without_readings() {
    let engine = Engine::start().await;
    engine.change(|script| script.page = (200, "<html>not here</html>".to_owned()));
    let mut reading = Reading::of(&engine.address);
    let told = loop {
        match reading.next().await {
            Update::Resolved { .. } => {}
            told => break told,
        }
    };
    assert!(matches!(told, Update::Alive { slot: Slot(0) }), "{told:?}");
    assert!(reading.count(ScrapeOutcome::Garbage) >= 1);
    engine.change(|script| script.page = (200, PAGE.to_owned()));
    reading.load().await;
}

#[tokio::test]
async fn bad_pages_and_bad_health_are_a_failure() {
    let engine = Engine::start().await;
    engine.change(|script| (script.page.0, script.health) = (503, 503));
    let mut reading = Reading::of(&engine.address);
    assert_eq!(reading.failure().await, Failure::Status(503));
    assert_eq!(reading.count(ScrapeOutcome::Status), 1);
}

#[tokio::test]
async fn an_endless_page_is_not_read_to_its_end() {
    let engine = Engine::start().await;
    engine.change(|script| script.page.1 = "x".repeat(MAX_PAGE_BYTES + 1));
    let mut reading = Reading::of(&engine.address);
    assert_eq!(reading.failure().await, Failure::TooLarge(MAX_PAGE_BYTES));
    assert_eq!(reading.count(ScrapeOutcome::TooLarge), 1);
}

#[tokio::test]
async fn an_engine_that_never_answers_is_given_up() {
    let engine = Engine::start().await;
    engine.change(|script| script.mute = true);
    let mut reading = Reading::with(&engine.address, |c| c.scrape.timeout = Duration::from_millis(20));
    assert_eq!(reading.failure().await, Failure::TimedOut);
    assert_eq!(engine.asked.load(Relaxed), 1);
    assert_eq!(reading.count(ScrapeOutcome::Timeout), 1);
}

#[tokio::test]
async fn a_refusing_port_is_tried_until_an_engine_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let mut reading = Reading::with(&address, |c| c.scrape.max_interval = Duration::from_millis(60));
    assert_eq!(reading.failure().await, Failure::Refused);
    let _engine = Engine::on(TcpListener::bind(address).await.expect("bind again"));
    let told = loop {
        match reading.next().await {
            Update::Load(load) => break load,
            Update::Unreachable { why, .. } => assert_eq!(why, Failure::Refused),
            _ => {}
        }
    };
    assert_eq!(told.slot, Slot(0));
}

#[tokio::test]
async fn a_name_without_address_says_so() {
    let mut reading = Reading::of(&"no-such-host.invalid:8000");
    assert_eq!(reading.failure().await, Failure::Unresolved);
}

#[test]
fn a_list_is_due_at_first_after_a_while_and_early_for_an_adapter_it_lacks() {
    let at = Time::from_secs;
    let mut list = List::default();
    assert!(list.is_due(None, at(0)));
    list = List { names: vec!["base".to_owned(), "tuned".to_owned()], asked: Some(at(10)) };
    assert!(!list.is_due(None, at(14)));
    assert!(list.is_due(None, at(15)));
    let with = |name: &str| {
        let value = warmlane_picker::Lora { active: vec![name.to_owned()], ..Default::default() };
        Signals { lora: Some(warmlane_picker::Reading { value, at: at(11) }), ..Signals::default() }
    };
    assert!(!list.is_due(Some(&with("tuned")), at(12)), "known");
    assert!(list.is_due(Some(&with("new")), at(11)), "not known");
    assert!(!list.is_due(Some(&with("new")), at(10)), "but not at once again");
}
