//! The page of a router's admin port in a real browser: what it shows, by which clicks and keys, and what it does not let happen.

use std::{fs, net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};
use warmlane_router::config::Config;
use warmlane_tests::{
    Behaviour, RawEngine, TestRouter,
    agent::TestAgent,
    browser::Browser,
    engine::answer,
    eventually,
    nvml::FakeNvml,
    picker::{self, Said},
};

#[path = "page/hostile.rs"]
mod hostile;
#[path = "page/pictures.rs"]
mod pictures;
#[path = "page/shown.rs"]
mod shown;
#[path = "page/states.rs"]
mod states;

const COMPLETIONS: &str = "/v1/completions";
/// The page has had a picture of the router.
const LIVE: &str = "document.body.dataset.state === 'live'";

/// A router over engines that say what a test wants of them.
struct House {
    router: TestRouter,
    engines: Vec<RawEngine>,
}

// === House ===

impl House {
    fn of(said: &[Said<'_>], change: impl FnOnce(&mut Config)) -> Self {
        let engines: Vec<RawEngine> = said.iter().map(|said| engine(*said)).collect();
        let router = TestRouter::with(&addresses(&engines), change);
        let house = Self { router, engines };
        house.is_known();
        house
    }

    fn is_known(&self) {
        eventually("every engine was read", || {
            let known = |e: &Value| !e["signals"]["kv_use"].is_null() && !e["models"].is_null();
            self.router.endpoints().iter().all(known)
        });
    }

    fn endpoint(&self, number: usize) -> String {
        self.engines[number].address().to_string()
    }

    /// Sends a request of this id, and waits until it is over.
    fn send(&self, id: &str, body: &Value) {
        let id_line = format!("x-request-id: {id}\r\n");
        self.router.aware().post_with(COMPLETIONS, &id_line, &body.to_string());
        let path = format!("/debug/decisions/{id}");
        eventually("its end is noted", || {
            let decision = self.router.admin().get(&path).json()["decision"].take();
            decision["refusal"].is_string() || !decision["outcome"].is_null()
        });
    }

    fn url(&self) -> String {
        url(self.router.listening().admin)
    }

    /// The page, once it shows something.
    fn open(&self) -> Browser {
        let mut browser = Browser::start();
        browser.open(&self.url());
        browser.until(LIVE);
        browser
    }
}

fn url(admin: SocketAddr) -> String {
    format!("http://{admin}/")
}

fn engine(said: Said<'_>) -> RawEngine {
    let body =
        br#"{"object":"text_completion","choices":[{"index":0,"text":" warm","finish_reason":"stop"}]}"#;
    let engine = RawEngine::start(Behaviour::Answer(answer("application/json", body)));
    engine.metrics(picker::page(said).as_bytes());
    engine.models(&picker::models(&["a"]));
    engine
}

fn addresses(engines: &[RawEngine]) -> Vec<SocketAddr> {
    engines.iter().map(RawEngine::address).collect()
}

fn completion(words: usize) -> Value {
    let prompt: String = (0..words).map(|word| format!("w{} ", word * 31 % 997)).collect();
    json!({ "model": "m", "prompt": prompt, "max_tokens": 64 })
}

/// An idle engine, one that has room, one with a queue.
fn three() -> [Said<'static>; 3] {
    [
        Said { queue: 0, running: 1, kv: 0.08, active: "" },
        Said { queue: 0, running: 7, kv: 0.46, active: "a" },
        Said { queue: 12, running: 40, kv: 0.95, active: "a" },
    ]
}
