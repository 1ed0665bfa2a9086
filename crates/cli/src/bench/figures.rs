//! What was measured, and its table. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use warmlane_load::{
    Percentiles, Run, Summary, Table,
    table::{Better, Cell},
};

use crate::{
    args::Bench,
    clean::clean,
    screen::{Screen, Tone},
    views::{View, hang},
};

/// Replicas that the table names; of the others it says how many requests they had.
const MOST_REPLICAS: usize = 16;
/// Of a bad answer that is shown.
const MOST_EXAMPLE: usize = 200;

/// Adds a line to the table: its name, what is better, the value of a route, digits after the point.
type Row<'r> = dyn FnMut(&str, Better, &dyn Fn(&Route) -> Option<f64>, usize) + 'r;

/// See the module's header.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    model: String,
    concurrency: u16,
    prefixes: u16,
    prompt_tokens: u32,
    output_tokens: u32,
    /// Somebody had enough before the end: requests that had none by then, and are in no figure.
    unfinished: Option<u64>,
    routes: Vec<Route>,
}

/// Of one route.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Route {
    route: String,
    requests: u64,
    failed: u64,
    failures: BTreeMap<String, Bad>,
    seconds: f64,
    ttft_ms: Percentiles,
    between_tokens_ms: Percentiles,
    whole_ms: Percentiles,
    output_tokens: u64,
    output_tokens_per_second: f64,
    prompt_tokens: u64,
    /// Share of prompt tokens that engines had in their caches; `null`: they do not say.
    cached_share: Option<f64>,
    /// Requests by replica.
    replicas: BTreeMap<String, u64>,
    /// Who says so: `router` or `replies`; `null`: nobody.
    replicas_by: Option<&'static str>,
}

/// Bad answers of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Bad {
    count: u64,
    /// What the first of them said.
    example: String,
}

// === Figures ===

impl Figures {
    pub(super) fn of(asked: &Bench, model: String, unfinished: Option<u64>, routes: Vec<Route>) -> Self {
        let Bench { concurrency, prefixes, prompt_tokens, output_tokens, .. } = *asked;
        Self { model, concurrency, prefixes, prompt_tokens, output_tokens, unfinished, routes }
    }
}

impl View for Figures {
    fn draw(&self, screen: Screen, _wide: bool) -> String {
        let line = |label: &str, tone, text: &str| hang(screen, &format!("{label:<10}"), tone, &clean(text));
        let load = format!(
            "{}, {} at once, {} prefixes, {} prompt tokens, {} to come",
            self.model, self.concurrency, self.prefixes, self.prompt_tokens, self.output_tokens
        );
        let mut text = line("load", Tone::Plain, &load);
        let names = self.names();
        for (name, route) in names.iter().zip(&self.routes) {
            text += &line(name, Tone::Plain, &route.route);
        }
        if let Some(unfinished) = self.unfinished {
            let note = format!("before its end; {unfinished} requests under way are in no figure");
            text += &line("stopped", Tone::Warn, &note);
        }
        text += "\n";
        text += &table(&self.routes, names).render(screen.color);
        for (name, route) in names.iter().zip(&self.routes) {
            for (kind, Bad { count, example }) in &route.failures {
                text += &line("failed", Tone::Bad, &format!("{name}: {count} {kind}, such as: {example}"));
            }
        }
        text
    }

    fn is_yes(&self) -> bool {
        self.routes.iter().all(|route| route.failed == 0)
            && self.routes.iter().any(|route| route.requests > 0)
    }
}

impl Figures {
    fn names(&self) -> &'static [&'static str] {
        if self.routes.len() > 1 { &["first", "second"] } else { &["route"] }
    }
}

fn table(routes: &[Route], names: &[&str]) -> Table {
    let mut table = Table::new(names.iter().copied());
    let mut row = |figure: &str, better, value: &dyn Fn(&Route) -> Option<f64>, digits| {
        let cell = |route| {
            let none = Cell { value: f64::NAN, text: "-".to_owned() };
            value(route).map_or(none, |value| Cell::number(value, digits))
        };
        table.row(figure, better, routes.iter().map(cell).collect());
    };
    times(&mut row);
    places(routes, &mut row);
    table
}

fn times(row: &mut Row<'_>) {
    // Of no good answer there is no time.
    let time = |route: &Route, value: f64| (route.requests > route.failed).then_some(value);
    row("requests", Better::Neither, &|route| Some(route.requests as f64), 0);
    row("failed", Better::Lower, &|route| Some(route.failed as f64), 0);
    row("first token p50 (ms)", Better::Lower, &|route| time(route, route.ttft_ms.p50), 1);
    row("first token p90 (ms)", Better::Lower, &|route| time(route, route.ttft_ms.p90), 1);
    row("first token p99 (ms)", Better::Lower, &|route| time(route, route.ttft_ms.p99), 1);
    row("between tokens p50 (ms)", Better::Lower, &|route| time(route, route.between_tokens_ms.p50), 1);
    row("between tokens p99 (ms)", Better::Lower, &|route| time(route, route.between_tokens_ms.p99), 1);
    row("whole answer p50 (ms)", Better::Lower, &|route| time(route, route.whole_ms.p50), 1);
    row("tokens per second", Better::Higher, &|route| time(route, route.output_tokens_per_second), 0);
    row(
        "prompt tokens cached (%)",
        Better::Higher,
        &|route| route.cached_share.map(|share| share * 100.0),
        0,
    );
}

/// Which replicas served.
fn places(routes: &[Route], row: &mut Row<'_>) {
    row("replicas", Better::Neither, &|route| route.replicas_by.map(|_| route.replicas.len() as f64), 0);
    let (named, others) = replicas(routes);
    for replica in &named {
        let to = |route: &Route| route.replicas_by.map(|_| route.to(replica) as f64);
        row(&format!("  to {}", clean(replica)), Better::Neither, &to, 0);
    }
    if others > 0 {
        let rest = |route: &Route| {
            let shown: u64 = named.iter().map(|replica| route.to(replica)).sum();
            route.replicas_by.map(|_| (route.replicas.values().sum::<u64>() - shown) as f64)
        };
        row(&format!("  to {others} others"), Better::Neither, &rest, 0);
    }
}

/// Those with most requests, and how many others there are.
fn replicas(routes: &[Route]) -> (Vec<&str>, usize) {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (replica, count) in routes.iter().flat_map(|route| &route.replicas) {
        *all.entry(replica).or_default() += count;
    }
    let mut named: Vec<(&str, u64)> = all.into_iter().collect();
    named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others = named.len().saturating_sub(MOST_REPLICAS);
    named.truncate(MOST_REPLICAS);
    let mut named: Vec<&str> = named.into_iter().map(|(replica, _)| replica).collect();
    named.sort_unstable();
    (named, others)
}

// === Route ===

impl Route {
    /// `sent`: by replica, as a router counted them.
    pub(super) fn of(route: String, run: &Run, sent: Option<BTreeMap<String, u64>>) -> Self {
        let summary = Summary::new(run, 1.0);
        let says_cached = run
            .outcomes
            .iter()
            .any(|outcome| outcome.ok() && outcome.usage.is_some_and(|usage| usage.cached_tokens.is_some()));
        let cached_share = says_cached.then(|| summary.prefix_hit_rate());
        let (replicas, replicas_by) = match sent {
            Some(sent) if !sent.is_empty() => (sent, Some("router")),
            _ if !summary.endpoints.is_empty() => (summary.endpoints, Some("replies")),
            _ => (BTreeMap::new(), None),
        };
        Self {
            route,
            requests: summary.requests,
            failed: summary.errors,
            failures: failures(run),
            seconds: summary.duration_s,
            ttft_ms: summary.ttft_ms,
            between_tokens_ms: summary.itl_ms,
            whole_ms: summary.e2e_ms,
            output_tokens: summary.output_tokens,
            output_tokens_per_second: summary.output_tokens_per_s,
            prompt_tokens: summary.prompt_tokens,
            cached_share,
            replicas,
            replicas_by,
        }
    }

    fn to(&self, replica: &str) -> u64 {
        self.replicas.get(replica).copied().unwrap_or_default()
    }
}

fn failures(run: &Run) -> BTreeMap<String, Bad> {
    let mut kinds: BTreeMap<String, Bad> = BTreeMap::new();
    for failure in run.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()) {
        let bad = kinds.entry(failure.kind()).or_default();
        if bad.count == 0 {
            bad.example = failure.to_string().chars().take(MOST_EXAMPLE).collect();
        }
        bad.count += 1;
    }
    kinds
}

#[cfg(test)]
mod tests;
