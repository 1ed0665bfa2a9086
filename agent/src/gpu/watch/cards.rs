//! The cards seen so far, each with its last sample and its health. No threads, no clock.
//!
//! A card is known by its UUID. Its index is only where the driver lists it now: when a card falls off the bus, those
//! after it move up.

use std::{
    mem::discriminant,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::gpu::{
    Gpu,
    health::{Absence, Health, Verdict},
    nvml::{Reading, Xid},
    sample::Sample,
    xid::Class,
};

/// See the module's header. Bounded by the cards that the node ever had.
#[derive(Debug, Default)]
pub(super) struct Cards {
    cards: Vec<Card>,
}

/// Whom a message is about, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) index: u32,
    pub(super) uuid: Option<Arc<str>>,
}

#[derive(Debug)]
struct Card {
    who: Who,
    health: Health,
    sample: Arc<Sample>,
    slices: Vec<Arc<Sample>>,
    read_at: Option<Instant>,
    /// The last verdict that was logged.
    told: Verdict,
}

// === Cards ===

impl Cards {
    pub(super) fn asked(&mut self, now: Duration, who: Who) {
        self.find(who).health.asked(now);
    }

    /// Nobody can ask any more, which is no better than not being answered.
    pub(super) fn cut_off(&mut self, now: Duration) {
        for card in &mut self.cards {
            card.health.asked(now);
        }
    }

    pub(super) fn read(&mut self, now: Duration, at: Instant, who: Who, reading: Reading) {
        let card = self.find(who);
        card.health.read(now, &reading.card);
        card.sample = Arc::new(reading.card);
        card.slices = reading.slices.into_iter().map(Arc::new).collect();
        card.read_at = Some(at);
    }

    pub(super) fn absent(&mut self, now: Duration, who: Who, how: Absence) {
        self.find(who).health.absent(now, how);
    }

    pub(super) fn xid(&mut self, now: Duration, xid: &Xid) {
        let code = xid.code;
        let Some(card) = self.named(xid) else {
            tracing::warn!(xid = code, "an XID event of a card that does not say who it is");
            return;
        };
        let uuid = card.who.uuid.as_deref();
        tracing::info!(gpu = card.who.index, uuid, "the driver reports XID {code}: {}", Class::of(code));
        card.health.xid(now, code);
    }

    pub(super) fn is_any_absent(&self) -> bool {
        self.cards.iter().any(|card| card.health.is_absent())
    }

    /// All of them, as published.
    pub(super) fn gpus(&self, now: Duration) -> Arc<[Gpu]> {
        let mut gpus = Vec::with_capacity(self.cards.len());
        for card in &self.cards {
            let verdict = card.health.verdict(now);
            let samples = std::iter::once(&card.sample).chain(&card.slices);
            gpus.extend(samples.map(|sample| Gpu {
                sample: Arc::clone(sample),
                verdict,
                read_at: card.read_at,
            }));
        }
        // Stable: a slice stays after its card.
        gpus.sort_by_key(|gpu| gpu.sample.index);
        gpus.into()
    }

    /// Logs what changed since it last did.
    pub(super) fn tell(&mut self, now: Duration) {
        for card in &mut self.cards {
            let verdict = card.health.verdict(now);
            if !is_same_news(verdict, card.told) {
                card.told = verdict;
                tell(&card.who, verdict);
            }
        }
    }

    /// The card that an event is about, entered where it is new and says its index.
    fn named(&mut self, xid: &Xid) -> Option<&mut Card> {
        let uuid = xid.uuid.as_deref();
        let known = self.cards.iter().position(|card| uuid.is_some_and(|uuid| card.is_called(uuid)));
        match (known, xid.index) {
            (Some(known), _) => self.cards.get_mut(known),
            (None, Some(index)) => Some(self.find(Who { index, uuid: uuid.map(Arc::from) })),
            (None, None) => None,
        }
    }

    /// The card meant, entered where it is new.
    fn find(&mut self, who: Who) -> &mut Card {
        let by_uuid = self.cards.iter().position(|card| who.uuid.is_some() && card.who.uuid == who.uuid);
        let by_index = || {
            let fits = |card: &Card| card.who.uuid.is_none() || who.uuid.is_none();
            self.cards.iter().position(|card| card.who.index == who.index && fits(card))
        };
        let place = by_uuid.or_else(by_index).unwrap_or_else(|| {
            self.cards.push(Card::new(who.clone()));
            self.cards.len() - 1
        });
        let card = &mut self.cards[place];
        card.who.index = who.index;
        card.who.uuid = who.uuid.or_else(|| card.who.uuid.take());
        card
    }
}

// === Card ===

impl Card {
    fn new(who: Who) -> Self {
        let sample = Sample { index: who.index, uuid: who.uuid.clone(), ..Sample::default() };
        Self {
            who,
            health: Health::default(),
            sample: Arc::new(sample),
            slices: Vec::new(),
            read_at: None,
            told: Verdict::Healthy,
        }
    }

    /// Whether this is the UUID of the card or of one of its slices.
    fn is_called(&self, uuid: &str) -> bool {
        let slices = self.slices.iter().map(|slice| &slice.uuid);
        slices.chain([&self.who.uuid]).any(|known| known.as_deref() == Some(uuid))
    }
}

/// A cause whose figures moved is no news.
fn is_same_news(one: Verdict, other: Verdict) -> bool {
    let kind = |verdict: Verdict| verdict.why().map(|why| discriminant(&why));
    discriminant(&one) == discriminant(&other) && kind(one) == kind(other)
}

fn tell(who: &Who, verdict: Verdict) {
    let (gpu, uuid) = (who.index, who.uuid.as_deref().unwrap_or("unknown"));
    match verdict {
        Verdict::Healthy => tracing::info!(gpu, uuid, "the card is healthy again"),
        Verdict::Degraded { why } => tracing::warn!(gpu, uuid, "the card is degraded: {why}"),
        Verdict::Failed { why } => tracing::error!(gpu, uuid, "the card failed: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::health::Cause;

    fn who(index: u32, uuid: &str) -> Who {
        Who { index, uuid: (!uuid.is_empty()).then(|| Arc::from(uuid)) }
    }

    fn read(cards: &mut Cards, index: u32, uuid: &str, slice: Option<&str>) {
        let card = Sample { index, uuid: who(index, uuid).uuid, ..Sample::default() };
        let part = |uuid| Sample { slice: Some(0), uuid: Some(Arc::from(uuid)), ..card.clone() };
        let slices = slice.map(part).into_iter().collect();
        cards.read(Duration::ZERO, Instant::now(), who(index, uuid), Reading { card, slices });
    }

    fn verdict(cards: &Cards, uuid: &str) -> Verdict {
        let gpus = cards.gpus(Duration::ZERO);
        let gpu = gpus.iter().find(|gpu| gpu.sample.uuid.as_deref() == Some(uuid));
        gpu.unwrap_or_else(|| panic!("no {uuid} in {gpus:?}")).verdict
    }

    #[test]
    fn a_card_keeps_its_fate_when_it_moves_up() {
        let mut cards = Cards::default();
        for (index, uuid) in [(0, "a"), (1, "b"), (2, "c")] {
            cards.asked(Duration::ZERO, who(index, ""));
            read(&mut cards, index, uuid, None);
        }
        cards.absent(Duration::ZERO, who(1, "b"), Absence::Lost);
        // Listed anew without `b`: its reader does not know its name before the first answer.
        cards.asked(Duration::ZERO, who(1, ""));
        read(&mut cards, 1, "c", None);
        assert_eq!(verdict(&cards, "a"), Verdict::Healthy);
        assert_eq!(verdict(&cards, "b"), Verdict::Failed { why: Cause::Absent(Absence::Lost) });
        assert_eq!(verdict(&cards, "c"), Verdict::Healthy);
        assert_eq!(cards.gpus(Duration::ZERO).len(), 3);
    }

    #[test]
    fn a_card_that_never_says_its_name_is_one_card() {
        let mut cards = Cards::default();
        for _ in 0..3 {
            cards.asked(Duration::ZERO, who(4, ""));
            read(&mut cards, 4, "", None);
        }
        read(&mut cards, 4, "late", None);
        assert_eq!(cards.gpus(Duration::ZERO).len(), 1);
        assert_eq!(verdict(&cards, "late"), Verdict::Healthy);
    }

    #[test]
    fn another_card_in_the_same_place_is_another_card() {
        let mut cards = Cards::default();
        read(&mut cards, 0, "old", None);
        cards.absent(Duration::ZERO, who(0, "old"), Absence::Lost);
        read(&mut cards, 0, "new", None);
        assert!(verdict(&cards, "old").is_failed());
        assert_eq!(verdict(&cards, "new"), Verdict::Healthy);
    }

    #[test]
    fn an_xid_finds_its_card_by_what_is_known_of_it() {
        let mut cards = Cards::default();
        read(&mut cards, 0, "a", Some("slice"));
        read(&mut cards, 1, "b", None);
        let xid = |index, uuid: Option<&str>| Xid { index, uuid: uuid.map(str::to_owned), code: 79 };
        for nobody in [xid(None, None), xid(None, Some("x"))] {
            cards.xid(Duration::ZERO, &nobody);
        }
        assert!(cards.gpus(Duration::ZERO).iter().all(|gpu| gpu.verdict == Verdict::Healthy));
        cards.xid(Duration::ZERO, &xid(None, Some("slice")));
        assert!(verdict(&cards, "a").is_failed() && verdict(&cards, "slice").is_failed());
        assert_eq!(verdict(&cards, "b"), Verdict::Healthy);
        // Asked by a reader that does not know its name yet: that is no reason to forget it.
        cards.asked(Duration::ZERO, who(1, ""));
        cards.xid(Duration::ZERO, &xid(None, Some("b")));
        assert!(verdict(&cards, "b").is_failed());
        read(&mut cards, 2, "c", None);
        cards.xid(Duration::ZERO, &xid(Some(2), None));
        assert!(verdict(&cards, "c").is_failed());
    }
}
