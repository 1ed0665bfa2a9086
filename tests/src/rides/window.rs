//! A time in the middle of streams that go on before and behind it: what a token costs, without what its stream did.

use std::{rc::Rc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use super::{
    pod::Pod,
    router::{Kind, Router},
    spent::Spent,
};
use crate::proxy::stream::Tally;

/// Of the bytes that clients read, so many must have taken the lane where it is measured: all but heads, first tokens and ends.
const SHARE: f64 = 0.95;

/// What happened in it.
pub(super) struct Window {
    pub(super) spent: Spent,
    pub(super) tokens: u64,
    /// In ascending order.
    pub(super) delays: Vec<Duration>,
    /// Bytes that took the lane, of those that clients read.
    pub(super) share: f64,
}

/// Starts a load, watches it for `length` once it has gone on for `warm`, and breaks it off.
pub(super) async fn watch(
    (router, pod): (&Router, &Pod),
    tally: &Rc<Tally>,
    load: impl Future<Output = anyhow::Result<()>> + 'static,
    (warm, length): (Duration, Duration),
) -> anyhow::Result<Window> {
    let mut running = JoinSet::new();
    running.spawn_local(load);
    sleep(warm).await;
    let (carried, bytes) = (router.carried().await?.bytes, tally.bytes());
    let before = Spent::before(router, pod);
    tally.take_delays();
    let tokens = tally.tokens();
    sleep(length).await;
    let tokens = tally.tokens() - tokens;
    let delays = tally.take_delays();
    let spent = Spent::after(router, pod) - before;
    let bytes = (tally.bytes() - bytes) as f64;
    let share = (router.carried().await?.bytes - carried) / bytes;
    if let Some(ended) = running.try_join_next() {
        ended??;
    }
    anyhow::ensure!(tokens > 0, "nothing came through {}", router.kind);
    anyhow::ensure!(
        spent.router > 0.0 || router.kind == Kind::Lane,
        "no CPU time of {} is counted",
        router.kind
    );
    Ok(Window { spent, tokens, delays, share })
}

// === Window ===

impl Window {
    /// An error where what was meant to take the lane did not.
    pub(super) fn must_have_ridden(&self, router: &Router) -> anyhow::Result<()> {
        anyhow::ensure!(
            router.kind != Kind::Lane || self.share >= SHARE,
            "{:.0} % of all bytes took the kernel lane, where {:.0} % should: what is measured is not the lane",
            self.share * 100.0,
            SHARE * 100.0
        );
        Ok(())
    }
}
