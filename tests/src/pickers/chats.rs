//! Chats of one size: some begin alike, and no two are the same, so that a prefix index has something to find and always
//! something to add.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::proxy::prompts::words;

/// Different beginnings.
const PREFIXES: u64 = 16;
/// Digits that make a chat's own part its own.
const OWN: usize = 16;
const OPENING: &str = r#"{"model":"m","max_tokens":16,"messages":[{"role":"system","content":""#;
const BETWEEN: &str = r#""},{"role":"user","content":""#;
const CLOSING: &str = r#""}]}"#;

/// How many chats there were in this process: one that came twice would be known to an index.
static CHATS: AtomicU64 = AtomicU64::new(0);

/// Request bodies of `bytes` each.
pub(crate) struct Chats {
    templates: Vec<Template>,
}

struct Template {
    body: Vec<u8>,
    /// Where the own digits stand.
    own: usize,
}

// === Chats ===

impl Chats {
    pub(crate) fn new(bytes: usize) -> Self {
        Self::beginning(bytes, PREFIXES)
    }

    /// The same with one beginning: large ones take seconds to make, and the engines' pages wait for as long.
    pub(crate) fn alike(bytes: usize) -> Self {
        Self::beginning(bytes, 1)
    }

    fn beginning(bytes: usize, beginnings: u64) -> Self {
        let text = bytes - OPENING.len() - BETWEEN.len() - OWN - CLOSING.len();
        let template = |number: u64| {
            // A quarter, a half, three quarters, or nearly all of it is shared.
            let shared = text * (1 + number as usize % 4) / 4;
            let (system, user) = (words(number, shared), words(PREFIXES + number, text - shared));
            let own = OPENING.len() + shared + BETWEEN.len();
            let digits = "0".repeat(OWN);
            let body = [OPENING, &system, BETWEEN, &digits, &user, CLOSING].concat().into_bytes();
            Template { body, own }
        };
        Self { templates: (0..beginnings).map(template).collect() }
    }

    /// The next one.
    pub(crate) fn next(&self) -> Vec<u8> {
        let number = CHATS.fetch_add(1, Ordering::Relaxed);
        let template = &self.templates[number as usize % self.templates.len()];
        let mut body = template.body.clone();
        body[template.own..template.own + OWN].copy_from_slice(format!("{number:0OWN$x}").as_bytes());
        body
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn chats_have_their_size_and_no_two_are_alike() {
        for bytes in [1024, 400_000] {
            let chats = Chats::new(bytes);
            let some: HashSet<Vec<u8>> = (0..50).map(|_| chats.next()).collect();
            assert_eq!(some.len(), 50);
            for body in some {
                assert_eq!(body.len(), bytes);
                serde_json::from_slice::<serde_json::Value>(&body).unwrap();
            }
        }
    }
}
