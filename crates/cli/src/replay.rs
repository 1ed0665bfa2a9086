//! Recorded decisions, made again: as they were, or with another strategy or other weights. Pure.

use std::{collections::BTreeMap, io::BufRead};

use serde::{Deserialize, Serialize};
use warmlane_picker::{Profile, Strategy};
use warmlane_replay::{
    Admit, choice,
    file::{self, Entry, FileError},
    weights,
};

/// What is weighed otherwise than it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Another strategy, with its default weights.
    pub strategy: Option<Strategy>,
    /// By the names of scores.
    pub weights: BTreeMap<String, f32>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// Those that were made again.
    pub decisions: usize,
    /// Those that could not be: their state was no longer kept.
    pub stateless: usize,
    /// They were weighed otherwise than then.
    pub changed_profile: bool,
    /// How, in words.
    pub profile: String,
    /// Who got how much.
    pub endpoints: Vec<Share>,
    /// Those that come out otherwise.
    pub moved: Vec<Moved>,
}

/// What one endpoint got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Which.
    pub address: String,
    /// Requests, as recorded.
    pub recorded: u64,
    /// Requests, made again.
    pub replayed: u64,
    /// Prompt tokens that it held of those recorded.
    pub held_recorded: u64,
    /// Of those made again.
    pub held_replayed: u64,
}

/// A decision that comes out otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Whose.
    pub request_id: String,
    /// Where it went; `null`: nowhere.
    pub recorded: Option<String>,
    /// Where it would go.
    pub replayed: Option<String>,
    /// Why there.
    pub why: String,
}

// === Change ===

impl Change {
    /// Nothing.
    pub fn is_none(&self) -> bool {
        self.strategy.is_none() && self.weights.is_empty()
    }

    /// Reads `prefix=4,kv=1`.
    ///
    /// # Errors
    /// A sentence that names what is no weight, and those that there are.
    pub fn read_weights(text: &str) -> Result<BTreeMap<String, f32>, String> {
        let known = weights(&Profile::default().weights);
        let names = || known.keys().cloned().collect::<Vec<_>>().join(", ");
        let one = |part: &str| {
            let (name, value) = part.split_once('=').ok_or(format!("{part:?} is no NAME=NUMBER"))?;
            let value = value.trim().parse::<f32>().ok().filter(|value| (0.0..=1_000.0).contains(value));
            let value = value.ok_or(format!("{part:?}: a weight is a number from 0 to 1000"))?;
            if !known.contains_key(name.trim()) {
                return Err(format!("there is no weight {name:?}; there are {}", names()));
            }
            Ok((name.trim().to_owned(), value))
        };
        text.split(',').filter(|part| !part.trim().is_empty()).map(one).collect()
    }

    fn of(&self, recorded: &Profile) -> Profile {
        let mut profile = match self.strategy {
            None => *recorded,
            Some(strategy) => Profile { strategy, weights: Profile::of(strategy).weights, ..*recorded },
        };
        let weights = &mut profile.weights;
        for (name, value) in &self.weights {
            match name.as_str() {
                "queue" => weights.queue = *value,
                "kv" => weights.kv = *value,
                "work" => weights.work = *value,
                "lora" => weights.lora = *value,
                "prefix" => weights.prefix = *value,
                "session" => weights.session = *value,
                "group" => weights.group = *value,
                "locality" => weights.locality = *value,
                // Names were checked when they were read.
                _ => {}
            }
        }
        profile
    }

    fn words(&self) -> String {
        let strategy = self.strategy.map(|strategy| strategy.to_string());
        let weights = self.weights.iter().map(|(name, value)| format!("{name}={value}"));
        let parts: Vec<String> = strategy.into_iter().chain(weights).collect();
        if parts.is_empty() { "as then".to_owned() } else { format!("by {}", parts.join(", ")) }
    }
}

// === Replayed ===

impl Replayed {
    /// Makes all decisions of a file again.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn of(file: impl BufRead, change: &Change) -> Result<Self, FileError> {
        let entries = file::read(file)?;
        let mut replayed = Self {
            decisions: 0,
            stateless: 0,
            changed_profile: !change.is_none(),
            profile: change.words(),
            endpoints: Vec::new(),
            moved: Vec::new(),
        };
        let mut shares = BTreeMap::new();
        for entry in &entries {
            replayed.make(entry, change, &mut shares);
        }
        replayed.endpoints = shares.into_values().collect();
        Ok(replayed)
    }

    fn make(&mut self, entry: &Entry, change: &Change, shares: &mut BTreeMap<String, Share>) {
        let profile = change.of(&entry.profile);
        let admission = if self.changed_profile { Admit::Anew } else { Admit::AsThen };
        let Some(asked) = entry.asked(&profile, admission) else {
            self.stateless += 1;
            return;
        };
        let made = choice(asked);
        self.decisions += 1;
        let mut share = |address: &Option<String>, add: fn(&mut Share, u64)| {
            let Some(address) = address else { return };
            let held = made.endpoints.iter().find(|endpoint| endpoint.address == *address);
            let share = shares.entry(address.clone()).or_default();
            share.address.clone_from(address);
            add(share, held.map_or(0, |endpoint| endpoint.matched_tokens));
        };
        share(&entry.decision.endpoint, |share, held| {
            share.recorded += 1;
            share.held_recorded += held;
        });
        share(&made.endpoint, |share, held| {
            share.replayed += 1;
            share.held_replayed += held;
        });
        if made.endpoint != entry.decision.endpoint {
            self.moved.push(Moved {
                request_id: entry.decision.request_id.clone(),
                recorded: entry.decision.endpoint.clone(),
                replayed: made.endpoint,
                why: made.why,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use warmlane_replay::Inputs;

    use super::*;
    use crate::{screen::Screen, views::View as _};

    #[test]
    fn weights_are_read_and_what_is_none_is_named() {
        let read = Change::read_weights("prefix=4, kv=0").expect("weights");
        assert_eq!(read, BTreeMap::from([("kv".to_owned(), 0.0), ("prefix".to_owned(), 4.0)]));
        for (text, why) in [
            ("prefx=1", "there are group, kv, locality, lora, prefix, queue, session, work"),
            ("kv", "no NAME=NUMBER"),
            ("kv=-1", "from 0 to 1000"),
            ("kv=NaN", "from 0 to 1000"),
        ] {
            let error = Change::read_weights(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn where_nothing_is_made_again_the_answer_is_no_and_says_why() {
        let replayed = |writer: file::Writer| {
            let replayed = Replayed::of(writer.finish().as_bytes(), &Change::default()).expect("a file");
            (replayed.is_yes(), replayed.draw(Screen::default(), false))
        };
        let said = "replayed  nothing: the file has no decision\n".to_owned();
        assert_eq!(replayed(file::Writer::default()), (false, said));
        let mut stateless = file::Writer::default();
        stateless.add(Default::default(), &Inputs::default(), &Profile::default(), None);
        let (is_yes, said) = replayed(stateless);
        assert!(!is_yes && said.contains("1, were kept without their state"), "{said}");
    }

    #[test]
    fn a_strategy_brings_its_weights_and_single_weights_stand_above_it() {
        let change = Change {
            strategy: Some(Strategy::PrefixCache),
            weights: BTreeMap::from([("kv".to_owned(), 9.0)]),
        };
        let recorded = Profile { shed_queue: 77.0, ..Profile::default() };
        let profile = change.of(&recorded);
        assert_eq!(profile.weights.prefix, Profile::of(Strategy::PrefixCache).weights.prefix);
        assert_eq!((profile.weights.kv, profile.shed_queue), (9.0, 77.0));
        assert_eq!(change.words(), "by PREFIX_CACHE, kv=9");
    }
}
