//! Filters: which endpoints may serve a request at all.
//!
//! *Hard* filters always drop: the request may not go there, another name is served there, it is not ready, it sleeps, its hardware failed.
//! *Soft* filters drop only while something passes them: degraded hardware or failing requests, silence, no
//! headroom, a slow start. So a soft filter can never turn a working pool into "no endpoint".

use crate::{Endpoint, Health, Profile, Snapshot, estimate::Estimate};

/// Why an endpoint is not a candidate, in the order in which filters apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Filter {
    /// It is not among those that the request may go to.
    Offered = 0,
    /// It does not list the model or adapter.
    ServesModel = 1,
    /// It does not answer or is drained.
    Ready = 2,
    /// It sleeps.
    Awake = 3,
    /// Its hardware or process failed.
    Working = 4,
    /// Soft: its hardware is degraded, or its requests keep failing.
    Healthy = 5,
    /// Soft: its readings are too old, while others' are not.
    Fresh = 6,
    /// Soft: its queue is long or its KV cache spoken for.
    Headroom = 7,
    /// Soft: it has just joined and has as many requests as it may have yet.
    SlowStart = 8,
}

/// What the filters said of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It competes.
    Candidate,
    /// This filter dropped it.
    Dropped(Filter),
}

/// One bit per filter that an endpoint fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failed(u16);

/// One bit per filter that applies to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied(u16);

// === Filter ===

impl Filter {
    /// All filters in order.
    pub const ALL: [Self; 9] = [
        Self::Offered,
        Self::ServesModel,
        Self::Ready,
        Self::Awake,
        Self::Working,
        Self::Healthy,
        Self::Fresh,
        Self::Headroom,
        Self::SlowStart,
    ];

    /// The soft ones, in order.
    pub const SOFT: [Self; 4] = [Self::Healthy, Self::Fresh, Self::Headroom, Self::SlowStart];

    const HARD_BITS: u16 = 0b1_1111;

    /// Name in explanations and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::ServesModel => "serves_model",
            Self::Ready => "ready",
            Self::Awake => "awake",
            Self::Working => "working",
            Self::Healthy => "healthy",
            Self::Fresh => "fresh",
            Self::Headroom => "headroom",
            Self::SlowStart => "slow_start",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

// === Failed ===

impl Failed {
    /// The filters that an endpoint fails whatever is asked for and however it is loaded.
    pub(crate) fn always(endpoint: &Endpoint) -> Self {
        let mut failed = Self::default();
        failed.add(Filter::Ready, !endpoint.ready);
        failed.add(Filter::Working, matches!(endpoint.health, Health::Failed(_)));
        failed.add(Filter::Healthy, !matches!(endpoint.health, Health::Healthy));
        failed
    }

    /// With those, the ones it fails for a request by what is reckoned of it.
    #[inline]
    pub(crate) fn of(
        profile: &Profile,
        snapshot: &Snapshot,
        position: usize,
        always: Self,
        estimate: &Estimate,
    ) -> Self {
        let silent = !estimate.known && snapshot.endpoints()[position].signals.last_heard().is_some();
        let full = estimate.queue > profile.headroom_queue || estimate.kv > profile.headroom_kv;
        let mut failed = always;
        failed.add(Filter::Awake, estimate.asleep);
        failed.add(Filter::Fresh, silent);
        failed.add(Filter::Headroom, full);
        failed
    }

    #[inline]
    pub(crate) fn add(&mut self, filter: Filter, fails: bool) {
        self.0 |= u16::from(fails) * filter.bit();
    }

    /// Passes every filter that applies.
    #[inline]
    pub(crate) fn passes(self, applied: Applied) -> bool {
        self.0 & applied.0 == 0
    }

    /// Passes every hard filter.
    pub(crate) fn may_serve(self) -> bool {
        self.0 & Filter::HARD_BITS == 0
    }

    /// The first filter that drops it when `applied` apply.
    #[inline]
    pub(crate) fn verdict(self, applied: Applied) -> Verdict {
        if self.passes(applied) {
            return Verdict::Candidate;
        }
        let first = (self.0 & applied.0).trailing_zeros() as usize;
        Filter::ALL.get(first).map_or(Verdict::Candidate, |filter| Verdict::Dropped(*filter))
    }
}

// === Applied ===

impl Applied {
    /// The hard filters, and each soft one that leaves somebody; with the soft ones that were set aside.
    pub(crate) fn to(failed: &[Failed]) -> (Self, Vec<Filter>) {
        let mut applied = Filter::HARD_BITS;
        let mut relaxed = Vec::new();
        for filter in Filter::SOFT {
            if failed.iter().any(|f| f.0 & (applied | filter.bit()) == 0) {
                applied |= filter.bit();
            } else {
                relaxed.push(filter);
            }
        }
        (Self(applied), relaxed)
    }
}

/// It answers, does not sleep and has not failed: what it says of its load means something.
pub(crate) fn in_service(endpoint: &Endpoint) -> bool {
    endpoint.ready && endpoint.signals.is_awake() && !matches!(endpoint.health, Health::Failed(_))
}
