//! The one screen.

use super::{Following, Hottest, LaneShare, PoolShare, Replicas, Status};
use crate::{
    clean::clean,
    screen::{Screen, Tone},
    units,
    views::{View, hang},
};

/// Pools with a line of their own.
const POOLS: usize = 8;

impl View for Status {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        let line = |label: &str, (tone, text): (Tone, String)| hang(screen, label, tone, &clean(&text));
        let router = &self.router;
        let about = format!(
            "{}, version {}, up {}",
            router.address,
            router.version,
            units::seconds(router.uptime_seconds)
        );
        let mut text = line("router    ", (Tone::Plain, about));
        text += &line("ready     ", readiness(router.ready, &router.readiness));
        text += &line("replicas  ", self.replicas.line());
        if let Some(hottest) = &self.hottest {
            text += &line("hottest   ", (Tone::Plain, hottest.line()));
        }
        text += &line("agents    ", self.agents.line());
        text += &line("lane      ", self.lane.line(&self.replicas));
        let shown = if wide { self.pools.len() } else { POOLS };
        for pool in self.pools.iter().take(shown) {
            text += &line("pool      ", pool.line());
        }
        if let Some(more @ 1..) = self.pools.len().checked_sub(shown) {
            text +=
                &line("          ", (Tone::Faint, format!("and {more} more: -o wide, or `warmlane pools`")));
        }
        for wrong in &self.wrong {
            text += &line("wrong     ", (Tone::Bad, wrong.clone()));
        }
        for hint in &self.hints {
            text += &line("hint      ", (Tone::Warn, hint.clone()));
        }
        if self.wrong.is_empty() {
            text += &line("", (Tone::Good, "all is well".to_owned()));
        }
        text
    }

    fn is_yes(&self) -> bool {
        self.wrong.is_empty()
    }
}

fn readiness(ready: bool, readiness: &str) -> (Tone, String) {
    match ready {
        true => (Tone::Good, format!("yes, {}", readiness.strip_prefix("ok: ").unwrap_or(readiness))),
        // Why stands below, as what is wrong.
        false => (Tone::Bad, "no".to_owned()),
    }
}

// === Replicas ===

impl Replicas {
    fn line(&self) -> (Tone, String) {
        let closed = self.all.saturating_sub(self.ready + self.drained);
        let tone = match (closed + self.unhealthy, self.drained) {
            (0, 0) => Tone::Good,
            (0, _) => Tone::Warn,
            _ => Tone::Bad,
        };
        let some = |count, what| if count > 0 { format!(", {count} {what}") } else { String::new() };
        let (unhealthy, drained) = (some(self.unhealthy, "unhealthy"), some(self.drained, "drained"));
        let flight = units::count(self.in_flight);
        (
            tone,
            format!("{} ready of {}{unhealthy}{drained}; {flight} requests under way", self.ready, self.all),
        )
    }
}

// === Hottest ===

impl Hottest {
    fn line(&self) -> String {
        let known = |value: Option<f32>| value.map_or_else(|| "?".to_owned(), units::number);
        let kv = self.kv_use.map_or_else(|| "?".to_owned(), units::bar);
        format!(
            "{}: {} waiting, {} running, KV cache {kv}, {} of them from here",
            self.address,
            known(self.queue),
            known(self.running),
            self.in_flight
        )
    }
}

// === Following ===

impl Following {
    fn line(&self) -> (Tone, String) {
        if self.all == 0 {
            return (Tone::Plain, "none: the router reads engines by itself".to_owned());
        }
        let heard =
            self.heard_ms_ago.map_or_else(String::new, |ago| format!(", heard {} ago", units::millis(ago)));
        let gpus = match (self.gpus, self.unhealthy_gpus) {
            (0, _) => String::new(),
            (all, 0) => format!("; {all} GPUs, all healthy"),
            (all, ill) => format!("; {all} GPUs, {ill} unhealthy"),
        };
        let tone =
            if self.connected == self.all && self.unhealthy_gpus == 0 { Tone::Good } else { Tone::Bad };
        (tone, format!("{} of {} connected{heard}{gpus}", self.connected, self.all))
    }
}

// === LaneShare ===

impl LaneShare {
    fn line(&self, replicas: &Replicas) -> (Tone, String) {
        let share = self.local_requests.map_or_else(String::new, |share| {
            format!(", {} of requests went to them", units::percent(share))
        });
        let local = format!("{} of {} replicas on the router's node{share}", replicas.local, replicas.all);
        match &self.why_off {
            None => (Tone::Good, format!("on for {} responses; {local}", self.mode)),
            Some(why) if self.mode == "off" => (Tone::Plain, format!("off: {why}; {local}")),
            Some(why) => (Tone::Warn, format!("off: {why}; {local}")),
        }
    }
}

// === PoolShare ===

impl PoolShare {
    fn line(&self) -> (Tone, String) {
        let tone = match self.ready {
            0 => Tone::Bad,
            ready if ready < self.replicas => Tone::Warn,
            _ => Tone::Good,
        };
        (tone, format!("{}: {} of {} ready, {}", self.name, self.ready, self.replicas, self.strategy))
    }
}
