//! One resource in one namespace, or in all, listed and then watched, for ever.
//!
//! The version where a watch ended is where the next one begins, so that a connection that breaks loses nothing. Where the API
//! server no longer knows that version (410, as status or as event) everything is listed anew. kube's own `watcher` is not used:
//! it takes 410 as status for a failure like others and asks for the same version for ever, writes a log line per try, and
//! parses into types, where one object that does not fit would hide all others.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Client,
    api::{ListParams, Request, WatchEvent, WatchParams},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    discovery::Found,
    error::{Source, Trouble},
    name::ObjectName,
    objects::{Meta, Object, reduce},
    pace::Pace,
    watching::Wanted,
};

/// Objects per answer: a page of pods is some megabytes, and is reduced before the next is asked for.
const PAGE: u32 = 250;
/// A watch ends after this and is begun again where it ended. So it is also how long a connection that died unnoticed, with
/// nobody left to close it, can hide what happens: half a minute more than the bookmarks' usual minute.
const WATCH_SECONDS: u32 = 90;
/// Beyond [`WATCH_SECONDS`], or for any other answer: nobody answers any more.
const PATIENCE: Duration = Duration::from_secs(15);
/// A watch that ends sooner, with nothing to tell, counts as failed: begun again at once it would be a busy loop.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a feed tells.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) source: Source,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    /// All there is.
    Listed(Vec<(ObjectName, Object)>),
    Applied(ObjectName, Box<Object>),
    Deleted(ObjectName),
    /// The watch stands.
    Working,
    /// It does not; what was told before stays true as far as anybody knows.
    Failing(Trouble),
}

/// One resource in one namespace, or in all.
pub(crate) struct Feed {
    pub(crate) client: Client,
    pub(crate) wanted: Wanted,
    pub(crate) found: watch::Receiver<Found>,
    pub(crate) hint: Arc<Notify>,
    pub(crate) news: mpsc::Sender<News>,
}

/// Why a list or watch ended.
enum Stop {
    /// The version is no longer known.
    Gone,
    Trouble(Trouble),
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    more: Option<String>,
}

// === Feed ===

impl Feed {
    /// Runs until nobody listens or it is dropped.
    pub(crate) async fn run(mut self) {
        let (mut pace, mut from) = (Pace::default(), None);
        while !self.news.is_closed() {
            if !self.is_there().await {
                from = None;
                continue;
            }
            let stop = match from.clone() {
                None => self.list().await.map(|version| from = Some(version)),
                Some(_) => self.follow(&mut from, &mut pace).await,
            };
            match stop {
                Ok(()) => continue,
                Err(Stop::Gone) => from = None,
                Err(Stop::Trouble(Trouble::Absent)) => {
                    from = None;
                    self.ask_again().await;
                }
                Err(Stop::Trouble(trouble)) => self.tell(What::Failing(trouble)).await,
            }
            sleep(pace.next()).await;
        }
    }

    /// Whether the cluster has the resource. Where it has not, waits until something may be different.
    async fn is_there(&mut self) -> bool {
        let kind = self.wanted.source.kind;
        let has = self.found.borrow_and_update().has(kind);
        match has {
            Some(true) => return true,
            Some(false) => {
                self.tell(What::Listed(Vec::new())).await;
                self.tell(What::Failing(Trouble::Absent)).await;
            }
            None => {}
        }
        // Told when it is; an error means that the discovery has ended, and this with it.
        if self.found.wait_for(|found| found.has(kind) != has).await.is_err() {
            std::future::pending::<()>().await;
        }
        false
    }

    /// Has discovery look, and waits until it has.
    async fn ask_again(&mut self) {
        let rounds = self.found.borrow().rounds;
        self.hint.notify_one();
        let _ = timeout(PATIENCE, self.found.wait_for(|found| found.rounds > rounds)).await;
        if self.found.borrow().has(self.wanted.source.kind) == Some(true) {
            // Discovery may not be asked, or does not know better. Nothing is forgotten on the word of a 404 alone.
            self.tell(What::Failing(Trouble::Absent)).await;
        }
    }

    /// Tells all there is. Returns the version from which to watch.
    async fn list(&self) -> Result<String, Stop> {
        let mut all = Vec::new();
        let Wanted { labels, fields, .. } = self.wanted.clone();
        let mut params =
            ListParams { label_selector: labels, field_selector: fields, ..ListParams::default() }
                .limit(PAGE);
        loop {
            // No version is asked for: what the API server has in its cache may be older than what was already seen.
            let request = Request::new(self.path()).list(&params).map_err(|error| built(&error))?;
            let answer = timeout(PATIENCE, self.client.request::<List>(request)).await;
            let page = answer.map_err(|_| silent())?.map_err(|error| stop(&error, "list"))?;
            all.extend(page.items.iter().filter_map(|item| self.reduced(item)));
            match page.metadata.more.filter(|more| !more.is_empty()) {
                Some(more) => params.continue_token = Some(more),
                None => {
                    self.tell(What::Listed(all)).await;
                    self.tell(What::Working).await;
                    return Ok(page.metadata.resource_version);
                }
            }
        }
    }

    /// Tells what changes from `from` on, which moves with it, until the API server ends the watch.
    async fn follow(&self, from: &mut Option<String>, pace: &mut Pace) -> Result<(), Stop> {
        let Wanted { labels, fields, .. } = self.wanted.clone();
        let params = WatchParams { label_selector: labels, field_selector: fields, ..WatchParams::default() };
        let params = params.timeout(WATCH_SECONDS);
        let version = from.as_deref().unwrap_or_default();
        let request = Request::new(self.path()).watch(&params, version).map_err(|error| built(&error))?;
        let begun = Instant::now();
        let answer = timeout(PATIENCE, self.client.request_events::<Value>(request)).await;
        let events = answer.map_err(|_| silent())?.map_err(|error| stop(&error, "watch"))?;
        self.tell(What::Working).await;
        let mut events = std::pin::pin!(events);
        let longest = Duration::from_secs(u64::from(WATCH_SECONDS)) + PATIENCE;
        while let Some(event) = timeout(longest, events.next()).await.map_err(|_| silent())? {
            let version = self.take(event.map_err(|error| stop(&error, "watch"))?).await?;
            *from = Some(version);
            pace.reset();
        }
        if begun.elapsed() < SHORTEST {
            sleep(pace.next()).await;
        }
        Ok(())
    }

    /// Tells an event. Returns its version.
    async fn take(&self, event: WatchEvent<Value>) -> Result<String, Stop> {
        let (object, is_deleted) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
            WatchEvent::Deleted(object) => (object, true),
            WatchEvent::Bookmark(bookmark) => return Ok(bookmark.metadata.resource_version),
            WatchEvent::Error(status) => return Err(stop(&kube::Error::Api(status), "watch")),
        };
        let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        if let Some((name, object)) = self.reduced(&object) {
            self.tell(if is_deleted { What::Deleted(name) } else { What::Applied(name, Box::new(object)) })
                .await;
        }
        // Without one a watch cannot go on.
        if version.is_empty() { Err(Stop::Gone) } else { Ok(version) }
    }

    fn reduced(&self, object: &Value) -> Option<(ObjectName, Object)> {
        let metadata = &object["metadata"];
        let name = ObjectName::new(metadata["namespace"].as_str()?, metadata["name"].as_str()?);
        let created = metadata["creationTimestamp"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let meta = Meta {
            created: created.map_or(i64::MAX, Timestamp::as_second),
            generation: metadata["generation"].as_i64().unwrap_or_default(),
        };
        Some((name, reduce(self.wanted.source.kind, object, meta)))
    }

    fn path(&self) -> String {
        let Source { kind, namespace } = &self.wanted.source;
        let group = match kind.group() {
            "" => "/api".to_owned(),
            group => format!("/apis/{group}"),
        };
        match namespace {
            Some(namespace) => {
                format!("{group}/{}/namespaces/{namespace}/{}", kind.version(), kind.plural())
            }
            None => format!("{group}/{}/{}", kind.version(), kind.plural()),
        }
    }

    async fn tell(&self, what: What) {
        // Nobody listens any more: the loop ends.
        let _ = self.news.send(News { source: self.wanted.source.clone(), what }).await;
    }
}

fn stop(error: &kube::Error, verb: &'static str) -> Stop {
    match error {
        kube::Error::Api(status) if status.code == 410 => Stop::Gone,
        error => Stop::Trouble(Trouble::of(error, verb)),
    }
}

fn built(error: &kube::core::request::Error) -> Stop {
    Stop::Trouble(Trouble::Failed(error.to_string()))
}

fn silent() -> Stop {
    Stop::Trouble(Trouble::Unreachable("it fell silent".to_owned()))
}
