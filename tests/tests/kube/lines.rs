//! What the router itself writes to its log while the API server is away: one line, whatever its libraries would say.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use warmlane_tests::{
    eventually,
    kube::{FakeApi, Refusal},
};

use crate::objects::{model, pool};

/// Connections that are tried in vain before the API server is back: each feed has tried several times.
const TRIES: usize = 40;

/// The binary, and what it has written so far. It is killed when this is dropped.
struct Router {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

// === Router ===

impl Router {
    fn start(kubeconfig: &Path) -> Self {
        let folder = std::env::var_os("WARMLANE_BIN_DIR").map(PathBuf::from);
        let folder = folder.expect("WARMLANE_BIN_DIR names no folder; run this suite as: cargo xtask test");
        let mut command = Command::new(folder.join("warmlane-router"));
        command.args(["--pool=default/qwen", &format!("--kubeconfig={}", kubeconfig.display())]);
        command
            .args(["--plain", "--aware", "--metrics", "--admin"].map(|port| format!("{port}=127.0.0.1:0")));
        command.env_clear().stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (errors, written) = (child.stderr.take().expect("its errors"), lines.clone());
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                written.lock().expect("one writer").push(line);
            }
        });
        Self { child, lines }
    }

    fn written(&self) -> Vec<String> {
        self.lines.lock().expect("one writer").clone()
    }

    fn has_written(&self, part: &str) -> bool {
        self.written().iter().any(|line| line.contains(part))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // It may have ended by itself: its test fails by what is missing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_outage_of_the_api_server_is_one_line_and_its_end_another() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(model("chat", "chat", "qwen"));
    let folder = tempfile::tempdir().expect("folder");
    let kubeconfig = folder.path().join("kubeconfig");
    api.write_kubeconfig(&kubeconfig).expect("kubeconfig");
    let router = Router::start(&kubeconfig);
    eventually("all is watched", || api.watches() == 9);
    eventually("its first words are said", || {
        router.has_written("selects no pod") && router.has_written("holds the Lease")
    });
    let before = router.written().len();
    api.go_away();
    eventually("it has tried in vain", || api.turned_away() >= TRIES);
    api.come_back();
    eventually("it is said to be over", || router.has_written("answers again"));
    eventually("all is watched again", || api.watches() == 9);
    let written = router.written().split_off(before);
    let wrong: Vec<_> =
        written.iter().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    assert!(wrong.len() == 1 && wrong[0].contains("cannot be reached"), "{written:#?}");
    assert_eq!(written.iter().filter(|line| line.contains("answers again")).count(), 1, "{written:#?}");
}

#[test]
fn a_status_that_nobody_answers_for_is_told_once() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(model("chat", "chat", "qwen"));
    api.put(model("other", "other", "qwen"));
    api.refuse("patch", "inferencemodels/status", Refusal::Silence);
    let folder = tempfile::tempdir().expect("folder");
    let kubeconfig = folder.path().join("kubeconfig");
    api.write_kubeconfig(&kubeconfig).expect("kubeconfig");
    let router = Router::start(&kubeconfig);
    let mut tried = 0;
    let mut patches = || {
        tried += api.take_log().iter().filter(|call| call.verb == "patch").count();
        tried
    };
    eventually("both were tried", || patches() >= 2);
    eventually("it is told", || router.has_written("without an answer"));
    api.allow("patch", "inferencemodels/status");
    eventually("it is tried again", || patches() >= 4);
    let told = router.written().iter().filter(|line| line.contains("without an answer")).count();
    assert_eq!(told, 1, "{:#?}", router.written());
}
