//! Watches: changes as lines, in the order in which they happened, until somebody ends it.

use std::{io, sync::Arc, time::Duration};

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Order, Shared,
    answer::{Failure, Reply, stream},
    call::Call,
    resource::Resource,
    select::Selector,
    store::{Event, Store, Stored},
};

/// Lines that wait for a client. Beyond it the watch waits: nothing is lost as long as the history is long enough.
const QUEUE: usize = 256;
/// Where the client names no time.
const SECONDS: u64 = 300;

type Lines = mpsc::Sender<io::Result<Frame<Bytes>>>;

/// An open watch.
struct Watch {
    shared: Arc<Shared>,
    resource: Resource,
    namespace: String,
    selector: Selector,
    /// Changes up to this one have been told.
    seen: u64,
    bookmarks: bool,
    /// The streaming list that comes first, where it is wanted.
    initial: Option<Vec<Arc<Stored>>>,
    lines: Lines,
    /// What had been ordered when it was opened.
    orders: Order,
}

/// Why a watch ends.
enum End {
    /// Properly.
    Closed,
    /// In the middle of an object.
    Broken,
    /// The client is gone.
    Left,
}

/// Opens a watch.
pub(super) fn open(shared: &Arc<Shared>, resource: Resource, call: &Call) -> Result<Reply, Failure> {
    let selector =
        Selector::read(call.get("labelSelector"), call.get("fieldSelector")).map_err(Failure::bad)?;
    let version = call.get("resourceVersion").map_or(Ok(0), str::parse::<u64>);
    let version = version.map_err(|_| Failure::bad("Invalid value: resourceVersion"))?;
    let mut store = shared.store();
    let wants_all = version == 0 || call.is("sendInitialEvents");
    if !wants_all && version < store.horizon && store.gone_as_status {
        return Err(too_old(version, store.horizon));
    }
    let (lines, body) = mpsc::channel(QUEUE);
    let orders = shared.order.subscribe();
    let watch = Watch {
        shared: shared.clone(),
        resource,
        namespace: call.namespace.clone(),
        initial: wants_all.then(|| store.within(resource, &call.namespace, &selector)),
        selector,
        seen: if wants_all { store.version } else { version },
        bookmarks: call.is("allowWatchBookmarks"),
        lines,
        // Whatever is ordered once the client knows that it watches counts for this watch.
        orders: *orders.borrow(),
    };
    store.watches += 1;
    drop(store);
    let seconds = call.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(SECONDS);
    tokio::spawn(watch.run(Duration::from_secs(seconds), call.is("sendInitialEvents"), orders));
    Ok(stream(200, "application/json", StreamBody::new(ReceiverStream::new(body)).boxed()))
}

fn too_old(version: u64, horizon: u64) -> Failure {
    Failure::gone(format!("too old resource version: {version} ({horizon})"))
}

// === Watch ===

impl Watch {
    async fn run(mut self, time: Duration, marks_end: bool, orders: watch::Receiver<Order>) {
        let end = self.tell(time, marks_end, orders).await;
        self.shared.store().watches -= 1;
        if matches!(end, End::Broken) {
            let half = r#"{"type":"MODIFIED","object":{"apiVersion":"v1","metadata":{"name":"ha"#;
            let _ = self.lines.send(Ok(Frame::data(Bytes::from_static(half.as_bytes())))).await;
            // hyper breaks the connection.
            let _ = self.lines.send(Err(io::Error::other("broken"))).await;
        }
    }

    async fn tell(&mut self, time: Duration, marks_end: bool, mut order: watch::Receiver<Order>) -> End {
        let until = Instant::now() + time;
        let mut version = self.shared.version.subscribe();
        let mut last = self.orders;
        if let Err(end) = self.begin(marks_end).await {
            return end;
        }
        loop {
            version.borrow_and_update();
            if let Err(end) = self.changes().await {
                return end;
            }
            let now: Order = *order.borrow_and_update();
            if now.broken != last.broken {
                return End::Broken;
            }
            if now.ended != last.ended {
                return End::Closed;
            }
            if now.bookmarks != last.bookmarks && self.bookmark(false).await.is_err() {
                return End::Left;
            }
            last = now;
            tokio::select! {
                _ = version.changed() => {}
                _ = order.changed() => {}
                () = self.lines.closed() => return End::Left,
                () = sleep_until(until) => {
                    let _ = self.bookmark(false).await;
                    return End::Closed;
                }
            }
        }
    }

    async fn begin(&mut self, marks_end: bool) -> Result<(), End> {
        for object in self.initial.take().into_iter().flatten() {
            self.line("ADDED", &object.text).await?;
        }
        if marks_end { self.bookmark(true).await } else { Ok(()) }
    }

    /// Tells what has happened since. An error ends the watch.
    async fn changes(&mut self) -> Result<(), End> {
        let news = match self.news() {
            Ok(news) => news,
            Err(gone) => {
                self.line("ERROR", gone.status().to_string().as_bytes()).await?;
                return Err(End::Closed);
            }
        };
        for (kind, text) in news {
            self.line(kind, &text).await?;
        }
        if self.is_over(&self.shared.store()) { Err(End::Closed) } else { Ok(()) }
    }

    fn news(&mut self) -> Result<Vec<(&'static str, Bytes)>, Failure> {
        let store = self.shared.store();
        let events = store.since(self.seen).ok_or_else(|| too_old(self.seen, store.horizon))?;
        let news = events.filter_map(|event| self.shown(event)).collect();
        self.seen = store.version;
        Ok(news)
    }

    fn is_over(&self, store: &Store) -> bool {
        !store.resources.contains(&self.resource)
    }

    /// An object that no longer matches is gone for who watches, and one that now does is new.
    fn shown(&self, event: &Event) -> Option<(&'static str, Bytes)> {
        let key = &event.key;
        if key.resource != self.resource || !(self.namespace.is_empty() || self.namespace == key.namespace) {
            return None;
        }
        let was = event.before.as_ref().is_some_and(|before| self.selector.matches(&before.value));
        let is = !event.is_deletion && self.selector.matches(&event.after.value);
        let kind = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some((kind, event.after.text.clone()))
    }

    async fn bookmark(&self, ends_initial: bool) -> Result<(), End> {
        if !self.bookmarks {
            return Ok(());
        }
        let annotations: Value =
            if ends_initial { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
        let object = json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(),
            "metadata": {"resourceVersion": self.seen.to_string(), "annotations": annotations},
        });
        self.line("BOOKMARK", object.to_string().as_bytes()).await
    }

    async fn line(&self, kind: &str, object: &[u8]) -> Result<(), End> {
        let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
        line.extend_from_slice(object);
        line.extend_from_slice(b"}\n");
        self.lines.send(Ok(Frame::data(line.into()))).await.map_err(|_| End::Left)
    }
}
