//! Clients of all kinds, and what became of their requests.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

use super::{
    client::{Client, Silence},
    samples::Addresses,
};
use crate::wire::find;

/// Clients at once.
pub(super) const CLIENTS: usize = 16;

/// Between two requests of a client: two cores shall have time to spare.
const PAUSE: Duration = Duration::from_millis(15);

/// What became of requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Answered in full, streams without an error in them.
    pub(super) good: AtomicU64,
    /// The client left by itself.
    pub(super) left: AtomicU64,
    /// Cut in the middle, or ended by an error event: what a replica's fault does when the answer has begun.
    pub(super) cut: AtomicU64,
    /// 504: the replica hung.
    pub(super) timed_out: AtomicU64,
    /// 500, as the replica gave it.
    pub(super) failed: AtomicU64,
    /// 502, 503, or no answer at all: a replica that behaves would have served it.
    pub(super) lost: AtomicU64,
    /// The last of those, for people.
    pub(super) last_lost: std::sync::Mutex<String>,
}

/// What a client asks for.
struct Ask {
    request: Vec<u8>,
    plain: bool,
    /// Bytes after which the client leaves.
    most: usize,
}

impl Tally {
    /// Requests that came to some end.
    pub(super) fn all(&self) -> u64 {
        [&self.good, &self.left, &self.cut, &self.timed_out, &self.failed, &self.lost]
            .iter()
            .map(|count| count.load(Relaxed))
            .sum()
    }

    pub(super) fn line(&self) -> String {
        format!("{} requests, {} lost", self.all(), self.lost.load(Relaxed))
    }

    fn lose(&self, what: String) {
        self.lost.fetch_add(1, Relaxed);
        if let Ok(mut last) = self.last_lost.lock() {
            *last = what;
        }
    }
}

/// One client, until it is told to stop.
pub(super) fn run(addresses: Addresses, seed: u64, tally: &Tally, stop: &AtomicBool) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut clients = [Client::new(addresses.aware), Client::new(addresses.plain)];
    while !stop.load(SeqCst) {
        let ask = ask(&mut rng);
        let outcome = clients[usize::from(ask.plain)].ask(&ask.request, ask.most);
        match outcome {
            Ok(answer) if answer.bytes.len() >= ask.most && !answer.complete => {
                tally.left.fetch_add(1, Relaxed);
            }
            Ok(answer) => {
                let failed_stream = find(&answer.bytes, b"data: {\"error\"").is_some();
                let count = match answer.status {
                    200 if answer.complete && !failed_stream => &tally.good,
                    200 => &tally.cut,
                    504 => &tally.timed_out,
                    500 => &tally.failed,
                    _ => {
                        tally.lose(String::from_utf8_lossy(&answer.bytes).into_owned());
                        continue;
                    }
                };
                count.fetch_add(1, Relaxed);
            }
            Err(silence) => {
                let what = match silence {
                    Silence::Refused => "no connection",
                    Silence::Closed => "closed before a head",
                    Silence::Hung => "no byte for longer than any timeout",
                };
                tally.lose(what.to_owned());
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Streams and whole answers, short and long prompts, sessions, adapters, lists, plain and aware, and clients that leave.
fn ask(rng: &mut fastrand::Rng) -> Ask {
    let plain = rng.u8(..4) == 0;
    if rng.u8(..20) == 0 {
        let request = b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
        return Ask { request, plain, most: usize::MAX };
    }
    let model = ["m", "m", "a"][rng.usize(..3)];
    let words = match rng.u8(..20) {
        0 => rng.usize(1_000..6_000),
        _ => rng.usize(1..200),
    };
    let prompt = format!("system {} ", rng.u8(..8)).repeat(words / 4 + 1) + &rng.u64(..).to_string();
    let (stream, tokens) = (rng.u8(..3) > 0, rng.u8(1..120));
    let body = format!(
        r#"{{"model":"{model}","prompt":"{prompt}","max_tokens":{tokens},"stream":{stream},"ignore_eos":true}}"#
    );
    let session = if rng.bool() { format!("X-Session-Id: s{}\r\n", rng.u8(..50)) } else { String::new() };
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\n{session}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let most = if rng.u8(..10) == 0 { rng.usize(1..2_000) } else { usize::MAX };
    Ask { request: (head + &body).into_bytes(), plain, most }
}
