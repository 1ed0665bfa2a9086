//! Writes what is to be said of each model into its status: by server-side apply, so that other conditions stay theirs, by one
//! router at a time, and only what does not stand there yet. A model whose status is refused does not keep the others waiting.

use std::{
    collections::{BTreeMap, HashSet},
    future::pending,
    sync::Arc,
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use kube::{
    Client,
    api::{Patch, PatchParams, Request},
};
use serde_json::{Value, json};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use warmlane_kube::{Kind, ObjectName, PoolName, Trouble};

use super::{
    desired::{Accepted, Desired},
    election::RENEWAL,
};

mod holding;
mod turns;

use holding::Holding;
use turns::Turns;

/// Under which the fields that this writes are owned.
const MANAGER: &str = "warmlane";
/// For an answer. Shorter than what a holder has left when it renews.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who writes.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The Lease by which one is chosen.
    pub lease: ObjectName,
    /// Of this router: its pod's name.
    pub identity: String,
    /// What it serves: it judges the models of these pools only.
    pub pools: Vec<PoolName>,
}

/// The work in progress.
struct Writing {
    client: Client,
    holding: Holding,
    turns: Turns,
    complaints: Complaints,
}

/// What went wrong last, to say it once: by model, and of what is forbidden by namespace, as rules are.
#[derive(Default)]
struct Complaints {
    of: BTreeMap<ObjectName, Trouble>,
    /// Nothing was answered: it is nobody's own.
    silence: bool,
}

/// Writes what `desired` says until `stop` is told or dropped, then frees the Lease.
pub async fn write_status(
    client: Client,
    writer: Writer,
    mut desired: watch::Receiver<Arc<Desired>>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut writing = Writing::new(client, writer);
    let (mut look, mut next) = (Instant::now(), None);
    loop {
        tokio::select! {
            // The Lease before the writing: it is what allows it.
            biased;
            _ = &mut stop => break,
            () = sleep_until(look) => look = writing.elect().await,
            changed = desired.changed() => if changed.is_err() { break },
            () = at(next) => {}
        }
        let now = desired.borrow_and_update().clone();
        next = writing.write(&now.accepted).await;
    }
    writing.holding.release().await;
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// What the API server said, for people.
fn why(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Busy { code, says } => format!("it answered {code}: {says}"),
        Trouble::Forbidden { says, .. } => says.clone(),
        Trouble::Unreachable(why) | Trouble::Unauthorized(why) | Trouble::Failed(why) => why.clone(),
        Trouble::Absent => "there is no such resource or namespace".to_owned(),
    }
}

// === Writing ===

impl Writing {
    fn new(client: Client, writer: Writer) -> Self {
        let holding = Holding::new(client.clone(), writer);
        Self { client, holding, turns: Turns::default(), complaints: Complaints::default() }
    }

    /// Looks at the Lease. Returns when to look again.
    async fn elect(&mut self) -> Instant {
        if self.holding.elect().await {
            // What another wrote meanwhile is seen, not remembered.
            self.turns.clear();
        }
        Instant::now() + self.holding.pause()
    }

    /// Writes what is due and does not stand yet, as long as this one may. Returns when there is more to write.
    async fn write(&mut self, all: &[Accepted]) -> Option<Instant> {
        self.turns.keep(all);
        self.complaints.keep(all);
        let begun = Instant::now();
        let missing = || all.iter().filter(|accepted| !accepted.stands());
        for accepted in missing() {
            let now = Instant::now();
            if !self.holding.holds(now) {
                return None;
            }
            if now - begun > RENEWAL {
                // The Lease comes first.
                return Some(now);
            }
            if self.turns.is_due(accepted, now) {
                self.turns.tried(accepted, now);
                if !self.try_one(accepted).await {
                    break;
                }
            }
        }
        self.turns.next(missing())
    }

    /// Whether it makes sense to go on with others.
    async fn try_one(&mut self, accepted: &Accepted) -> bool {
        match timeout(PATIENCE, self.apply(accepted)).await {
            Ok(Ok(_)) => self.complaints.end(&accepted.model),
            // It was deleted meanwhile.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
            Ok(Err(error)) => {
                let trouble = Trouble::of(&error, "patch");
                let is_everywhere = trouble.is_everywhere();
                self.complaints.say(&accepted.model, trouble);
                return !is_everywhere;
            }
            Err(_) => {
                self.complaints.note_silence();
                return false;
            }
        }
        true
    }

    async fn apply(&self, accepted: &Accepted) -> Result<Value, kube::Error> {
        let kind = Kind::Model;
        let ObjectName { namespace, name } = &accepted.model;
        let version = format!("{}/{}", kind.group(), kind.version());
        let patch = json!({
            "apiVersion": version, "kind": kind.name(),
            "metadata": {"name": name, "namespace": namespace},
            "status": {"conditions": [condition(accepted, Timestamp::now())]},
        });
        let path = format!("/apis/{version}/namespaces/{namespace}/{}", kind.plural());
        let params = PatchParams::apply(MANAGER).force();
        let request = Request::new(path).patch_subresource("status", name, &params, &Patch::Apply(patch));
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }
}

// === Complaints ===

impl Complaints {
    /// Says what is new. What all requests meet is told by the watches.
    fn say(&mut self, model: &ObjectName, trouble: Trouble) {
        let whose = match &trouble {
            Trouble::Forbidden { .. } => rules_of(model),
            _ => model.clone(),
        };
        if trouble.is_everywhere() || self.of.get(&whose).is_some_and(|last| last.is_like(&trouble)) {
            return;
        }
        let (group, why) = (Kind::Model.group(), why(&trouble));
        match &trouble {
            Trouble::Forbidden { verb, .. } => tracing::warn!(
                "not allowed to {verb} inferencemodels/status in namespace {}: a Role there needs a rule with apiGroups \
                 [{group:?}], resources [\"inferencemodels/status\"], verbs [{verb:?}]; the status of its models stays \
                 unwritten, requests are served all the same ({why})",
                model.namespace
            ),
            _ => tracing::warn!(
                "the status of InferenceModel {model} stays unwritten, and is tried again ever more seldom ({why})"
            ),
        }
        self.of.insert(whose, trouble);
    }

    /// A patch was not answered: whichever model's, it is said once.
    fn note_silence(&mut self) {
        if !std::mem::replace(&mut self.silence, true) {
            tracing::warn!(
                "the Kubernetes API server leaves a patch of inferencemodels/status without an answer for {PATIENCE:?}: the \
                 status of models stays unwritten, and is tried again ever more seldom; does an admission webhook hang?"
            );
        }
    }

    /// The status was written.
    fn end(&mut self, model: &ObjectName) {
        self.silence = false;
        self.of.remove(model);
        self.of.remove(&rules_of(model));
    }

    /// Forgets models that are gone.
    fn keep(&mut self, all: &[Accepted]) {
        let there: HashSet<&ObjectName> = all.iter().map(|accepted| &accepted.model).collect();
        self.of.retain(|name, _| name.name.is_empty() || there.contains(name));
    }
}

/// The key for what a whole namespace forbids: no model has an empty name.
fn rules_of(model: &ObjectName) -> ObjectName {
    ObjectName::new(&model.namespace, "")
}

/// `since` stays as it is as long as the status does.
fn condition(accepted: &Accepted, now: Timestamp) -> Value {
    let status = accepted.acceptance.status();
    let kept = accepted.standing.as_ref().filter(|standing| standing.status == status);
    // As the API has times: whole seconds.
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let since = kept.map(|standing| standing.since.clone()).filter(|since| !since.is_empty()).unwrap_or(now);
    json!({
        "type": "Accepted", "status": status, "reason": accepted.acceptance.reason(),
        "message": accepted.message, "observedGeneration": accepted.generation, "lastTransitionTime": since,
    })
}

#[cfg(test)]
mod tests {
    use warmlane_kube::Condition;

    use super::*;
    use crate::kube::desired::Acceptance;

    #[test]
    fn the_time_of_the_last_transition_stays_as_long_as_the_status_does() {
        let since = "2026-01-01T00:00:00Z";
        let standing = Condition { status: "False".into(), since: since.into(), ..Condition::default() };
        let accepted = |acceptance| Accepted {
            model: ObjectName::new("default", "chat"),
            generation: 2,
            acceptance,
            message: "why".into(),
            standing: Some(standing.clone()),
        };
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let kept = condition(&accepted(Acceptance::NameInUse), now);
        assert_eq!((&kept["lastTransitionTime"], &kept["observedGeneration"]), (&json!(since), &json!(2)));
        let moved = condition(&accepted(Acceptance::Accepted), now);
        assert_eq!(moved["lastTransitionTime"], json!("2027-01-15T08:00:00Z"));
    }
}
