//! `explain`: one decision with all that led to it.

use std::collections::BTreeMap;

use warmlane_api::admin::{Choice, Considered, Decision, Explanation, Outcome};

use super::{View, hang};
use crate::{
    clean::clean,
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
    units,
};

/// In the order in which they are read; what a newer router adds stands behind.
const SCORES: [&str; 8] = ["queue", "kv", "work", "lora", "prefix", "session", "group", "locality"];

const COLUMNS: [Column; 16] = [
    column("ENDPOINT", 0).long(14),
    column("VERDICT", 0),
    column("TOTAL", 0).right(),
    column("QUEUE", 1).right(),
    column("KV", 1).right(),
    column("WORK", 1).right(),
    column("LORA", 4).right(),
    column("PREFIX", 1).right(),
    column("SESSION", 4).right(),
    column("GROUP", 4).right(),
    column("LOCAL", 4).right(),
    column("WAITS", 2).right(),
    column("KV USE", 2).right(),
    column("HELD", 3).right(),
    column("IN FLIGHT", 3).right(),
    column("AGE", 2).right(),
];

impl View for Explanation {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        let mut text = request(screen, self);
        if let Some(outcome) = &self.decision.outcome {
            text += &line(screen, "became", Tone::Plain, &became(outcome, self.decision.endpoint.as_deref()));
        }
        text += &match &self.then {
            Some(then) => choice(screen, then, &self.weights, wide),
            None => line(
                screen,
                "scores",
                Tone::Warn,
                "what it was made of is no longer kept: newer snapshots have taken its place",
            ),
        };
        if let Some(now) = &self.now {
            text += &later(screen, now, self.then.as_ref());
        } else if let Some(why) = &self.now_unknown {
            let cannot = format!("where it would go cannot be said: {why}");
            text += &format!("\n{}", line(screen, "now", Tone::Warn, &cannot));
        }
        text
    }

    /// Of a body that nobody sent: whether it would be served.
    fn is_yes(&self) -> bool {
        is_sent(&self.decision) || self.decision.endpoint.is_some()
    }
}

/// A body that nobody sent has no id.
fn is_sent(decision: &Decision) -> bool {
    !decision.request_id.is_empty()
}

fn line(screen: Screen, label: &str, tone: Tone, text: &str) -> String {
    hang(screen, &format!("{label:<10}"), tone, &clean(text))
}

fn request(screen: Screen, explanation: &Explanation) -> String {
    let decision = &explanation.decision;
    let mut text = String::new();
    if is_sent(decision) {
        let others = match explanation.others {
            0 => String::new(),
            others => format!(" (the newest of {} with this id)", others + 1),
        };
        let ago = units::millis(decision.ms_ago);
        let when = format!("{}, {ago} ago by {}{others}", decision.request_id, decision.listener);
        text += &line(screen, "request", Tone::Plain, &when);
    }
    text += &line(screen, "asked", Tone::Plain, &asked(decision));
    let (tone, went) = match (&decision.endpoint, &decision.refusal) {
        (Some(endpoint), _) => (Tone::Good, endpoint.clone()),
        (None, Some(refusal)) => (Tone::Bad, format!("nowhere: {refusal}")),
        (None, None) => (Tone::Bad, "nowhere".to_owned()),
    };
    let went_to = if is_sent(decision) { "went to" } else { "would go" };
    text += &line(screen, went_to, tone, &went);
    if let Some(then) = &explanation.then {
        if decision.endpoint.is_some() {
            text += &line(screen, "because", Tone::Plain, &then.why);
        }
        if !then.fallbacks.is_empty() {
            text += &line(screen, "else", Tone::Plain, &then.fallbacks.join(", "));
        }
    }
    text
}

/// What was asked for, and what was known of it.
pub(super) fn asked(decision: &Decision) -> String {
    let mut parts = vec![match &decision.model {
        Some(model) => match &decision.asked_model {
            Some(asked) => format!("{asked}, sent on as {model}, in pool {}", decision.pool),
            None => format!("{model} in pool {}", decision.pool),
        },
        None => format!("no model, in pool {}", decision.pool),
    }];
    let (prompt, output) = (units::count(decision.prompt_tokens), units::count(decision.output_tokens));
    parts.push(format!("{prompt} prompt tokens and {output} to come"));
    parts.push(format!("{}, {}", decision.criticality, decision.strategy));
    parts.extend(decision.session.iter().map(|session| format!("session {session}")));
    parts.extend(decision.group.iter().map(|group| format!("prefix group {group}")));
    parts.join("; ")
}

fn became(outcome: &Outcome, chosen: Option<&str>) -> String {
    let status = outcome.status.map(|status| format!("{status} ")).unwrap_or_default();
    let mut parts = vec![format!("{status}{}", outcome.end)];
    if let Some(endpoint) = outcome.endpoint.as_deref().filter(|endpoint| Some(*endpoint) != chosen) {
        parts.push(format!("served by {endpoint}"));
    }
    parts.extend(outcome.first_byte_us.map(|us| format!("first byte after {}", micros(us))));
    if let Some(bytes) = outcome.bytes {
        let lane = match outcome.lane_bytes {
            0 => String::new(),
            lane => format!(", {} of them by the kernel lane", units::bytes(lane)),
        };
        parts.push(format!("{} passed on{lane}", units::bytes(bytes)));
    }
    let stages = ["read", "admit", "pick", "connect", "relay", "done"];
    let spent = |stage: &&str| {
        let us = outcome.stages_us.get(*stage).filter(|us| **us > 0)?;
        Some(format!("{stage} {}", micros(*us)))
    };
    let spent: Vec<String> = stages.iter().filter_map(spent).collect();
    parts.extend(Some(spent.join(" ")).filter(|spent| !spent.is_empty()));
    parts.join("; ")
}

fn micros(us: u64) -> String {
    if us < 1_000 { format!("{us}us") } else { units::millis(us / 1_000) }
}

/// The table. A score is shown with its weight, so that a row adds up to its total.
fn choice(screen: Screen, choice: &Choice, weights: &BTreeMap<String, f32>, wide: bool) -> String {
    if choice.endpoints.is_empty() {
        return line(screen, "scores", Tone::Warn, "the pool had no endpoint");
    }
    let rows = choice.endpoints.iter().map(|endpoint| row(endpoint, weights, choice.endpoint.as_deref()));
    let mut text = format!("\n{}", Table::new(&COLUMNS).with(rows).draw(screen, wide));
    if wide {
        let named = weights.iter().map(|(score, weight)| format!("{score} {weight}"));
        text += &line(screen, "weights", Tone::Faint, &named.collect::<Vec<_>>().join(", "));
    }
    text + &troubles(screen, choice, wide)
}

/// What was wrong with those that were left out, or with all; one line for all that had the same.
fn troubles(screen: Screen, choice: &Choice, wide: bool) -> String {
    let mut troubles: Vec<(&str, Vec<&str>)> = Vec::new();
    for endpoint in choice.endpoints.iter().filter(|endpoint| wide || endpoint.verdict != "candidate") {
        let Some(trouble) = endpoint.trouble.as_deref() else { continue };
        match troubles.iter_mut().find(|(known, _)| *known == trouble) {
            Some((_, addresses)) => addresses.push(&endpoint.address),
            None => troubles.push((trouble, vec![&endpoint.address])),
        }
    }
    let told = |(trouble, addresses): &(&str, Vec<&str>)| {
        let more = match addresses.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        line(screen, "trouble", Tone::Warn, &format!("{}{more}: {trouble}", addresses[0]))
    };
    troubles.iter().map(told).collect()
}

fn row(endpoint: &Considered, weights: &BTreeMap<String, f32>, chosen: Option<&str>) -> Vec<Cell> {
    let competes = endpoint.verdict == "candidate";
    let points = |score: &&str| {
        let value = endpoint.scores.get(*score).filter(|_| competes)?;
        Some(format!("{:.2}", value * weights.get(*score).copied().unwrap_or_default()))
    };
    let is_chosen = chosen == Some(&*endpoint.address);
    let tone = match (is_chosen, competes) {
        (true, _) => Tone::Good,
        (false, true) => Tone::Plain,
        (false, false) => Tone::Warn,
    };
    let verdict = match (is_chosen, competes) {
        (true, _) => "chosen".to_owned(),
        (false, true) => "candidate".to_owned(),
        (false, false) => format!("not {}", endpoint.verdict),
    };
    let is_known = |signal| endpoint.signals.contains_key(signal);
    let oldest = endpoint.signals.values().map(|stated| stated.age_ms).max();
    let mut cells = vec![
        Cell::new(&endpoint.address).toned(tone),
        Cell::new(verdict).toned(tone),
        Cell::maybe(competes.then(|| format!("{:.2}", endpoint.total))),
    ];
    cells.extend(SCORES.iter().map(|score| Cell::maybe(points(score))));
    cells.extend([
        // Of an engine that had said nothing, it is what this router sent there, and looks like little.
        Cell::maybe(is_known("queue").then(|| units::number(endpoint.estimate.queue))),
        Cell::maybe(is_known("kv_use").then(|| units::percent(endpoint.estimate.kv))),
        Cell::new(units::count(endpoint.matched_tokens)),
        Cell::new(endpoint.in_flight.to_string()),
        Cell::maybe(oldest.map(units::millis)),
    ]);
    cells
}

/// What it would be by now.
fn later(screen: Screen, now: &Choice, then: Option<&Choice>) -> String {
    let same = then.is_some_and(|then| then.endpoint == now.endpoint);
    let text = match (&now.endpoint, same) {
        (Some(endpoint), true) => format!("{endpoint} again: {}", now.why),
        (Some(endpoint), false) => format!("{endpoint}: {}", now.why),
        (None, _) => format!("nowhere: {}", now.why),
    };
    format!("\n{}", line(screen, "now", if same { Tone::Plain } else { Tone::Warn }, &text))
}
