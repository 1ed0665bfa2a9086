//! Puts the watches together: one feed for each source, one keeper of the store, one discovery.

use std::sync::Arc;

use kube::Client;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

use crate::{
    discovery::{Discovery, Found},
    error::Source,
    feed::Feed,
    keeper::Keeper,
    objects::Objects,
};

/// News that may wait to be taken in: a page of a list is one.
const QUEUE: usize = 1_024;

/// What to watch: a source, or those of its objects that a selector names.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The resource, and where.
    pub source: Source,
    /// Only objects with these labels.
    pub labels: Option<String>,
    /// Only objects with these fields.
    pub fields: Option<String>,
}

/// How the feed of a source fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// The source.
    pub source: Source,
    /// It was read, and nothing is wrong with it now.
    pub is_up: bool,
}

/// What is made of the store.
///
/// The default is what troubles are told in as long as not enough was read to resolve anything.
pub trait Resolved: PartialEq + Default {
    /// What is wrong with the objects, for people: what is wrong with watching is added there.
    fn troubles(&mut self) -> &mut Vec<String>;

    /// Hears whether all that cannot be done without was read once, or is not there. Some of it may be forbidden: what was
    /// resolved then comes of the rest.
    fn stands(&mut self, _on_all: bool) {}

    /// Takes how each source fares, but for those that the cluster does not have.
    fn fare(&mut self, _sources: Vec<SourceState>) {}
}

/// Watches until it is dropped. Whatever changes is resolved and sent to `desired`. Before everything has been read once only troubles
/// are told.
pub async fn watch<D: Resolved>(
    client: Client,
    wanted: Vec<Wanted>,
    resolve: impl Fn(&Objects) -> D,
    desired: watch::Sender<Arc<D>>,
) {
    let sources = wanted.iter().map(|wanted| wanted.source.clone()).collect();
    let (news, inbox) = mpsc::channel(QUEUE);
    let (found, seen) = watch::channel(Found::default());
    let hint = Arc::new(Notify::new());
    // Dropped with this future, and all feeds with it.
    let mut tasks = JoinSet::new();
    for wanted in wanted {
        let feed = Feed {
            client: client.clone(),
            wanted,
            found: seen.clone(),
            hint: hint.clone(),
            news: news.clone(),
        };
        tasks.spawn(feed.run());
    }
    // The keeper ends with the last feed.
    drop(news);
    tasks.spawn(Discovery { client, found, hint }.run());
    Keeper::new(resolve, sources, desired).run(inbox).await;
}
