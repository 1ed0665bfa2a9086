//! A body that nobody sent: where it would go.

use hyper::HeaderMap;
use warmlane_api::admin::{Decision, Explanation};
use warmlane_engine::body::{BodyError, BodyReader, RequestBody};
use warmlane_picker::GroupTable;
use warmlane_replay::{Inputs, weights};

use super::{asked, judged, kept};
use crate::{
    chooser::Chooser,
    error::Fault,
    metrics::{Label, Listener},
    path::{self, Asking, Hints, Incoming, Question},
    session,
};

/// What is assumed where no path is given.
const CHAT: &str = "/v1/chat/completions";

/// Why a body cannot be explained.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum DryRunError {
    /// The path is no inference call.
    #[error(
        "{0} is not an inference call: give the path the body would be sent to, as ?path={CHAT} (the default)"
    )]
    Path(String),
    /// The body cannot be routed.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// There is no pool for it.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Chooses for a body as the aware listener would, and says why.
pub(in super::super) fn dry_run(
    chooser: &Chooser,
    path: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Explanation, DryRunError> {
    let path = path.unwrap_or(CHAT);
    let api = path::api_of(path.as_bytes()).ok_or_else(|| DryRunError::Path(path.to_owned()))?;
    let (world, now) = (&chooser.world, chooser.world.now());
    let body = read(chooser.body_reader(api), body)?;
    let header = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let session = session::key(world, &chooser.config.headers, header, &body);
    let (hints, held) = (Hints::default(), world.budget.share());
    let incoming = Incoming { lists_models: false, session, hints, bytes: 0, held };
    let admitted = path::judge(chooser, Some(&body), incoming, Listener::Aware)?;
    let snapshot = admitted.pool.snapshot().clone();
    let profile = admitted.pool.rules().profile;
    let asking = Asking { chooser, asked: Some(&body), admitted: &admitted, snapshot: &snapshot };
    let scratch = &mut *chooser.scratch.borrow_mut();
    let question = Question::new(&asking, scratch).with_prompt(&asking, scratch, now, GroupTable::find);
    let inputs = Inputs::of(&question.request(scratch), now, chooser.rng.borrow_mut().u64(..));
    let choice = judged(&profile, &snapshot, &inputs);
    Ok(Explanation {
        decision: Decision {
            listener: Listener::Aware.name().to_owned(),
            pool: admitted.pool.name.to_string(),
            endpoint: choice.endpoint.clone(),
            refusal: choice.refusal.clone(),
            session: Some(session).filter(|session| *session != 0).map(kept),
            ..asked(&profile, &inputs)
        },
        others: 0,
        weights: weights(&profile.weights),
        then: Some(choice),
        now: None,
        now_unknown: None,
    })
}

fn read(mut reader: BodyReader, bytes: &[u8]) -> Result<RequestBody, BodyError> {
    let mut body = RequestBody::default();
    reader.push(bytes)?;
    reader.finish_into(&mut body)?;
    Ok(body)
}
