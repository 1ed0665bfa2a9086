//! Completion requests that keep a prefix index at work: shared prefixes of several lengths, and behind each a part that
//! no other request of this process has. A part that came twice would be known to an index the second time, and as the
//! lowest of all rounds counts, only the easy rounds would.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Size {
    /// 1 KB
    #[value(name = "1k")]
    Small,
    /// 8 KB
    #[value(name = "8k")]
    Middle,
    /// 128 KB
    #[value(name = "128k")]
    Large,
}

/// Different shared prefixes.
const PREFIXES: usize = 64;

/// Digits that make a request's own part its own.
const OWN: usize = 16;

/// How many [`Prompts`] there were.
static BATCHES: AtomicU64 = AtomicU64::new(0);

/// Requests of one size, head and body. At most 2^32 of them.
pub(super) struct Prompts {
    templates: Vec<Template>,
    /// Number of the last request: the batch in the upper half.
    last: u64,
    turn: usize,
}

struct Template {
    bytes: Vec<u8>,
    /// Where the own digits stand: behind the shared prefix.
    own: usize,
}

// === Size ===

impl Size {
    pub(super) const ALL: [Self; 3] = [Self::Small, Self::Middle, Self::Large];

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Small => 1 << 10,
            Self::Middle => 8 << 10,
            Self::Large => 128 << 10,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Small => "1 KB",
            Self::Middle => "8 KB",
            Self::Large => "128 KB",
        }
    }
}

// === Prompts ===

impl Prompts {
    pub(super) fn new(size: Size, path: &str) -> Self {
        let template = |number: usize| {
            let wrapping = r#"{"model":"m","max_tokens":16,"prompt":""}"#.len();
            let text = words(number as u64, size.bytes() - wrapping);
            // A quarter, a half, three quarters, or nearly all of it is shared.
            let own = (text.len() * (1 + number % 4) / 4).min(text.len() - OWN);
            let body = format!(r#"{{"model":"m","max_tokens":16,"prompt":"{text}"}}"#);
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let own = head.len() + body.len() - 2 - text.len() + own;
            Template { bytes: (head + &body).into_bytes(), own }
        };
        let batch = BATCHES.fetch_add(1, Ordering::Relaxed);
        Self { templates: (0..PREFIXES).map(template).collect(), last: batch << 32, turn: 0 }
    }

    /// The next request; its bytes are valid until the one after it is asked for.
    pub(super) fn next(&mut self) -> &[u8] {
        self.last += 1;
        // Odd steps through a power of two: every template has its turn.
        self.turn = (self.turn + 7) % PREFIXES;
        let template = &mut self.templates[self.turn];
        let mut number = self.last;
        for digit in template.bytes[template.own..template.own + OWN].iter_mut().rev() {
            *digit = b"0123456789abcdef"[(number & 0xf) as usize];
            number >>= 4;
        }
        &template.bytes
    }
}

/// Plain words, `length` bytes of them, the same for the same seed.
pub(crate) fn words(seed: u64, length: usize) -> String {
    let mut rng = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        let word = rng % 5_000;
        text.push_str(&format!("w{word} "));
    }
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_later_batch_repeats_a_request() {
        let batch = || {
            let mut prompts = Prompts::new(Size::Small, "/v1/completions");
            (0..200).map(|_| prompts.next().to_vec()).collect::<std::collections::HashSet<_>>()
        };
        assert!(batch().is_disjoint(&batch()));
    }

    #[test]
    fn bodies_have_their_size_and_no_two_are_alike() {
        for size in Size::ALL {
            let mut prompts = Prompts::new(size, "/v1/completions");
            let mut seen = std::collections::HashSet::new();
            for _ in 0..500 {
                let request = prompts.next().to_vec();
                let at = crate::wire::find(&request, b"\r\n\r\n").unwrap() + 4;
                assert_eq!(request.len() - at, size.bytes());
                serde_json::from_slice::<serde_json::Value>(&request[at..]).unwrap();
                assert!(seen.insert(request));
            }
        }
    }
}
