//! The clients: the `openai` package through a script of ours, and vLLM's own load test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use warmlane_tests::agent::TestAgent;

const HOW: &str = "this suite needs two real engines; run it as: cargo xtask test --only real-vllm";

/// The engines that `cargo xtask test` started, and the install that they came from.
#[derive(Debug)]
pub(crate) struct Engines {
    install: PathBuf,
    /// `HOST:PORT` of each.
    pub(crate) addresses: Vec<String>,
    /// Where each publishes KV events.
    pub(crate) kv_events: Vec<String>,
}

impl Engines {
    /// What the environment names; a suite that was asked for and cannot run has failed.
    pub(crate) fn given() -> Self {
        let install = PathBuf::from(std::env::var_os("WARMLANE_REAL_VLLM").expect(HOW));
        let list = |variable| -> Vec<String> {
            let text = std::env::var(variable).expect(HOW);
            let all: Vec<String> = text.split(',').map(str::to_owned).collect();
            assert_eq!(all.len(), 2, "{HOW}");
            all
        };
        Self { install, addresses: list("WARMLANE_REAL_ENGINES"), kv_events: list("WARMLANE_REAL_KV_EVENTS") }
    }

    /// An agent that follows them and their KV events, and where they are.
    pub(crate) fn followed(&self) -> (TestAgent, Vec<SocketAddr>) {
        let addresses: Vec<SocketAddr> =
            self.addresses.iter().map(|a| a.parse().expect("an address")).collect();
        let events = self.kv_events.iter().cloned().map(Some).collect();
        (TestAgent::with(&addresses, |config| config.kv_events = events), addresses)
    }

    /// The folder of the model that they serve.
    pub(crate) fn model(&self) -> PathBuf {
        self.install.join("model/qwen")
    }

    fn program(&self, name: &str) -> PathBuf {
        self.install.join("venv/bin").join(name)
    }
}

/// What came back for one request.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    /// The header x-warmlane-endpoint.
    pub(crate) endpoint: String,
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) round: u64,
    #[serde(default)]
    pub(crate) prompt: u64,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) cached_tokens: u64,
}

/// What came back for one streamed chat.
#[derive(Debug, Deserialize)]
pub(crate) struct Streamed {
    pub(crate) content_type: String,
    pub(crate) models: Vec<String>,
    pub(crate) ids: u64,
    pub(crate) chunks: u64,
    pub(crate) finish_reasons: Vec<String>,
    pub(crate) completion_tokens: Vec<u64>,
}

impl Streamed {
    /// Fails unless this is the whole stream of 24 tokens by the model.
    pub(crate) fn assert_whole(&self, model: &str) {
        assert!(self.content_type.starts_with("text/event-stream"), "{self:?}");
        assert_eq!(self.models, [model]);
        assert_eq!(self.ids, 1, "one answer has one id: {self:?}");
        assert_eq!(self.completion_tokens, [24], "{self:?}");
        assert_eq!(self.finish_reasons, ["length"]);
        // The first chunk names the role, then one comes for each token; a busy engine may put two tokens in one.
        assert!((20..=25).contains(&self.chunks), "{self:?}");
    }
}

/// What vLLM's load test counted.
#[derive(Debug, Deserialize)]
pub(crate) struct LoadTest {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) total_output_tokens: u64,
}

/// Runs one command of the script and reads what it tells.
pub(crate) fn told<T: DeserializeOwned>(engines: &Engines, router: &str, words: &[&str]) -> T {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/openai_client.py");
    let mut command = Command::new(engines.program("python"));
    command.arg(script).arg(format!("http://{router}/v1")).args(words);
    let output = command.output().expect("the install has no Python: cargo xtask vllm install");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the openai client failed on {words:?}:\n{complaint}");
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{words:?} told something else ({error}): {said}"))
}

/// One streamed chat of 24 tokens.
pub(crate) fn streamed(engines: &Engines, router: &str, model: &str) -> Streamed {
    told(engines, router, &["stream", "--model", model])
}

/// Twelve new prompts of about 550 tokens, then each of them twice more in another order.
pub(crate) fn repeats(engines: &Engines, router: &str, seed: u32) -> Vec<Seen> {
    // The engines keep what earlier runs sent them: prompts are new only with a seed that no other run used.
    let seed = format!("{seed}{}", std::process::id());
    told(engines, router, &["repeats", "--seed", &seed])
}

/// The models that the client lists.
pub(crate) fn models(engines: &Engines, router: &str) -> Vec<String> {
    let mut names: Vec<String> = told(engines, router, &["models"]);
    names.sort();
    names
}

/// `vllm bench serve` on its random dataset: short prompts, streamed answers of 51 to 77 tokens, eight at a time.
pub(crate) fn load_test(engines: &Engines, router: &str, requests: u32) -> LoadTest {
    let result = engines.install.join("logs/load-test.json");
    let _ = std::fs::remove_file(&result);
    let mut command = Command::new(engines.program("vllm"));
    command.args([
        "bench",
        "serve",
        "--backend",
        "openai",
        "--endpoint",
        "/v1/completions",
        "--model",
        "/model/qwen",
    ]);
    command.arg("--base-url").arg(format!("http://{router}"));
    command.arg("--tokenizer").arg(engines.model());
    command.args(["--dataset-name", "random", "--random-prefix-len", "10", "--random-input-len", "128"]);
    command.args(["--random-output-len", "64", "--random-range-ratio", "0.2", "--ignore-eos"]);
    command.args([
        "--num-prompts",
        &requests.to_string(),
        "--max-concurrency",
        "8",
        "--ready-check-timeout-sec",
        "0",
    ]);
    command.arg("--save-result").arg("--result-filename").arg(&result);
    command.envs([("HF_HUB_OFFLINE", "1"), ("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1")]);
    let output = command.output().expect("the install has no vllm: cargo xtask vllm install");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "vllm bench serve failed:\n{said}");
    let text = std::fs::read(&result).expect("vllm bench serve saved no result");
    serde_json::from_slice(&text).expect("the load test's result counts completed and failed requests")
}
