//! Two sources tell who holds a prompt's prefix, and this is what becomes of both.
//!
//! - *History*: what this router sent. It knows of a prompt at the moment it is sent, and never of what other routers
//!   sent, or what an engine had to drop.
//! - *Events*: what engines say they hold. It knows all that, and of a prompt only once it is computed.
//!
//! An engine whose events are all known is believed in two points: what it dropped is gone, whatever history says, and
//! what it holds is there. History counts for what was sent lately, and beyond the part of a prompt of which tokens are
//! known. Of an engine whose events are known in part, whichever source says more counts; of any other, history.
//!
//! Of a prompt that nobody holds, not even its first block, history counts too: its tokens may be wrong, and then no engine
//! can speak of it.

use super::Matches;
use crate::{Slot, SlotSet};

/// Where it is known from that an endpoint holds a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// This router sent it there.
    History,
    /// Its engine says so.
    Events,
}

/// What engines say they hold of a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// How much.
    pub held: &'a Matches,
    /// Tokens of the prompt that are known, and could be held.
    pub known: u64,
    /// Slots whose engines tell all.
    pub wholly: &'a SlotSet,
    /// Slots whose engines tell, or told, a part.
    pub partly: &'a SlotSet,
}

// === Source ===

impl Source {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::History, Self::Events];

    /// Name in explanations and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Events => "events",
        }
    }
}

// === Matches ===

impl Matches {
    /// Becomes what both sources say together, in tokens. `lately`: of the history, what was sent so recently that engines
    /// may not have told of it yet.
    pub fn combine(&mut self, history: &Self, lately: &Self, told: Told<'_>) {
        self.reset(1.0);
        let wholly = |slot: &Slot| told.wholly.contains(slot.0.into());
        let is_told = |slot: &Slot| wholly(slot) || told.partly.contains(slot.0.into());
        let anybody = told.held.holders().any(|slot| is_told(&slot));
        let dropped = |slot: &Slot| anybody && wholly(slot) && told.held.tokens(*slot) < told.known;
        for slot in history.holders().filter(|slot| !dropped(slot)) {
            self.raise(slot, history.tokens(slot) as u32);
        }
        for slot in lately.holders() {
            self.raise(slot, lately.tokens(slot) as u32);
        }
        for slot in told.held.holders().filter(is_told) {
            let tokens = told.held.tokens(slot);
            // Either may be short of the truth by an eighth: see `marks`.
            if tokens + tokens / 7 >= self.tokens(slot) {
                self.told.insert(slot.0.into());
            }
            self.raise(slot, tokens as u32);
        }
    }

    /// States that `slot` holds the first `depth` blocks, and where that is known from: what was told once is told again.
    pub fn hold(&mut self, slot: Slot, depth: u32, source: Source) {
        self.raise(slot, depth);
        if source == Source::Events {
            self.told.insert(slot.0.into());
        }
    }

    /// Where it is known from that a slot holds something; `None` of one that does not.
    pub fn source(&self, slot: Slot) -> Option<Source> {
        let source = if self.told.contains(slot.0.into()) { Source::Events } else { Source::History };
        (self.depth(slot) > 0).then_some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(tokens_per_block: f32, held: &[(u16, u32)]) -> Matches {
        let mut matches = Matches::default();
        matches.reset(tokens_per_block);
        held.iter().for_each(|(slot, depth)| matches.raise(Slot(*slot), *depth));
        matches
    }

    fn slots(slots: &[usize]) -> SlotSet {
        let mut set = SlotSet::default();
        slots.iter().for_each(|slot| set.insert(*slot));
        set
    }

    #[test]
    fn an_engine_that_tells_all_is_believed_but_for_what_was_sent_lately() {
        // 0 has dropped what it was sent, 1 has it still to compute, 2 holds what another router sent; 3 tells nothing,
        // 4 told a part, 5 holds all that is known and was sent more.
        let history = matches(8.0, &[(0, 20), (1, 20), (3, 20), (4, 20), (5, 90)]);
        let lately = matches(8.0, &[(1, 20)]);
        let held = matches(16.0, &[(0, 2), (2, 30), (3, 90), (4, 5), (5, 30)]);
        let (wholly, partly) = (slots(&[0, 1, 2, 5]), slots(&[4]));
        let told = Told { held: &held, known: 480, wholly: &wholly, partly: &partly };
        let mut combined = matches(3.0, &[(7, 7)]);
        combined.combine(&history, &lately, told);
        let of = |slot| (combined.tokens(Slot(slot)), combined.source(Slot(slot)));
        assert_eq!(of(0), (32, Some(Source::Events)));
        assert_eq!(of(1), (160, Some(Source::History)));
        assert_eq!(of(2), (480, Some(Source::Events)));
        assert_eq!(of(3), (160, Some(Source::History)), "what it was once told by events counts no more");
        assert_eq!(of(4), (160, Some(Source::History)), "more than the part that it told");
        assert_eq!(of(5), (720, Some(Source::History)), "nothing speaks against it");
        assert_eq!(of(7), (0, None), "nothing is left of what was there before");
        assert_eq!(combined.deepest(), 720);
    }

    #[test]
    fn nothing_is_left_of_what_engines_told_of_another_prompt() {
        let held = matches(1.0, &[(0, 9)]);
        let wholly = slots(&[0]);
        let none = SlotSet::default();
        let mut combined = Matches::default();
        let told = Told { held: &held, known: 9, wholly: &wholly, partly: &none };
        combined.combine(&none_held(), &none_held(), told);
        assert_eq!(combined.source(Slot(0)), Some(Source::Events));
        let told = Told { held: &none_held(), known: 9, wholly: &none, partly: &none };
        combined.combine(&held, &none_held(), told);
        assert_eq!(combined.source(Slot(0)), Some(Source::History));
    }

    #[test]
    fn of_a_prompt_that_nobody_holds_history_counts() {
        let history = matches(8.0, &[(0, 20)]);
        // 2 holds it no more: nobody tells of it.
        let held = matches(16.0, &[(2, 30)]);
        let (wholly, partly) = (slots(&[0, 1]), SlotSet::default());
        let told = Told { held: &held, known: 480, wholly: &wholly, partly: &partly };
        let mut combined = Matches::default();
        combined.combine(&history, &none_held(), told);
        assert_eq!((combined.tokens(Slot(0)), combined.source(Slot(0))), (160, Some(Source::History)));
    }

    fn none_held() -> Matches {
        Matches::default()
    }
}
