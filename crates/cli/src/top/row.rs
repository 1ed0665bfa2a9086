//! A replica as `top` has it: joined from the router's pages and, where an agent was given, from its node's. Pure.
//!
//! The score is the number that agents give people too: from 0, avoid it, to 1, idle and well,
//! `health * (1 - kv_use) / (1 + queue / 8)`, where `health` is 1, 0.5 where something speaks against the replica and 0 where
//! it gets nothing. The router weighs the signals themselves, for each request anew: `explain` shows that.

use std::collections::HashMap;

use warmlane_api::admin::{Agents, Endpoint, Gpu, Lane, Node};

/// Waiting requests that halve a score.
const HALF: f32 = 8.0;

/// See the module's header.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(super) endpoint: Endpoint,
    /// `None`: nothing is known of its load.
    pub(super) score: Option<f32>,
    /// Requests that this router sends there, a second.
    pub(super) rate: Option<f32>,
    /// What it runs on, or what its node has.
    pub(super) gpu: Option<Gpu>,
    /// Its responses may take the kernel lane.
    pub(super) on_lane: bool,
}

/// Which GPU stands for each replica: of several the one that looks worst.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cards(HashMap<String, Gpu>);

// === Row ===

impl Row {
    pub(super) fn new(endpoint: Endpoint, rate: Option<f32>, cards: &Cards, lane: &Lane) -> Self {
        Self {
            score: score(&endpoint),
            rate,
            gpu: cards.0.get(&endpoint.address).cloned(),
            on_lane: lane.on && (endpoint.local || lane.remote),
            endpoint,
        }
    }

    /// Something of it has this text, which is in small letters.
    pub(super) fn fits(&self, filter: &str) -> bool {
        let endpoint = &self.endpoint;
        let has = |text: &String| text.to_lowercase().contains(filter);
        [&endpoint.address, &endpoint.health].into_iter().any(has)
            || endpoint.node.iter().any(has)
            || endpoint.pools.iter().any(has)
            || endpoint.models.iter().flatten().any(has)
    }
}

/// See the module's header.
fn score(endpoint: &Endpoint) -> Option<f32> {
    let signals = &endpoint.signals;
    let asleep = signals.awake.is_some_and(|awake| !awake.value);
    let health = match endpoint.health.split(':').next() {
        _ if !endpoint.ready || asleep => 0.0,
        Some("healthy") => 1.0,
        Some("failed") => 0.0,
        _ => 0.5,
    };
    if health > 0.0 && signals.queue.is_none() && signals.kv_use.is_none() {
        return None;
    }
    // What no engine can mean counts as the nearest that it can.
    let kv_use = signals.kv_use.map_or(0.0, |reading| reading.value.clamp(0.0, 1.0));
    let queue = signals.queue.map_or(0.0, |reading| reading.value.max(0.0));
    let score = health * (1.0 - kv_use) / (1.0 + queue / HALF);
    Some(if score.is_finite() { score } else { 0.0 })
}

// === Cards ===

impl Cards {
    /// Those of the node that the page of its agent shows are exact; of the others it is known only what their nodes have.
    pub(super) fn of(agents: &Agents, node: Option<&Node>) -> Self {
        let mut cards = HashMap::new();
        for agent in &agents.agents {
            let Some(worst) = worst(agent.gpus.iter()) else { continue };
            cards.extend(agent.endpoints.iter().map(|address| (address.clone(), worst.clone())));
        }
        for engine in node.iter().flat_map(|node| &node.engines) {
            let all = node.iter().flat_map(|node| &node.gpus).map(|card| &card.gpu);
            let own = |gpu: &&Gpu| engine.gpus.is_empty() || engine.gpus.contains(&gpu.uuid);
            cards.extend(worst(all.filter(own)).map(|gpu| (engine.address.clone(), gpu.clone())));
        }
        Self(cards)
    }
}

/// The illest of them; of those alike the hottest.
fn worst<'g>(gpus: impl Iterator<Item = &'g Gpu>) -> Option<&'g Gpu> {
    let heat = |gpu: &Gpu| gpu.temperature_celsius.unwrap_or(f32::NEG_INFINITY);
    gpus.max_by(|a, b| illness(a).cmp(&illness(b)).then_with(|| heat(a).total_cmp(&heat(b))))
}

/// More is worse.
pub(super) fn illness(gpu: &Gpu) -> u8 {
    match gpu.verdict.split(':').next() {
        Some("healthy") => 0,
        Some("degraded") => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use warmlane_api::admin::{Aged, Agent, Card, NodeEngine, Signals};

    use super::*;

    fn endpoint(queue: f32, kv_use: f32) -> Endpoint {
        let aged = |value| Some(Aged { value, age_ms: 10 });
        let signals = Signals { queue: aged(queue), kv_use: aged(kv_use), ..Signals::default() };
        Endpoint { ready: true, health: "healthy".to_owned(), signals, ..Endpoint::default() }
    }

    #[test]
    fn the_score_is_what_the_formula_says() {
        assert_eq!(score(&endpoint(0.0, 0.0)), Some(1.0));
        assert_eq!(score(&endpoint(8.0, 0.5)), Some(0.25));
        let ill = Endpoint { health: "degraded: its GPU".to_owned(), ..endpoint(8.0, 0.5) };
        assert_eq!(score(&ill), Some(0.125));
        assert_eq!(score(&Endpoint { ready: false, ..endpoint(0.0, 0.0) }), Some(0.0));
        assert_eq!(score(&Endpoint { signals: Signals::default(), ..endpoint(0.0, 0.0) }), None);
        for (queue, kv_use) in [(f32::NAN, 0.0), (0.0, f32::NAN), (f32::INFINITY, 1.0), (-5.0, 7.0)] {
            let score = score(&endpoint(queue, kv_use)).expect("a score");
            assert!((0.0..=1.0).contains(&score), "{queue} {kv_use}: {score}");
        }
    }

    #[test]
    fn the_illest_card_of_its_own_stands_for_a_replica() {
        let gpu = |uuid: &str, verdict: &str, celsius| Gpu {
            uuid: uuid.to_owned(),
            verdict: verdict.to_owned(),
            temperature_celsius: Some(celsius),
            ..Gpu::default()
        };
        let all = [gpu("a", "healthy", 50.0), gpu("b", "degraded: hot", 40.0), gpu("c", "healthy", 60.0)];
        let agents = Agents {
            agents: vec![Agent { endpoints: vec!["x:1".to_owned()], gpus: all.to_vec(), ..Agent::default() }],
        };
        assert_eq!(Cards::of(&agents, None).0["x:1"].uuid, "b");
        let card = |gpu: &Gpu| Card { gpu: gpu.clone(), ..Card::default() };
        let engine = |gpus: &[&str]| NodeEngine {
            address: "x:1".to_owned(),
            gpus: gpus.iter().map(|uuid| (*uuid).to_owned()).collect(),
            ..NodeEngine::default()
        };
        let node = |gpus: &[&str]| Node {
            engines: vec![engine(gpus)],
            gpus: all.iter().map(card).collect(),
            ..Node::default()
        };
        assert_eq!(Cards::of(&agents, Some(&node(&["a", "c"]))).0["x:1"].uuid, "c", "the agent knows better");
        assert_eq!(Cards::of(&Agents::default(), Some(&node(&[]))).0["x:1"].uuid, "b");
    }
}
