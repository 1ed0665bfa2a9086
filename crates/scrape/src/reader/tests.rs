use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use super::*;

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
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    told: mpsc::Receiver<Finding>,
    task: JoinSet<()>,
}

/// Notes what it is told.
struct Notes {
    begun: Instant,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    findings: mpsc::Sender<Finding>,
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
        "/prometheus/metrics" => (200, "trtllm_num_requests_running 6\n".to_owned()),
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

    fn with(address: &impl ToString, change: impl FnOnce(&mut Rhythm)) -> Self {
        Self::of_kind(EngineKind::Unknown, address, change)
    }

    /// Of an engine of which somebody says what it is.
    fn of_kind(kind: EngineKind, address: &impl ToString, change: impl FnOnce(&mut Rhythm)) -> Self {
        let mut rhythm = Rhythm {
            min_interval: Duration::from_millis(50),
            max_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            beat: None,
        };
        change(&mut rhythm);
        let (findings, told) = mpsc::channel(64);
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let notes = Notes { begun: Instant::now(), outcomes: outcomes.clone(), findings };
        let mut task = JoinSet::new();
        task.spawn(Reader::new(address.to_string(), rhythm, notes).of(kind).run());
        Self { outcomes, told, task }
    }

    async fn next(&mut self) -> Finding {
        let told = time::timeout(PATIENCE, self.told.recv()).await.expect("the reader tells something");
        told.expect("the reader runs")
    }

    async fn page(&mut self) -> Page {
        loop {
            match self.next().await {
                Finding::Page(page) => return *page,
                Finding::Unreachable(why) => panic!("unreachable: {why}"),
                Finding::Models { .. } | Finding::Alive | Finding::Resolved(_) => {}
            }
        }
    }

    /// The first failure, before which nothing good is told.
    async fn failure(&mut self) -> Failure {
        loop {
            match self.next().await {
                Finding::Unreachable(why) => return why,
                Finding::Resolved(_) => {}
                good => panic!("no failure but {good:?}"),
            }
        }
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.outcomes.lock().expect("outcomes").iter().filter(|noted| **noted == outcome).count()
    }
}

// === Notes ===

impl Observer for Notes {
    const USER_AGENT: &'static str = "test";

    fn now(&self) -> Time {
        self.begun.elapsed()
    }

    fn sent(&self) -> Work {
        Work { requests: 1, kv_tokens: 5, ..Work::default() }
    }

    fn read(&self, outcome: Outcome, _: Duration) {
        self.outcomes.lock().expect("outcomes").push(outcome);
    }

    async fn found(&self, finding: Finding) -> bool {
        self.findings.send(finding).await.is_ok()
    }
}

#[tokio::test]
async fn an_engine_that_comes_up_tells_address_models_and_load() {
    let engine = Engine::start().await;
    let mut reading = Reading::of(&engine.address);
    let Finding::Resolved(socket) = reading.next().await else { panic!("address first") };
    assert_eq!(socket, engine.address);
    let Finding::Models { list, .. } = reading.next().await else { panic!("models second") };
    assert_eq!(list.models.len(), 2);
    let Finding::Page(load) = reading.next().await else { panic!("load third") };
    assert_eq!(load.signals.queue.map(|r| r.value), Some(3.0));
    assert_eq!(load.signals.kv_use.map(|r| r.value), Some(0.25));
    assert_eq!(load.progress, Some(10.0));
    assert_eq!((load.signals.mark.requests, load.signals.mark.kv_tokens), (1, 5), "as it was sent by then");
}

#[tokio::test]
async fn there_is_one_request_at_a_time_and_readings_go_forward() {
    let engine = Engine::start().await;
    let mut reading = Reading::of(&engine.address);
    let mut last = Time::ZERO;
    for n in 0..6 {
        engine.change(|script| script.page.1 = PAGE.replace("3.0", &format!("{n}.0")));
        let at = reading.page().await.signals.queue.expect("queue").at;
        assert!(at >= last);
        last = at;
    }
    assert_eq!(engine.most_at_once.load(Relaxed), 1);
    assert_eq!(reading.count(Outcome::Ok), 6);
}

#[tokio::test]
async fn an_engine_that_closes_after_each_answer_is_still_read() {
    let engine = Engine::start().await;
    engine.change(|script| script.closing = true);
    let mut reading = Reading::of(&engine.address);
    for _ in 0..4 {
        reading.page().await;
    }
}

#[tokio::test]
async fn a_page_of_no_engine_leaves_it_alive_without_readings() {
    let engine = Engine::start().await;
    engine.change(|script| script.page = (200, "<html>not here</html>".to_owned()));
    let mut reading = Reading::of(&engine.address);
    let told = loop {
        match reading.next().await {
            Finding::Resolved(_) => {}
            told => break told,
        }
    };
    assert!(matches!(told, Finding::Alive), "{told:?}");
    assert!(reading.count(Outcome::Garbage) >= 1);
    engine.change(|script| script.page = (200, PAGE.to_owned()));
    reading.page().await;
}

#[tokio::test]
async fn bad_pages_and_bad_health_are_a_failure() {
    let engine = Engine::start().await;
    engine.change(|script| (script.page.0, script.health) = (503, 503));
    let mut reading = Reading::of(&engine.address);
    assert_eq!(reading.failure().await, Failure::Status(503));
    assert_eq!(reading.count(Outcome::Status), 1);
}

#[tokio::test]
async fn an_endless_page_is_not_read_to_its_end() {
    let engine = Engine::start().await;
    engine.change(|script| script.page.1 = "x".repeat(MAX_PAGE_BYTES + 1));
    let mut reading = Reading::of(&engine.address);
    assert_eq!(reading.failure().await, Failure::TooLarge(MAX_PAGE_BYTES));
    assert_eq!(reading.count(Outcome::TooLarge), 1);
}

#[tokio::test]
async fn an_engine_that_never_answers_is_given_up() {
    let engine = Engine::start().await;
    engine.change(|script| script.mute = true);
    let mut reading = Reading::with(&engine.address, |c| c.timeout = Duration::from_millis(20));
    assert_eq!(reading.failure().await, Failure::Mute, "it was connected to");
    assert_eq!(engine.asked.load(Relaxed), 1);
    assert_eq!(reading.count(Outcome::Timeout), 1);
}

#[tokio::test]
async fn a_refusing_port_is_tried_until_an_engine_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let mut reading = Reading::with(&address, |c| c.max_interval = Duration::from_millis(60));
    assert_eq!(reading.failure().await, Failure::Refused);
    let _engine = Engine::on(TcpListener::bind(address).await.expect("bind again"));
    loop {
        match reading.next().await {
            Finding::Page(_) => break,
            Finding::Unreachable(why) => assert_eq!(why, Failure::Refused),
            Finding::Resolved(_) | Finding::Models { .. } | Finding::Alive => {}
        }
    }
}

#[tokio::test]
async fn a_reader_ends_when_nobody_listens() {
    let engine = Engine::start().await;
    let mut reading = Reading::of(&engine.address);
    reading.page().await;
    reading.told.close();
    let ended = async { reading.task.join_next().await };
    time::timeout(PATIENCE, ended).await.expect("it ends").expect("its task").expect("well");
}

#[tokio::test]
async fn a_name_without_address_says_so() {
    let mut reading = Reading::of(&"no-such-host.invalid:8000");
    assert_eq!(reading.failure().await, Failure::Unresolved);
}

#[tokio::test]
async fn an_engine_is_asked_where_its_kind_has_its_page() {
    let engine = Engine::start().await;
    let mut said = Reading::of_kind(EngineKind::TensorRtLlm, &engine.address, |_| {});
    let running = |page: Page| page.signals.running.map(|reading| reading.value);
    assert_eq!(running(said.page().await), Some(6.0));
    assert_eq!(engine.asked.load(Relaxed), 0, "the other page is not asked for");
    let mut unsaid = Reading::of(&engine.address);
    assert_eq!(running(unsaid.page().await), Some(2.0));
}
