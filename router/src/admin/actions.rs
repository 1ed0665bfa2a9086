//! Changes of a running router, by the admin port: an endpoint drained, a session or a group unpinned, the kernel lane off, the
//! log louder. Who may ask is the [gate](mod@gate)'s decision, what is asked [`action`]'s; here it is done, logged with who asked, and counted.
//!
//! Bounds: a body of 64 KiB, ten seconds for it, five for the writer.

use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Body,
    header::{HeaderValue, WWW_AUTHENTICATE},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use warmlane_api::admin::{
    Changed, Failure, Now,
    answer::{self, Answer},
    hex, path,
};
use warmlane_picker::{Slot, Snapshot};

use super::Sources;
use crate::{
    log::LogLevel,
    metrics::{ActionOutcome, Label as _},
    seldom::Seldom,
    world::{
        Pool, World,
        writer::{Drain, Update},
    },
};

mod action;
mod error;
mod gate;
mod token;

use action::Action;
pub(super) use action::Asked;
use error::ActionError;
pub(super) use gate::Caller;
use gate::Gate;
use token::Token;

/// Largest body.
const MAX_BODY_BYTES: usize = 64 << 10;
/// A body must come within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The writer has a turn every few milliseconds.
const WRITER_TIMEOUT: Duration = Duration::from_secs(5);

/// Changes asked for by those who may not.
static REFUSED: Seldom = Seldom::new();

/// What changes are made by, and who may make them.
#[derive(Clone, Debug)]
pub struct Levers {
    /// To the writer of the snapshot.
    pub updates: mpsc::Sender<Update>,
    /// The log; `None`: it is not the router's own.
    pub log: Option<LogLevel>,
    /// Empty: there is no token.
    pub token_file: PathBuf,
    /// Names by which the port may be called.
    pub hosts: Vec<String>,
}

/// The refusal of a request that a page of another site sent or could have sent, whatever it is for; probes, which tell nothing,
/// may come by any name.
pub(super) fn refusal<B>(request: &Request<B>, caller: Caller, levers: &Levers) -> Option<Answer> {
    let gate = gate(levers);
    let is_probe = matches!(request.uri().path(), path::HEALTH | path::READY);
    let hosts = if is_probe { Ok(()) } else { gate.refuse_foreign_host(caller, request.headers()) };
    gate::refuse_foreign_origin(request.headers()).and(hosts).err().map(|error| refused(&error))
}

/// Makes the change that a request asks for.
pub(super) async fn answer<B>(asked: Asked, request: Request<B>, caller: Caller, sources: &Sources) -> Answer
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let (parts, body) = request.into_parts();
    let admitted = admit(caller, &parts.headers, &sources.levers);
    let is_in = admitted.is_ok();
    let changed = match admitted {
        Ok(()) => change(&asked, body, caller, sources).await,
        Err(error) => Err(error),
    };
    let outcome = match &changed {
        Ok(Changed { changed: true, .. }) => ActionOutcome::Done,
        Ok(Changed { changed: false, .. }) => ActionOutcome::Unchanged,
        Err(error) => error.outcome(),
    };
    sources.metrics.actions().done(asked.kind, outcome);
    match changed {
        Ok(changed) => answer::shown(&changed),
        Err(error) => {
            // Who may not ask could fill the log with that.
            let due = if is_in { Some(None) } else { REFUSED.is_due() };
            if let Some(not_logged) = due {
                tracing::info!(by = %caller, not_logged, "admin: {} is refused: {error}", asked.kind.name());
            }
            refused(&error)
        }
    }
}

fn admit(caller: Caller, headers: &HeaderMap, levers: &Levers) -> Result<(), ActionError> {
    gate(levers).admit(caller, headers, || levers.token())
}

fn gate(levers: &Levers) -> Gate<'_> {
    Gate { hosts: &levers.hosts, own: rustix::process::geteuid().as_raw() }
}

/// Who was let in is served.
async fn change<B>(asked: &Asked, body: B, caller: Caller, sources: &Sources) -> Result<Changed, ActionError>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let body = if asked.has_body() { read(body).await? } else { Bytes::new() };
    let changed = make(asked.whole(&body)?, sources).await?;
    tracing::info!(by = %caller, "admin: {}: {changed}", asked.kind.name());
    Ok(changed)
}

async fn read<B>(body: B) -> Result<Bytes, ActionError>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let whole = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    match whole.map_err(|_| ActionError::Broken)? {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ActionError::TooLarge(MAX_BODY_BYTES)),
        Err(_) => Err(ActionError::Broken),
    }
}

async fn make(action: Action, sources: &Sources) -> Result<Changed, ActionError> {
    let Sources { world, levers, .. } = sources;
    match action {
        Action::Drain { endpoint, drained } => drain(endpoint, drained, sources).await,
        Action::Unpin { session } => {
            let session = Some(session).filter(|session| world.pins.remove(*session, world.now()));
            let absent = || {
                ActionError::Absent(
                    "no such session is pinned; `warmlane pins` and /debug/pins list those that are"
                        .to_owned(),
                )
            };
            let session = hex(session.ok_or_else(absent)?);
            Ok(Changed { changed: true, now: Now::Session { session } })
        }
        Action::UnpinGroup { group } => {
            let group = Some(group).filter(|group| world.groups.remove(*group));
            let absent = || {
                ActionError::Absent(
                    "no such group is pinned; `warmlane groups` and /debug/groups list those that are"
                        .to_owned(),
                )
            };
            let group = hex(group.ok_or_else(absent)?);
            Ok(Changed { changed: true, now: Now::Group { group } })
        }
        Action::Lane { on } => {
            let refused = |why| ActionError::Impossible(format!("the lane cannot be switched on: {why}"));
            let changed = world.lane.switch(on).map_err(refused)?;
            Ok(Changed { changed, now: Now::Lane { on } })
        }
        Action::LogLevel { level } => {
            let no_log = "this router does not write its own log, so its level is not the router's to change";
            let log = levers.log.as_ref().ok_or_else(|| ActionError::Impossible(no_log.to_owned()))?;
            let before = log.set(&level).map_err(ActionError::Unreadable)?;
            Ok(Changed { changed: before != level, now: Now::Log { level, before } })
        }
    }
}

/// When this returns, no pick to come has it.
async fn drain(endpoint: String, drained: bool, sources: &Sources) -> Result<Changed, ActionError> {
    let Sources { world, levers, .. } = sources;
    let slot = slot_of(&world.snapshot.load(), &endpoint)?;
    let (asker, told) = oneshot::channel();
    let order = Update::Drain(Drain { slot, drained, asker: Some(asker) });
    let told = async {
        levers.updates.send(order).await.ok()?;
        told.await.ok()
    };
    let changed = timeout(WRITER_TIMEOUT, told).await.ok().flatten().ok_or(ActionError::Busy)?;
    // One that left meanwhile is not there any more.
    slot_of(&world.snapshot.load(), &endpoint)?;
    let in_flight = world.ledger.account(slot).in_flight();
    let emptied = if drained { emptied(world, slot) } else { Vec::new() };
    Ok(Changed { changed, now: Now::Endpoint { endpoint, drained, in_flight, emptied } })
}

/// The pools of an endpoint that nobody is ready in.
fn emptied(world: &World, slot: Slot) -> Vec<String> {
    let is_emptied = |pool: &&Arc<Pool>| {
        let snapshot = pool.snapshot();
        snapshot.position(slot).is_some() && !snapshot.endpoints().iter().any(|endpoint| endpoint.ready)
    };
    world.pools.all().iter().filter(is_emptied).map(|pool| pool.name.to_string()).collect()
}

fn slot_of(snapshot: &Snapshot, address: &str) -> Result<Slot, ActionError> {
    let found = snapshot.endpoints().iter().find(|endpoint| *endpoint.address == *address);
    let absent = || {
        let count = snapshot.endpoints().len();
        ActionError::Absent(format!(
            "none of {count} endpoints has this address; `warmlane endpoints` and /debug/endpoints list them"
        ))
    };
    found.map(|endpoint| endpoint.slot).ok_or_else(absent)
}

fn refused(error: &ActionError) -> Answer {
    let mut answer = answer::refused(error.status(), &Failure::new(error.to_string(), &[]));
    if error.status() == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

// === Levers ===

impl Levers {
    /// Says where the token cannot be used: whoever set it finds out before it is needed.
    pub fn look(&self) {
        if let Err(error) = self.token() {
            tracing::warn!(
                "{error} (--admin-token-file): changes by the admin port are refused until it can be read"
            );
        }
    }

    /// The token that counts now; `None`: there is none.
    fn token(&self) -> Result<Option<Token>, ActionError> {
        let path = &self.token_file;
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let unreadable = |why| ActionError::TokenUnreadable { path: path.clone(), why };
        Token::read(path).map(Some).map_err(unreadable)
    }
}

#[cfg(test)]
mod tests;
