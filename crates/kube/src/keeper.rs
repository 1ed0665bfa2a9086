//! Takes in what feeds tell, and publishes what comes of it.
//!
//! What arrives within some milliseconds is resolved once: a rollout tells hundreds of things a second. The time is counted from
//! the first of them and is not begun anew by the next, so that news without end do not delay the first for ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use crate::{
    error::{Source, Trouble},
    feed::{News, What},
    objects::{Kind, Objects},
    watching::Resolved,
};

/// From the first change to what comes of it.
const GATHER: Duration = Duration::from_millis(20);

/// The store and who is told.
pub(crate) struct Keeper<D, R> {
    objects: Objects,
    resolve: R,
    /// Each source with what is known of its feed.
    sources: BTreeMap<Source, Standing>,
    desired: watch::Sender<Arc<D>>,
    /// When the next resolving is due.
    due: Option<Instant>,
    /// The last published troubles, to say each once.
    told: BTreeSet<String>,
    /// The API server did not answer the last who asked.
    is_away: bool,
}

/// What is known of a feed.
#[derive(Debug, Default)]
struct Standing {
    /// It has told all there is, or that it cannot.
    has_spoken: bool,
    /// It has told all there is, or that there is no such resource.
    was_read: bool,
    trouble: Option<Trouble>,
}

// === Keeper ===

impl<D: Resolved, R: Fn(&Objects) -> D> Keeper<D, R> {
    pub(crate) fn new(resolve: R, sources: Vec<Source>, desired: watch::Sender<Arc<D>>) -> Self {
        Self {
            objects: Objects::default(),
            resolve,
            sources: sources.into_iter().map(|source| (source, Standing::default())).collect(),
            desired,
            due: None,
            told: BTreeSet::new(),
            is_away: false,
        }
    }

    /// Runs until all feeds have ended.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<News>) {
        loop {
            let due = async {
                match self.due {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                // Before more news: they may come without a pause.
                biased;
                () = due => self.publish(),
                news = inbox.recv() => match news {
                    Some(news) => self.take(news),
                    None => return,
                },
            }
        }
    }

    fn take(&mut self, News { source, what }: News) {
        let changed = match what {
            What::Listed(all) => {
                let changed = self.objects.replace(source.kind, source.namespace.as_deref(), all);
                let is_first = self.was_read(&source);
                self.spoke(&source) || is_first || changed
            }
            What::Applied(name, object) => self.objects.apply(source.kind, name, *object),
            What::Deleted(name) => self.objects.delete(source.kind, &name),
            What::Working => self.stand(&source, None),
            What::Failing(trouble) => {
                let is_final = !trouble.is_everywhere() || is_optional(source.kind);
                let spoke = is_final && self.spoke(&source);
                let is_absent = matches!(trouble, Trouble::Absent) && self.was_read(&source);
                self.stand(&source, Some(trouble)) || spoke || is_absent
            }
        };
        if changed && self.due.is_none() {
            self.due = Some(Instant::now() + GATHER);
        }
    }

    /// Whether this is the first that a source tells.
    fn spoke(&mut self, source: &Source) -> bool {
        let standing = self.sources.entry(source.clone()).or_default();
        !std::mem::replace(&mut standing.has_spoken, true)
    }

    /// Whether this is the first time that all is known of a source.
    fn was_read(&mut self, source: &Source) -> bool {
        let standing = self.sources.entry(source.clone()).or_default();
        !std::mem::replace(&mut standing.was_read, true)
    }

    /// Notes and says how a feed fares, where that is new.
    fn stand(&mut self, source: &Source, now: Option<Trouble>) -> bool {
        let everywhere = now.as_ref().filter(|trouble| trouble.is_everywhere());
        match everywhere {
            Some(trouble) if !self.is_away => {
                tracing::warn!("{}", trouble.tell(source));
                self.is_away = true;
            }
            None if self.is_away => {
                tracing::info!("the Kubernetes API server answers again");
                self.is_away = false;
            }
            _ => {}
        }
        let standing = self.sources.entry(source.clone()).or_default();
        let is_same = match (&standing.trouble, &now) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is_like(now),
            _ => false,
        };
        if is_same {
            return false;
        }
        say(source, standing.trouble.as_ref(), now.as_ref());
        standing.trouble = now;
        true
    }

    fn publish(&mut self) {
        self.due = None;
        // Before that, what is not known yet would seem to be gone.
        if !self.sources.values().all(|standing| standing.has_spoken) {
            return;
        }
        let mut desired = (self.resolve)(&self.objects);
        let needed = self.sources.iter().filter(|(source, _)| !is_optional(source.kind));
        desired.stands(needed.map(|(_, standing)| standing).all(|standing| standing.was_read));
        let troubles = desired.troubles();
        troubles.extend(self.no_pools());
        self.say_troubles(troubles);
        // How watching fares was said when it came to be known.
        troubles.extend(self.watch_troubles());
        self.desired.send_if_modified(|last| {
            let changed = **last != desired;
            if changed {
                *last = Arc::new(desired);
            }
            changed
        });
    }

    /// What is wrong with watching, each once.
    fn watch_troubles(&self) -> BTreeSet<String> {
        let trouble = |(source, standing): (&Source, &Standing)| match standing.trouble.as_ref()? {
            Trouble::Absent => None,
            trouble => Some(trouble.tell(source)),
        };
        self.sources.iter().filter_map(trouble).collect()
    }

    fn no_pools(&self) -> Option<String> {
        let mut of_pools = self.sources.iter().filter(|(source, _)| Kind::POOLS.contains(&source.kind));
        let are_absent = of_pools.all(|(_, standing)| matches!(standing.trouble, Some(Trouble::Absent)));
        let why = "the cluster has no InferencePool in any version that is known: are its CRDs installed?";
        are_absent.then(|| why.to_owned())
    }

    /// Says what is new and what is over.
    fn say_troubles(&mut self, troubles: &[String]) {
        let now: BTreeSet<String> = troubles.iter().cloned().collect();
        now.difference(&self.told).for_each(|trouble| tracing::warn!("{trouble}"));
        self.told.difference(&now).for_each(|trouble| tracing::info!("no longer: {trouble}"));
        self.told = now;
    }
}

/// Without it pools are served all the same.
fn is_optional(kind: Kind) -> bool {
    !(Kind::POOLS.contains(&kind) || kind == Kind::Pod)
}

/// Says what is new about one feed. What all feeds share is said once for all, and that a resource is not there is nothing to
/// worry about.
fn say(source: &Source, before: Option<&Trouble>, now: Option<&Trouble>) {
    match (before, now) {
        (_, Some(trouble)) if trouble.is_everywhere() => {}
        (_, Some(trouble @ Trouble::Absent)) => tracing::debug!("{}", trouble.tell(source)),
        (_, Some(trouble)) => tracing::warn!("{}", trouble.tell(source)),
        (Some(Trouble::Forbidden { .. } | Trouble::Failed(_)), None) => {
            tracing::info!("{source} can be watched again");
        }
        (Some(Trouble::Absent), None) => tracing::info!("{source}: now there"),
        (_, None) => {}
    }
}

#[cfg(test)]
mod tests;
