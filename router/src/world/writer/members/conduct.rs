//! How endpoints conduct themselves with real requests: which are left alone because theirs keep failing, and which
//! begin again.
//!
//! Invariant: at most half of a pool's ready endpoints rest at a time. When more fail, the cause is not theirs alone, and a
//! pool with failures serves more than an empty one. One that is in several pools counts in the first.

use warmlane_picker::{Breaker, BreakerRule, Health, Outcomes, Slot, Stuck, Time, breaker::Turn};

use super::{Member, Members, News, TERMINATION, stall::Seen};

/// What the router itself knows of an endpoint's requests.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::world::writer) struct Conduct {
    /// How they ended.
    pub(in crate::world::writer) outcomes: Outcomes,
    /// Those under way.
    pub(in crate::world::writer) in_flight: u32,
    /// Prompt tokens of those without a first byte.
    pub(in crate::world::writer) prefill_tokens: u64,
}

/// What speaks against one that gets no new requests because somebody wants it so.
const DRAINED: &str = "drained by hand";

// === Members ===

impl Members {
    /// Looks at how requests ended everywhere, and at whose time is over.
    pub(in crate::world::writer) fn look(
        &mut self,
        now: Time,
        conduct: impl Fn(Slot) -> Conduct,
    ) -> Vec<News> {
        self.suspicious = false;
        let mut pools: Vec<Vec<&mut Member>> = (0..self.pools.len()).map(|_| Vec::new()).collect();
        for member in self.members.iter_mut().flatten() {
            if let Some(pool) = pools.get_mut(member.pool) {
                pool.push(member);
            }
        }
        let mut news = Vec::new();
        for pool in &mut pools {
            look(pool, &self.rule, self.slow_start, now, &conduct, &mut news);
        }
        news
    }
}

/// Looks at the endpoints of one pool.
fn look(
    pool: &mut [&mut Member],
    rule: &BreakerRule,
    slow_start: Time,
    now: Time,
    conduct: &impl Fn(Slot) -> Conduct,
    news: &mut Vec<News>,
) {
    let conducts: Vec<Conduct> = pool.iter().map(|member| conduct(member.slot)).collect();
    let recent = |(member, conduct): (&mut &mut Member, &Conduct)| {
        member.breaker.get_or_insert_with(|| Breaker::new(now, conduct.outcomes)).recent(conduct.outcomes)
    };
    let recent: Vec<Outcomes> = pool.iter_mut().zip(&conducts).map(recent).collect();
    let all = recent.iter().fold(Outcomes::default(), |sum, one| sum.plus(*one));
    let ready = pool.iter().filter(|member| member.presence.is_ready()).count();
    let mut resting = pool.iter().filter(|member| member.is_resting()).count();
    for (position, member) in pool.iter_mut().enumerate() {
        let told = news.len();
        if member.gpu.look(now) {
            news.push(member.gpu_news());
        }
        let others = all.since(recent[position]);
        let (totals, may_open) = (conducts[position].outcomes, resting < ready / 2);
        let breaker = member.breaker.as_mut();
        if let Some(turn) = breaker.and_then(|breaker| breaker.look(rule, now, totals, others, may_open)) {
            resting += usize::from(matches!(turn, Turn::Opened { .. }));
            news.push(member.take_turn(turn, totals, now));
        }
        news.extend(member.note_stall(&conducts[position], now));
        news.extend(member.time_is_over(now, slow_start));
        member.fresh |= news.len() > told;
    }
}

// === Member ===

impl Member {
    fn is_resting(&self) -> bool {
        self.resting.is_some()
    }

    /// What speaks against it.
    pub(super) fn health(&self) -> Health {
        if let (None, Health::Failed(why)) = (self.presence.trouble(), self.gpu.health()) {
            return Health::Failed(why.clone());
        }
        match (self.presence.trouble(), self.terminating, &self.resting) {
            (Some(why), _, _) => Health::Failed(why.into()),
            (None, _, _) if self.stalled => {
                Health::Failed("it holds requests and computes nothing: is it stuck?".into())
            }
            (None, Some(_), _) => Health::Degraded("shutting down".into()),
            (None, None, _) if let Some(closed) = self.closed => Health::Degraded(closed.to_string().into()),
            (None, None, _) if self.drained => Health::Degraded(DRAINED.into()),
            (None, None, Some(why)) => Health::Degraded(why.clone()),
            (None, None, None) => self.gpu.health().clone(),
        }
    }

    pub(super) fn stuck(&self) -> Option<Stuck> {
        let stalled = self.stalled && self.presence.is_ready();
        self.presence.stuck(self.heard).or(stalled.then_some(Stuck::Stalled))
    }

    fn take_turn(&mut self, turn: Turn, totals: Outcomes, now: Time) -> News {
        let address = self.address.clone();
        match turn {
            Turn::Opened { rest } => {
                let failures = match totals.in_a_row {
                    0 | 1 => "too many of its requests failed".to_owned(),
                    row => format!("its last {row} requests failed"),
                };
                let why: std::sync::Arc<str> = format!("{failures}; resting for {rest:?}").into();
                self.resting = Some(why.clone());
                News::Resting { address, why }
            }
            Turn::Trying => {
                (self.resting, self.joined) = (None, Some(now));
                self.tried()
            }
            Turn::Closed => News::Recovered { address },
        }
    }

    /// Requests leave an endpoint that stalls; once they have, it may be tried again.
    fn note_stall(&mut self, conduct: &Conduct, now: Time) -> Option<News> {
        let seen = Seen {
            tokens: self.progress,
            answered: conduct.outcomes.good,
            in_flight: conduct.in_flight,
            prefill_tokens: conduct.prefill_tokens,
        };
        let was = std::mem::replace(&mut self.stalled, self.stall.look(seen, now));
        match (was, self.stalled) {
            (false, true) => Some(News::Stalled { address: self.address.clone() }),
            (true, false) => {
                self.joined = Some(now);
                Some(self.tried())
            }
            _ => None,
        }
    }

    /// Ends its slow start, or its shutting down where nothing came of it.
    fn time_is_over(&mut self, now: Time, slow_start: Time) -> Option<News> {
        if self.joined.is_some_and(|joined| now.saturating_sub(joined) >= slow_start) {
            self.joined = None;
            return Some(News::Readings);
        }
        if self.terminating.is_some_and(|since| now.saturating_sub(since) >= TERMINATION) {
            (self.terminating, self.joined) = (None, Some(now));
            return Some(self.tried());
        }
        None
    }

    /// Its time of getting nothing is over: it gets requests again, unless something else speaks against it.
    fn tried(&self) -> News {
        let address = self.address.clone();
        match self.health() {
            Health::Failed(why) => News::Rested { address, why },
            Health::Degraded(why) if self.terminating.is_some() || self.drained => {
                News::Rested { address, why }
            }
            Health::Degraded(_) | Health::Healthy => News::Trying { address },
        }
    }
}
