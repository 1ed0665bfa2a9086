//! A replica as `top` has it: joined from the router's pages and, where an agent was given, from its node's. Pure.
//!
//! The score is the number that agents give people too, its [`standing()`]: from 0, avoid it, to 1, idle and well. The router
//! weighs the signals themselves, for each request anew: `explain` shows that.

use std::collections::HashMap;

use warmlane_api::admin::{Aged, Agents, Endpoint, Gpu, Lane, Node};
use warmlane_picker::{Fitness, standing};

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
    let fitness = match endpoint.health.split(':').next() {
        _ if !endpoint.ready || asleep => Fitness::Out,
        Some("healthy") => Fitness::Well,
        Some("failed") => Fitness::Out,
        _ => Fitness::Ill,
    };
    if fitness != Fitness::Out && signals.queue.is_none() && signals.kv_use.is_none() {
        return None;
    }
    let value = |reading: Option<Aged<f32>>| reading.map(|reading| reading.value);
    Some(standing(fitness, value(signals.queue), value(signals.kv_use)))
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
    use warmlane_api::admin::{Agent, Card, NodeEngine, Signals};

    use super::*;

    fn endpoint(queue: f32, kv_use: f32) -> Endpoint {
        let aged = |value| Some(Aged { value, age_ms: 10 });
        let signals = Signals { queue: aged(queue), kv_use: aged(kv_use), ..Signals::default() };
        Endpoint { ready: true, health: "healthy".to_owned(), signals, ..Endpoint::default() }
    }

    #[test]
    fn the_score_is_the_standing_by_health_and_load() {
        assert_eq!(score(&endpoint(0.0, 0.0)), Some(1.0));
        assert_eq!(score(&endpoint(8.0, 0.5)), Some(0.25));
        let ill = Endpoint { health: "degraded: its GPU".to_owned(), ..endpoint(8.0, 0.5) };
        assert_eq!(score(&ill), Some(0.125));
        assert_eq!(score(&Endpoint { ready: false, ..endpoint(0.0, 0.0) }), Some(0.0));
        assert_eq!(score(&Endpoint { signals: Signals::default(), ..endpoint(0.0, 0.0) }), None);
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
