//! LoRA adapters: how many run at once, which lie on the card, which in host memory.
//!
//! At most `slots` different adapters have running requests. A slot whose adapter runs nothing keeps
//! it until another adapter needs the slot (least recently used first).

/// Number of an adapter; names are the caller's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdapterId(pub u16);

/// Seconds it takes to bring an adapter to the card. Assumed, not measured: an adapter of 160 MB
/// (rank 32 on every layer of a 7B model), read at 1 GB/s from disk and 16 GB/s from host memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadTimes {
    /// From disk.
    pub disk: f64,
    /// From host memory.
    pub host: f64,
}

/// State of all adapters of an engine.
#[derive(Debug)]
pub(super) struct Adapters {
    slots: usize,
    host_slots: usize,
    times: LoadTimes,
    counts: Vec<Counts>,
    active: usize,
    /// Least recently used first.
    card: Vec<AdapterId>,
    /// Least recently used first; whatever is on the card is here too.
    host: Vec<AdapterId>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    running: u32,
    waiting: u32,
}

// === LoadTimes ===

impl Default for LoadTimes {
    fn default() -> Self {
        Self { disk: 0.16, host: 0.01 }
    }
}

// === Adapters ===

impl Adapters {
    pub(super) fn new(slots: u32, host_slots: u32, times: LoadTimes) -> Self {
        Self {
            slots: slots as usize,
            host_slots: host_slots.max(slots) as usize,
            times,
            counts: Vec::new(),
            active: 0,
            card: Vec::new(),
            host: Vec::new(),
        }
    }

    /// Whether a request for the adapter may run beside those that run now.
    pub(super) fn may_run(&self, id: AdapterId) -> bool {
        self.active < self.slots || self.counts.get(usize::from(id.0)).is_some_and(|c| c.running > 0)
    }

    pub(super) fn wait(&mut self, id: AdapterId) {
        self.counts(id).waiting += 1;
    }

    pub(super) fn unwait(&mut self, id: AdapterId) {
        self.counts(id).waiting -= 1;
    }

    /// A request of the adapter begins to run; gives the seconds to load it.
    pub(super) fn start(&mut self, id: AdapterId) -> f64 {
        self.counts(id).running += 1;
        if self.counts(id).running == 1 {
            self.active += 1;
        }
        let was_on_card = touch(&mut self.card, id);
        let was_on_host = touch(&mut self.host, id);
        self.evict();
        match (was_on_card, was_on_host) {
            (true, _) => 0.0,
            (false, true) => self.times.host,
            (false, false) => self.times.disk,
        }
    }

    pub(super) fn stop(&mut self, id: AdapterId) {
        self.counts(id).running -= 1;
        if self.counts(id).running == 0 {
            self.active -= 1;
        }
    }

    /// Adapters with running requests, by number.
    pub(super) fn running(&self) -> impl Iterator<Item = AdapterId> {
        self.with(|counts| counts.running > 0)
    }

    /// Adapters with waiting requests, by number.
    pub(super) fn waiting(&self) -> impl Iterator<Item = AdapterId> {
        self.with(|counts| counts.waiting > 0)
    }

    fn with(&self, holds: impl Fn(&Counts) -> bool) -> impl Iterator<Item = AdapterId> {
        self.counts.iter().enumerate().filter(move |(_, c)| holds(c)).map(|(at, _)| AdapterId(at as u16))
    }

    fn evict(&mut self) {
        if self.card.len() > self.slots {
            let idle = self.card.iter().position(|id| self.counts[usize::from(id.0)].running == 0);
            self.card.remove(idle.unwrap_or(0));
        }
        if self.host.len() > self.host_slots {
            let gone = self.host.iter().position(|id| !self.card.contains(id));
            self.host.remove(gone.unwrap_or(0));
        }
    }

    fn counts(&mut self, id: AdapterId) -> &mut Counts {
        let at = usize::from(id.0);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, Counts::default());
        }
        &mut self.counts[at]
    }
}

/// Moves `id` to the recent end; tells whether it was there.
fn touch(order: &mut Vec<AdapterId>, id: AdapterId) -> bool {
    let found = order.iter().position(|&other| other == id);
    if let Some(at) = found {
        order.remove(at);
    }
    order.push(id);
    found.is_some()
}
