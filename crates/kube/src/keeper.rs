//! Takes in what feeds tell, and publishes what comes of it.
//!
//! What arrives within some milliseconds is resolved once: a rollout tells hundreds of things a second. The time is counted from
//! the first of them and is not begun anew by the next, so that news without end do not delay the first for ever.

use std::{collections::BTreeSet, future::pending, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use crate::{
    error::Source,
    feed::{News, What},
    objects::Objects,
    watching::Resolved,
};

mod sources;

use sources::Sources;

/// From the first change to what comes of it.
const GATHER: Duration = Duration::from_millis(20);

/// The store and who is told.
pub(crate) struct Keeper<D, R> {
    objects: Objects,
    resolve: R,
    sources: Sources,
    desired: watch::Sender<Arc<D>>,
    /// When the next resolving is due.
    due: Option<Instant>,
    /// The last published troubles, to say each once.
    told: BTreeSet<String>,
}

// === Keeper ===

impl<D: Resolved, R: Fn(&Objects) -> D> Keeper<D, R> {
    pub(crate) fn new(resolve: R, sources: Vec<Source>, desired: watch::Sender<Arc<D>>) -> Self {
        Self {
            objects: Objects::default(),
            resolve,
            sources: Sources::new(sources),
            desired,
            due: None,
            told: BTreeSet::new(),
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
                self.sources.read(&source) || changed
            }
            What::Applied(name, object) => self.objects.apply(source.kind, name, *object),
            What::Deleted(name) => self.objects.delete(source.kind, &name),
            What::Working => self.sources.stand(&source, None),
            What::Failing(trouble) => self.sources.stand(&source, Some(trouble)),
        };
        if changed {
            self.wake(Instant::now() + GATHER);
        }
    }

    /// Resolves at that time, or before where that is due already.
    fn wake(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn publish(&mut self) {
        self.due = None;
        let now = Instant::now();
        let (is_known, patience) = (self.sources.are_known(now), self.sources.patience_ends(now));
        let mut desired = if is_known { (self.resolve)(&self.objects) } else { D::default() };
        if !is_known && let Some(end) = patience {
            self.wake(end);
        }
        desired.stands(is_known && self.sources.are_read());
        let troubles = desired.troubles();
        if is_known {
            troubles.extend(self.sources.no_pools());
            troubles.extend(self.sources.unread());
            self.say_troubles(troubles);
        }
        // How watching fares was said when it came to be known.
        troubles.extend(self.sources.troubles());
        desired.fare(self.sources.states());
        self.desired.send_if_modified(|last| {
            let changed = **last != desired;
            if changed {
                *last = Arc::new(desired);
            }
            changed
        });
    }

    /// Says what is new and what is over.
    fn say_troubles(&mut self, troubles: &[String]) {
        let now: BTreeSet<String> = troubles.iter().cloned().collect();
        now.difference(&self.told).for_each(|trouble| tracing::warn!("{trouble}"));
        self.told.difference(&now).for_each(|trouble| tracing::info!("no longer: {trouble}"));
        self.told = now;
    }
}

#[cfg(test)]
mod tests;
