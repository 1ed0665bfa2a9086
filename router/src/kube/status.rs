//! Writes what is to be said of each model into its status: by server-side apply, so that other conditions stay theirs, by one
//! router at a time, and only what does not stand there yet.

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams, Request},
};
use serde_json::{Value, json};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use warmlane_kube::{Kind, ObjectName, Source, Trouble};

use super::{
    desired::{Accepted, Desired},
    election::{Election, RENEWAL, Step},
};

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
}

/// The work in progress.
struct Writing {
    client: Client,
    leases: Api<Lease>,
    name: ObjectName,
    election: Election,
    /// The version of the Lease that was read last.
    version: Option<String>,
    /// What was written last and is not yet seen to stand.
    written: HashMap<ObjectName, Accepted>,
    /// What went wrong last, to say it once.
    trouble: Option<Trouble>,
}

/// Writes what `desired` says until `stop` is told or dropped, then frees the Lease.
pub async fn write_status(
    client: Client,
    writer: Writer,
    mut desired: watch::Receiver<Arc<Desired>>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut writing = Writing::new(client, writer);
    let mut renewal = interval(RENEWAL);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stop => break,
            _ = renewal.tick() => writing.elect().await,
            changed = desired.changed() => if changed.is_err() { break },
        }
        let now = desired.borrow_and_update().clone();
        writing.write(&now.accepted).await;
    }
    writing.release().await;
}

// === Writing ===

impl Writing {
    fn new(client: Client, writer: Writer) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), &writer.lease.namespace),
            client,
            name: writer.lease,
            election: Election::new(writer.identity),
            version: None,
            written: HashMap::new(),
            trouble: None,
        }
    }

    /// Looks at the Lease, and takes or renews it where that is due.
    async fn elect(&mut self) {
        let begun = Instant::now();
        let held = self.election.holds(begun);
        let lease = match timeout(PATIENCE, self.leases.get_opt(&self.name.name)).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(error)) => return self.say(&error, "get", "leases"),
            // Told by the watches.
            Err(_) => return,
        };
        self.version = lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        let taken = match self.election.step(lease.as_ref(), begun, Timestamp::now()) {
            Step::Wait => return,
            Step::Create(spec) => {
                let lease = self.lease(spec);
                timeout(PATIENCE, self.leases.create(&PostParams::default(), &lease)).await
            }
            Step::Replace(spec) => self.replace(spec).await,
        };
        match taken {
            Ok(Ok(lease)) => {
                self.election.won(&lease, begun);
                self.version = lease.metadata.resource_version;
                if !held {
                    tracing::info!(
                        "this router writes the status of models (it holds the Lease {})",
                        self.name
                    );
                    // What another wrote meanwhile is seen, not remembered.
                    self.written.clear();
                }
            }
            // Somebody was faster.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
            Ok(Err(error)) => self.say(&error, "update", "leases"),
            Err(_) => {}
        }
    }

    async fn replace(
        &self,
        spec: LeaseSpec,
    ) -> Result<Result<Lease, kube::Error>, tokio::time::error::Elapsed> {
        let lease = self.lease(spec);
        timeout(PATIENCE, self.leases.replace(&self.name.name, &PostParams::default(), &lease)).await
    }

    fn lease(&self, spec: LeaseSpec) -> Lease {
        let metadata = ObjectMeta {
            name: Some(self.name.name.clone()),
            namespace: Some(self.name.namespace.clone()),
            resource_version: self.version.clone(),
            ..ObjectMeta::default()
        };
        Lease { metadata, spec: Some(spec) }
    }

    /// Frees the Lease, if it is held; the next need not wait until it has run out.
    async fn release(&mut self) {
        if let Some(spec) = self.election.release(Instant::now()) {
            // Where it fails it runs out by itself.
            let _ = self.replace(spec).await;
        }
    }

    /// Writes what does not stand yet, as long as this one may.
    async fn write(&mut self, all: &[Accepted]) {
        self.written.retain(|name, last| all.iter().any(|now| now.model == *name && now == last));
        for accepted in all.iter().filter(|accepted| !accepted.stands()) {
            if !self.election.holds(Instant::now()) {
                return;
            }
            if self.written.contains_key(&accepted.model) {
                continue;
            }
            match timeout(PATIENCE, self.apply(accepted)).await {
                Ok(Ok(_)) => {
                    self.trouble = None;
                    self.written.insert(accepted.model.clone(), accepted.clone());
                }
                // It was deleted meanwhile.
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
                Ok(Err(error)) => return self.say(&error, "patch", "inferencemodels/status"),
                Err(_) => return,
            }
        }
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

    /// Says what is wrong, once. What all requests meet is told by the watches.
    fn say(&mut self, error: &kube::Error, verb: &'static str, resource: &str) {
        let trouble = Trouble::of(error, verb);
        if trouble.is_everywhere() || self.trouble.as_ref().is_some_and(|last| last.is_like(&trouble)) {
            return;
        }
        match &trouble {
            Trouble::Forbidden { says, .. } => tracing::warn!(
                "not allowed to {verb} {resource}: the status of models stays unwritten, requests are served all the \
                 same ({says})"
            ),
            other => {
                let source = Source { kind: Kind::Model, namespace: Some(self.name.namespace.clone()) };
                tracing::warn!("the status of models stays unwritten: {}", other.tell(&source));
            }
        }
        self.trouble = Some(trouble);
    }
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
