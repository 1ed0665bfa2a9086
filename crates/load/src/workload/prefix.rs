//! Users who talk in sessions under a few long shared system prompts.
//!
//! A session takes one system prompt, by Zipf, and some turns. The prompt of a turn is all that was
//! said before plus a new question, so prompts grow. What the model "answered" in earlier turns is text
//! drawn in advance, as in a replayed log: it does not match what an engine generates, so the engine
//! can reuse a prompt but never its own answer.
//!
//! A number of sessions is open at any time; the next request is a turn of any of them, and a session
//! that ended makes room for a new one.

use super::{
    words::{Span, Words},
    zipf::Zipf,
};
use crate::request::{Prompt, Request};

/// System prompts, sessions and lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefix {
    /// How many system prompts there are.
    pub systems: usize,
    /// Zipf exponent of their popularity.
    pub skew: f64,
    /// Tokens of a system prompt.
    pub system: Span,
    /// Sessions open at once.
    pub open: usize,
    /// Turns of a session.
    pub turns: Span,
    /// Tokens of a question.
    pub question: Span,
    /// Tokens of an answer: asked for, and put into the later turns.
    pub answer: Span,
}

/// A session and what was said in it.
struct Session {
    id: String,
    said: String,
    turns: u32,
    words: Words,
}

struct Sessions {
    shape: Prefix,
    model: String,
    words: Words,
    popularity: Zipf,
    systems: Vec<String>,
    open: Vec<Session>,
    begun: u64,
}

// === Prefix ===

impl Default for Prefix {
    fn default() -> Self {
        Self {
            systems: 24,
            skew: 1.0,
            system: Span::new(3000, 0.3),
            open: 240,
            turns: Span::new(4, 0.5),
            question: Span::new(120, 0.5),
            answer: Span::new(200, 0.3),
        }
    }
}

impl Prefix {
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self {
            system: self.system.scaled(factor),
            question: self.question.scaled(factor),
            answer: self.answer.scaled(factor),
            ..self
        }
    }

    pub(super) fn requests(self, model: String, mut words: Words) -> impl Iterator<Item = Request> + Send {
        let systems = (0..self.systems.max(1)).map(|_| {
            let length = words.length(self.system);
            words.text(length)
        });
        let systems: Vec<String> = systems.collect();
        let popularity = Zipf::new(systems.len(), self.skew);
        Sessions { shape: self, model, words, popularity, systems, open: Vec::new(), begun: 0 }
    }
}

// === Sessions ===

impl Sessions {
    fn begin(&mut self) -> Session {
        self.begun += 1;
        let system = self.popularity.at(self.words.unit());
        Session {
            id: format!("session-{}", self.begun),
            said: self.systems[system].clone(),
            turns: self.words.length(self.shape.turns),
            words: self.words.fork(),
        }
    }
}

impl Iterator for Sessions {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        while self.open.len() < self.shape.open.max(1) {
            let session = self.begin();
            self.open.push(session);
        }
        let chosen = self.words.below(self.open.len());
        let session = &mut self.open[chosen];
        let request = session.turn(&self.shape, &self.model);
        if session.turns == 0 {
            self.open.swap_remove(chosen);
        }
        Some(request)
    }
}

// === Session ===

impl Session {
    fn turn(&mut self, shape: &Prefix, model: &str) -> Request {
        let (question, answer) = (self.words.length(shape.question), self.words.length(shape.answer));
        self.said += &self.words.text(question);
        let request =
            Request::new(model, Prompt::Text(self.said.clone()), answer).in_session(self.id.clone());
        self.said += &self.words.text(answer);
        self.turns = self.turns.saturating_sub(1);
        request
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn texts(shape: Prefix, count: usize) -> Vec<(String, String)> {
        let requests = shape.requests("m".into(), Words::new(5)).take(count);
        requests
            .map(|request| match request.prompt {
                Prompt::Text(text) => (request.session.unwrap(), text),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_turn_continues_what_was_said_in_its_session() {
        let mut last: HashMap<String, String> = HashMap::new();
        let mut continued = 0;
        for (session, text) in texts(Prefix { open: 5, ..Prefix::default() }, 60) {
            if let Some(before) = last.get(&session) {
                assert!(text.starts_with(before.as_str()) && text.len() > before.len());
                continued += 1;
            }
            last.insert(session, text);
        }
        assert!(continued > 20, "{continued}");
    }

    #[test]
    fn sessions_end_and_others_begin() {
        let mut turns: HashMap<String, u32> = HashMap::new();
        for (session, _) in texts(Prefix { open: 5, ..Prefix::default() }.scaled(0.01), 400) {
            *turns.entry(session).or_insert(0) += 1;
        }
        assert!(turns.values().all(|turns| *turns <= 6), "{turns:?}");
        assert!(turns.len() > 80);
    }

    #[test]
    fn few_system_prompts_are_shared_unevenly() {
        let mut counts: HashMap<String, u32> = HashMap::new();
        for (_, text) in texts(Prefix::default().scaled(0.1), 2000) {
            *counts.entry(text[..80].to_owned()).or_insert(0) += 1;
        }
        assert!(counts.len() <= 24);
        let most = counts.values().max().unwrap();
        assert!(*most > 350, "the first of 24 has weight 1 / 3.8: {most}");
    }
}
