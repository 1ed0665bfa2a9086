//! Tokens: where engines tell what they hold, a prompt that is new to the router is made tokens of before it is picked for.

use std::{net::SocketAddr, time::Duration};

use tokio::{sync::watch, time::timeout};
use warmlane_engine::body::{Api, RequestBody};
use warmlane_picker::{Endpoint, Health, Snapshot};

use super::{admit::Admitted, pick};
use crate::{
    metrics::Listener,
    tokens::{Answer, Asked},
    worker::Worker,
};

/// Tokens that are on their way.
pub(crate) struct Coming {
    done: watch::Receiver<()>,
    limit: Duration,
}

/// Sees to it that tokens are made of the prompt; `None` where there is nothing to wait for.
pub(super) fn ask(
    worker: &Worker,
    asked: Option<(Api, &RequestBody)>,
    admitted: &Admitted,
    listener: Listener,
    content: impl FnOnce() -> Vec<u8>,
) -> Option<Coming> {
    let (api, body) = asked.filter(|_| listener != Listener::Plain)?;
    let block_size = worker.world.blocks.tellers().block_size;
    if block_size == 0 || !admitted.pool.rules().profile.strategy.needs_prefix() {
        return None;
    }
    let snapshot = admitted.pool.snapshot();
    let model = admitted.rewrite.as_deref().unwrap_or(&body.model);
    let adapter = pick::adapter(&snapshot, model);
    let holders = &mut worker.chooser.scratch.borrow_mut().holders;
    let chain = holders.chain_of(pick::seed(&worker.world, body, model, adapter), &body.prompt);
    let engine = &|| engine(&snapshot, model);
    let asked = Asked { api, body, model, adapter, chain, block_size, engine, now: worker.world.now() };
    let limit = worker.config.prefix.tokenizer_wait;
    match worker.world.tokens.ask(&asked, content) {
        Answer::Coming { done, is_new: true } if !limit.is_zero() => Some(Coming { done, limit }),
        Answer::Coming { .. } | Answer::Settled => None,
    }
}

/// One that serves the model and is at work: another one each time, so that none answers for all.
fn engine(snapshot: &Snapshot, model: &str) -> Option<SocketAddr> {
    let serving = snapshot.serving(model)?;
    let is_well = |endpoint: &Endpoint| endpoint.ready && endpoint.health == Health::Healthy;
    let able = |(at, endpoint): (usize, &Endpoint)| {
        (serving.endpoints.contains(at) && is_well(endpoint)).then_some(endpoint.socket)
    };
    let all = snapshot.endpoints();
    let first = fastrand::usize(..all.len().max(1));
    let turned = all.iter().enumerate().skip(first).chain(all.iter().enumerate().take(first));
    turned.into_iter().find_map(able)
}

// === Coming ===

impl Coming {
    /// Until they are there, or it has taken too long.
    pub(crate) async fn wait(mut self) {
        // Nothing is ever sent: it ends when its sender does.
        let _ = timeout(self.limit, self.done.changed()).await;
    }
}
