//! A kubelet that tells which pod has which GPU, that comes and goes, and that misbehaves.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};
use warmlane_agent::{
    gpu::{Gpu, Sample, Verdict},
    kubelet::{Follower, Known, Pod, Settings},
};
use warmlane_tests::{
    PATIENCE, TestRouter,
    agent::TestAgent,
    eventually,
    kubelet::{FakeKubelet, Says, message},
    nvml::FakeNvml,
    picker::{Said, engines, page},
};

const ONE: &[(&str, &str, &[&str])] = &[("llm/a", "nvidia.com/gpu", &["GPU-0"])];
const OTHER: &[(&str, &str, &[&str])] = &[("llm/b", "nvidia.com/gpu", &["GPU-1"])];

/// Someone who asks, often.
struct Asking {
    known: watch::Receiver<Known>,
    outcomes: Arc<Mutex<Vec<&'static str>>>,
    gpus: watch::Sender<Arc<[Gpu]>>,
    hint: Arc<Notify>,
    _task: JoinSet<()>,
}

fn often(socket: &Path) -> Settings {
    Settings {
        every: Duration::from_millis(50),
        timeout: Duration::from_millis(400),
        retry: Duration::from_millis(20),
        keep: Duration::from_secs(2),
        ..Settings::new(socket.to_owned())
    }
}

fn socket(dir: &TempDir) -> PathBuf {
    dir.path().join("kubelet.sock")
}

fn written(pods: &[Pod]) -> Vec<String> {
    pods.iter().map(|pod| format!("{} {}", pod.name, pod.devices.join(" "))).collect()
}

// === Asking ===

impl Asking {
    fn start(settings: Settings) -> Self {
        let (gpus, seen) = watch::channel(Arc::from([]));
        let (follower, known) = Follower::new(settings, seen);
        let hint = Arc::<Notify>::default();
        let follower = follower.hinted_by(hint.clone());
        let outcomes = Arc::<Mutex<Vec<&'static str>>>::default();
        let counted = outcomes.clone();
        let mut task = JoinSet::new();
        task.spawn(follower.run(move |outcome| {
            let name = outcome.map_or_else(|trouble| trouble.name(), |()| "ok");
            counted.lock().expect("no panic").push(name);
        }));
        Self { known, outcomes, gpus, hint, _task: task }
    }

    async fn until(&mut self, what: &str, wanted: impl Fn(&Known) -> bool) -> Known {
        let known = timeout(PATIENCE, self.known.wait_for(wanted)).await;
        let known = known.ok().map(|known| known.expect("it asks on").clone());
        known.unwrap_or_else(|| panic!("never {what}: {:?}", self.last()))
    }

    async fn until_told(&mut self, pods: &[&str]) {
        let told = |known: &Known| known.as_ref().is_some_and(|known| written(known) == pods);
        self.until(&format!("{pods:?}"), told).await;
    }

    /// Waits for a question that ends so.
    async fn until_ended(&self, how: &str) {
        let from = self.outcomes.lock().expect("no panic").len();
        let ended = async {
            while !self.outcomes.lock().expect("no panic")[from..].contains(&how) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, ended).await.is_ok(), "never {how}: {:?}", self.last());
    }

    fn last(&self) -> Vec<&'static str> {
        self.outcomes.lock().expect("no panic").iter().rev().take(5).copied().collect()
    }
}

#[tokio::test]
async fn pods_have_cards_slices_and_shares_of_cards() {
    let dir = TempDir::new().expect("a directory");
    let kubelet = FakeKubelet::start(
        &socket(&dir),
        &[
            ("llm/whole", "nvidia.com/gpu", &["GPU-1", "GPU-0"]),
            ("llm/slice", "nvidia.com/mig-1g.10gb", &["MIG-a"]),
            ("llm/share", "nvidia.com/gpu.shared", &["GPU-2::3", "GPU-2::1"]),
            ("kube-system/cni", "vendor.com/nic", &["eth-0"]),
        ],
    );
    let mut asking = Asking::start(often(&socket(&dir)));
    asking.until_told(&["llm/share GPU-2", "llm/slice MIG-a", "llm/whole GPU-0 GPU-1"]).await;
    kubelet.tells(ONE);
    asking.until_told(&["llm/a GPU-0"]).await;
    kubelet.tells(&[]);
    asking.until("none, which is known", |known| known.as_ref().is_some_and(|known| known.is_empty())).await;
}

#[tokio::test]
async fn who_is_told_that_pods_came_asks_soon() {
    let dir = TempDir::new().expect("a directory");
    let kubelet = FakeKubelet::start(&socket(&dir), &[]);
    let mut asking = Asking::start(Settings { every: Duration::from_secs(3_600), ..often(&socket(&dir)) });
    asking.until("none, which is known", |known| known.as_ref().is_some_and(|known| known.is_empty())).await;
    kubelet.tells(ONE);
    asking.hint.notify_one();
    asking.until_told(&["llm/a GPU-0"]).await;
}

#[tokio::test]
async fn a_socket_that_comes_later_is_found() {
    let dir = TempDir::new().expect("a directory");
    let mut asking = Asking::start(often(&socket(&dir)));
    asking.until_ended("missing").await;
    let _kubelet = FakeKubelet::start(&socket(&dir), ONE);
    asking.until_told(&["llm/a GPU-0"]).await;
}

#[tokio::test]
async fn a_kubelet_that_restarts_is_asked_on_and_what_it_told_stays_meanwhile() {
    let dir = TempDir::new().expect("a directory");
    let kubelet = FakeKubelet::start(&socket(&dir), ONE);
    let settings = Settings { keep: PATIENCE * 2, ..often(&socket(&dir)) };
    let mut asking = Asking::start(settings);
    asking.until_told(&["llm/a GPU-0"]).await;
    drop(kubelet);
    asking.until_ended("missing").await;
    assert!(asking.known.borrow().is_some());
    let _again = FakeKubelet::start(&socket(&dir), OTHER);
    asking.until_told(&["llm/b GPU-1"]).await;
}

#[tokio::test]
async fn a_kubelet_that_hangs_holds_nothing_up_and_is_forgotten_in_time() {
    let dir = TempDir::new().expect("a directory");
    let kubelet = FakeKubelet::start(&socket(&dir), ONE);
    let mut asking = Asking::start(often(&socket(&dir)));
    asking.until_told(&["llm/a GPU-0"]).await;
    kubelet.says(Says::Nothing);
    asking.until_ended("timeout").await;
    assert!(asking.known.borrow().is_some(), "not yet");
    asking.until("forgotten", Option::is_none).await;
    assert!(kubelet.open() <= 2, "connections that were given up are closed: {}", kubelet.open());
    kubelet.tells(OTHER);
    asking.until_told(&["llm/b GPU-1"]).await;
}

#[tokio::test]
async fn a_socket_that_nobody_serves_holds_nothing_up() {
    let dir = TempDir::new().expect("a directory");
    // Connections wait in its queue for ever.
    let listener = std::os::unix::net::UnixListener::bind(socket(&dir)).expect("a socket");
    let asking = Asking::start(often(&socket(&dir)));
    asking.until_ended("timeout").await;
    drop(listener);
    asking.until_ended("refused").await;
}

#[tokio::test]
async fn garbage_and_refusals_are_named_and_survived() {
    let huge = message(&vec![("llm/a", "nvidia.com/gpu", &["GPU-0"; 16][..]); 128 << 10]);
    assert!(huge.len() > 16 << 20);
    let dir = TempDir::new().expect("a directory");
    let kubelet = FakeKubelet::start(&socket(&dir), ONE);
    let mut asking = Asking::start(often(&socket(&dir)));
    for (says, ends) in [
        (Says::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "error"),
        (Says::Bytes(b""), "error"),
        (Says::Message(b"\xff\xff\xff\xff".to_vec()), "error"),
        // A pod's name that is no UTF-8.
        (Says::Message(b"\x0a\x04\x0a\x02\xff\xfe".to_vec()), "error"),
        (Says::Message(huge), "too_large"),
        (Says::Status(12), "unknown_api"),
        (Says::Status(14), "error"),
    ] {
        asking.until_told(&["llm/a GPU-0"]).await;
        kubelet.says(says);
        asking.until_ended(ends).await;
        kubelet.tells(ONE);
        asking.until_ended("ok").await;
    }
}

#[tokio::test]
async fn a_change_among_the_gpus_is_a_reason_to_ask() {
    let dir = TempDir::new().expect("a directory");
    let kubelet = FakeKubelet::start(&socket(&dir), ONE);
    let mut asking = Asking::start(Settings { every: PATIENCE * 9, ..often(&socket(&dir)) });
    asking.until_told(&["llm/a GPU-0"]).await;
    kubelet.tells(OTHER);
    let gpu = |uuid: &str| {
        let sample = Arc::new(Sample { uuid: Some(uuid.into()), ..Sample::default() });
        Gpu { sample, verdict: Verdict::Healthy, read_at: None }
    };
    asking.gpus.send_replace(Arc::from([gpu("MIG-a")]));
    asking.until_told(&["llm/b GPU-1"]).await;
    let asked = kubelet.questions();
    // The same cards, read again: no reason.
    asking.gpus.send_replace(Arc::from([gpu("MIG-a")]));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(kubelet.questions(), asked);
}

#[test]
fn a_gpu_that_fails_takes_out_the_engines_of_its_pod_and_no_other() {
    let (engines, addresses) = engines(4);
    let dir = TempDir::new().expect("a directory");
    let mut fake = FakeNvml::new(3);
    let _kubelet = FakeKubelet::start(
        &socket(&dir),
        &[
            ("llm/two-ports", "nvidia.com/gpu", &["GPU-0"]),
            ("llm/share", "nvidia.com/gpu.shared", &["GPU-1::0"]),
            ("llm/other", "nvidia.com/gpu", &["GPU-2"]),
        ],
    );
    let agent = TestAgent::with(&addresses, |config| {
        config.nvml_lib = fake.path();
        config.kubelet_socket = socket(&dir);
        let pods = ["llm/two-ports", "llm/two-ports", "llm/share", "llm/other"];
        for (engine, pod) in config.engines.iter_mut().zip(pods) {
            engine.pod = Some(pod.parse().expect("a pod"));
        }
    });
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    eventually("each engine has its GPU", || agent.metric("warmlane_agent_endpoint_gpus{") == 4.0);
    let outs = || -> Vec<bool> {
        let all = router.endpoints();
        all.iter().map(|endpoint| endpoint["health"].as_str().is_some_and(|h| h.contains("XID 79"))).collect()
    };
    eventually("both engines of the pod are out", || {
        // Raised again until somebody listens: a listener hears what comes after it has begun.
        fake.raise(0, 79);
        thread::sleep(Duration::from_millis(100));
        outs() == [true, true, false, false]
    });
    for _ in 0..6 {
        let status = router.aware().post("/v1/completions", r#"{"model":"m","prompt":"hi"}"#).status;
        assert_eq!(status, 200, "no request fails");
    }
    let seen: Vec<usize> = engines.iter().map(|engine| engine.seen().len()).collect();
    assert_eq!((seen[0], seen[1], seen[2] + seen[3]), (0, 0, 6));
    assert!(agent.metric("warmlane_agent_kubelet_questions_total{outcome=\"ok\"}") >= 1.0);
}

#[test]
fn engines_are_read_though_the_kubelet_hangs() {
    let (engines, addresses) = engines(2);
    let dir = TempDir::new().expect("a directory");
    let kubelet = FakeKubelet::start(&socket(&dir), ONE);
    kubelet.says(Says::Nothing);
    let agent = TestAgent::with(&addresses, |config| config.kubelet_socket = socket(&dir));
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    eventually("it is asked", || kubelet.questions() > 0);
    engines[0].metrics(page(Said { queue: 7, ..Said::default() }).as_bytes());
    eventually("and the engine is heard", || router.endpoints()[0]["signals"]["queue"]["value"] == 7.0);
    eventually("and the question was given up", || {
        agent.metric("warmlane_agent_kubelet_questions_total{outcome=\"timeout\"}") >= 1.0
    });
}
