//! What the router itself has under way at each endpoint and how its requests ended there: counters that a pick
//! reads at once, without a scrape, and the guard that takes a request's share off them whatever way it ends.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use warmlane_picker::{Live, Outcomes, Slot, Snapshot, Work};

mod lingering;

pub use lingering::Lingering;

/// Adapters counted per endpoint; requests for further ones are not counted by adapter.
const ADAPTERS: usize = 16;

/// One endpoint's counters. In this order, so that what a pick reads of each endpoint is one cache line.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Account {
    in_flight: AtomicU32,
    bad_in_a_row: AtomicU32,
    pending_prefill: AtomicU64,
    unstreamed_prefill: AtomicU64,
    reserved_kv: AtomicU64,
    requests: AtomicU64,
    prefill_tokens: AtomicU64,
    kv_tokens: AtomicU64,
    good: AtomicU64,
    bad: AtomicU64,
    /// Adapter hash (48 bits) and requests in flight for it (16 bits); 0 is empty.
    adapters: [AtomicU64; ADAPTERS],
}

/// All accounts, one per slot. Memory: 256 bytes per possible endpoint.
#[derive(Debug)]
pub struct Ledger(Box<[Account]>);

/// What one request adds to its endpoint's account.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Prompt tokens the endpoint must compute.
    pub prefill_tokens: u64,
    /// KV tokens the request will hold at its end.
    pub kv_tokens: u64,
    /// The first response byte tells when prefill is over.
    pub streamed: bool,
    /// Hash of the adapter's name, 0 for none.
    pub adapter: u64,
}

/// How a request ended, as far as it tells something of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, if only with a refusal.
    Good,
    /// The endpoint failed.
    Bad,
}

/// A request in flight. Dropping it takes its share off the account.
#[derive(Debug)]
pub struct InFlight {
    ledger: Arc<Ledger>,
    slot: Slot,
    load: Load,
    prefilling: bool,
    ended: bool,
}

// === Outcome ===

impl Outcome {
    /// What a complete answer with this status says of its endpoint; `None`: nothing. Neither a refusal for the client's
    /// own fault nor "busy" says that it is ill.
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            500 | 502 | 504 => Some(Self::Bad),
            429 | 503 => None,
            _ => Some(Self::Good),
        }
    }
}

// === Ledger ===

impl Ledger {
    /// Accounts for slots below `endpoints`.
    pub fn new(endpoints: usize) -> Self {
        Self((0..endpoints.max(1)).map(|_| Account::default()).collect())
    }

    /// The account of a slot.
    pub fn account(&self, slot: Slot) -> &Account {
        &self.0[usize::from(slot.0) % self.0.len()]
    }

    /// The slot's endpoint is gone, and no request is under way there: the next one begins at nothing.
    pub fn clear(&self, slot: Slot) {
        let account = self.account(slot);
        for total in
            [&account.requests, &account.prefill_tokens, &account.kv_tokens, &account.good, &account.bad]
        {
            total.store(0, Relaxed);
        }
        account.bad_in_a_row.store(0, Relaxed);
    }

    /// Opens a request: counted until the guard is dropped.
    pub fn open(self: &Arc<Self>, slot: Slot, load: Load) -> InFlight {
        let account = self.account(slot);
        account.in_flight.fetch_add(1, Relaxed);
        account.reserved_kv.fetch_add(load.kv_tokens, Relaxed);
        account.requests.fetch_add(1, Relaxed);
        account.prefill_tokens.fetch_add(load.prefill_tokens, Relaxed);
        account.kv_tokens.fetch_add(load.kv_tokens, Relaxed);
        account.prefilling(load.streamed).fetch_add(load.prefill_tokens, Relaxed);
        account.adapter(load.adapter, 1);
        InFlight { ledger: self.clone(), slot, load, prefilling: true, ended: false }
    }

    /// Fills `live` with one entry per endpoint of the snapshot. `adapter` as in [`Load::adapter`].
    pub fn read(&self, snapshot: &Snapshot, adapter: u64, live: &mut Vec<Live>) {
        live.clear();
        live.extend(snapshot.endpoints().iter().map(|endpoint| self.account(endpoint.slot).read(adapter)));
    }
}

// === Account ===

impl Account {
    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Prompt tokens of requests without a first byte, and of those that are not streamed.
    pub fn prefill_under_way(&self) -> u64 {
        self.pending_prefill.load(Relaxed).saturating_add(self.unstreamed_prefill.load(Relaxed))
    }

    /// Running totals of what was sent.
    pub fn sent(&self) -> Work {
        Work {
            requests: self.requests.load(Relaxed),
            prefill_tokens: self.prefill_tokens.load(Relaxed),
            kv_tokens: self.kv_tokens.load(Relaxed),
        }
    }

    /// How requests ended so far.
    pub fn outcomes(&self) -> Outcomes {
        Outcomes {
            good: self.good.load(Relaxed),
            bad: self.bad.load(Relaxed),
            in_a_row: self.bad_in_a_row.load(Relaxed),
        }
    }

    fn end(&self, outcome: Outcome) {
        match outcome {
            Outcome::Good => {
                self.good.fetch_add(1, Relaxed);
                // Read first: a store would take the line from every other thread with each request.
                if self.bad_in_a_row.load(Relaxed) > 0 {
                    self.bad_in_a_row.store(0, Relaxed);
                }
            }
            Outcome::Bad => {
                self.bad.fetch_add(1, Relaxed);
                self.bad_in_a_row.fetch_add(1, Relaxed);
            }
        }
    }

    fn read(&self, adapter: u64) -> Live {
        Live {
            in_flight: self.in_flight(),
            pending_prefill: self.pending_prefill.load(Relaxed),
            unstreamed_prefill: self.unstreamed_prefill.load(Relaxed),
            reserved_kv: self.reserved_kv.load(Relaxed),
            same_adapter: if adapter == 0 { 0 } else { self.adapter_in_flight(adapter) },
            adapters: if adapter == 0 { 0 } else { self.adapters_in_flight() },
            sent: self.sent(),
        }
    }

    /// Where prompts being computed are counted.
    fn prefilling(&self, streamed: bool) -> &AtomicU64 {
        if streamed { &self.pending_prefill } else { &self.unstreamed_prefill }
    }

    fn adapter_in_flight(&self, adapter: u64) -> u32 {
        let tag = tag(adapter);
        let words = self.adapters.iter().map(|word| word.load(Relaxed));
        words.filter(|word| word & !COUNT == tag).map(|word| (word & COUNT) as u32).sum()
    }

    /// Different adapters in flight.
    fn adapters_in_flight(&self) -> u32 {
        self.adapters.iter().filter(|word| word.load(Relaxed) & COUNT > 0).count() as u32
    }

    /// Adds `by` to the adapter's count; with no free place it stays uncounted.
    fn adapter(&self, adapter: u64, by: i64) {
        if adapter == 0 {
            return;
        }
        let tag = tag(adapter);
        let change = |word: u64| -> Option<u64> {
            let mine = word & !COUNT == tag;
            match (by > 0, mine, word & COUNT) {
                (true, true, count) => Some(tag | (count + 1).min(COUNT)),
                (true, false, 0) => Some(tag | 1),
                (false, true, count) if count > 0 => Some(tag | (count - 1)),
                _ => None,
            }
        };
        let mine = |word: &&AtomicU64| word.load(Relaxed) & !COUNT == tag;
        let found =
            self.adapters.iter().find(mine).is_some_and(|w| w.fetch_update(Relaxed, Relaxed, change).is_ok());
        if !found && by > 0 {
            let _ = self.adapters.iter().find(|w| w.fetch_update(Relaxed, Relaxed, change).is_ok());
        }
    }
}

const COUNT: u64 = 0xffff;

fn tag(adapter: u64) -> u64 {
    (adapter & !COUNT).max(COUNT + 1)
}

// === InFlight ===

impl InFlight {
    /// The endpoint it is at.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Counts how it ended; the first word counts.
    pub fn end(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.ended, true) {
            self.ledger.account(self.slot).end(outcome);
        }
    }

    /// The first response byte came: its prompt is computed.
    pub fn prefilled(&mut self) {
        if std::mem::take(&mut self.prefilling) {
            let account = self.ledger.account(self.slot);
            account.prefilling(self.load.streamed).fetch_sub(self.load.prefill_tokens, Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.prefilled();
        let account = self.ledger.account(self.slot);
        account.in_flight.fetch_sub(1, Relaxed);
        account.reserved_kv.fetch_sub(self.load.kv_tokens, Relaxed);
        account.adapter(self.load.adapter, -1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_the_guard_returns_everything_but_the_running_totals() {
        let ledger = Arc::new(Ledger::new(4));
        let load = Load { prefill_tokens: 100, kv_tokens: 300, streamed: true, adapter: 9 << 32 };
        let mut first = ledger.open(Slot(2), load);
        let second = ledger.open(Slot(2), load);
        let busy = ledger.account(Slot(2)).read(9 << 32);
        assert_eq!(
            (busy.in_flight, busy.pending_prefill, busy.reserved_kv, busy.same_adapter),
            (2, 200, 600, 2)
        );
        first.prefilled();
        first.prefilled();
        assert_eq!(ledger.account(Slot(2)).read(0).pending_prefill, 100, "once per request");
        drop(first);
        drop(second);
        let idle = ledger.account(Slot(2)).read(9 << 32);
        assert_eq!((idle.in_flight, idle.pending_prefill, idle.reserved_kv, idle.same_adapter), (0, 0, 0, 0));
        assert_eq!(idle.sent, Work { requests: 2, prefill_tokens: 200, kv_tokens: 600 });
    }

    #[test]
    fn who_gets_the_slot_next_begins_at_nothing() {
        let ledger = Arc::new(Ledger::new(1));
        ledger.open(Slot(0), Load { prefill_tokens: 9, kv_tokens: 9, ..Load::default() }).end(Outcome::Bad);
        ledger.clear(Slot(0));
        let account = ledger.account(Slot(0));
        assert_eq!((account.sent(), account.outcomes()), (Work::default(), Outcomes::default()));
    }

    #[test]
    fn an_answer_ends_a_row_of_failures() {
        let ledger = Arc::new(Ledger::new(1));
        for outcome in [Outcome::Bad, Outcome::Good, Outcome::Bad, Outcome::Bad] {
            let mut request = ledger.open(Slot(0), Load::default());
            request.end(outcome);
            request.end(Outcome::Good);
        }
        let outcomes = ledger.account(Slot(0)).outcomes();
        assert_eq!(outcomes, Outcomes { good: 1, bad: 3, in_a_row: 2 });
    }

    #[test]
    fn adapters_beyond_the_room_are_not_counted_and_harm_nobody() {
        let ledger = Arc::new(Ledger::new(1));
        let open = |adapter: u64| ledger.open(Slot(0), Load { adapter: adapter << 16, ..Load::default() });
        let guards: Vec<InFlight> = (1..=20).map(open).collect();
        let count = |adapter: u64| ledger.account(Slot(0)).read(adapter << 16).same_adapter;
        assert_eq!((count(1), count(16), count(17)), (1, 1, 0));
        drop(guards);
        assert!((1..=20).all(|adapter| count(adapter) == 0));
    }
}
