//! A stateful Kubernetes API server in one thread, over plain HTTP: what a client of a real one meets, and what goes wrong with it.
//!
//! There: lists in pages, watches with all event types and streaming lists, selectors, growing versions and the 410 that follows
//! from old ones, conflicts, `/status` kept apart, merge patch and server-side apply with its owners and conflicts, graceful
//! deletion, discovery, custom resources that come and go. Not there: schemas and their defaults, admission, conversion between
//! versions, finalizers, JSON and strategic patches, `managedFields` in what is sent, names made by the server. Times are counted,
//! not read from a clock.
//!
//! A test changes objects by methods, as all the other controllers of a cluster would, and sees what the router does.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

mod account;
mod answer;
mod apply;
mod call;
mod discovery;
mod page;
mod refusal;
mod resource;
mod select;
mod serve;
mod store;
mod watching;
mod write;

pub use account::ServiceAccount;
pub use call::Logged;
pub use refusal::Refusal;
pub use resource::Resource;
use serve::Server;
pub use store::Key;
use store::Store;
use write::Change;

/// A running API server; it ends when this is dropped.
pub struct FakeApi {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the server's tasks and the test share.
struct Shared {
    store: Mutex<Store>,
    /// The newest version: wakes the watches.
    version: watch::Sender<u64>,
    /// What is done to the connections.
    order: watch::Sender<Order>,
}

/// What is done to the connections. Each order counts once, by its number.
#[derive(Clone, Copy, Debug, Default)]
struct Order {
    /// Connections are broken and new ones closed at once.
    is_away: bool,
    /// How often watches were ended properly.
    ended: u64,
    /// How often they were broken in the middle of an object.
    broken: u64,
    /// How often a bookmark was sent.
    bookmarks: u64,
}

// === FakeApi ===

impl FakeApi {
    /// With all custom resources that the router knows.
    ///
    /// # Panics
    /// Where there is no free port or thread.
    pub fn start() -> Self {
        let api = Self::bare();
        resource::CUSTOM.into_iter().for_each(|resource| api.add_crd(resource));
        api
    }

    /// Without any custom resource.
    ///
    /// # Panics
    /// Where there is no free port or thread.
    pub fn bare() -> Self {
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            version: watch::Sender::new(0),
            order: watch::Sender::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let server = Server::bind(shared.clone()).expect("a free port");
        let address = server.address;
        let thread = thread::Builder::new().name("kube-api".to_owned()).spawn(move || server.run(stopped));
        Self { shared, address, stop: Some(stop), thread: Some(thread.expect("a thread")) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a kubeconfig that leads here.
    pub fn write_kubeconfig(&self, path: &Path) -> io::Result<()> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url()}}],
            "users": [{"name": "fake", "user": {"token": "fake"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "default"}}],
        });
        // JSON is YAML.
        fs::write(path, config.to_string())
    }

    /// Puts an object there as it is, `status` included: creates it or takes the place of the one of that name.
    ///
    /// # Panics
    /// Where the object has no name or its resource is unknown.
    pub fn put(&self, object: Value) {
        let resource = self.store().resource_of(&object).expect("a resource that is there");
        let key = Key::of(resource, &object).expect("a name");
        self.changed(|store| store.write(&key, Change::Whole(object)));
    }

    /// Merges `patch` into an object, `status` included.
    ///
    /// # Panics
    /// Where there is no such object.
    pub fn patch(&self, key: &Key, patch: &Value) {
        self.changed(|store| store.write(key, Change::Merge(patch.clone())));
    }

    /// Removes an object at once, as the kubelet does at the end of a pod. Whether it was there.
    pub fn remove(&self, key: &Key) -> bool {
        self.changed(|store| store.remove(key))
    }

    /// Begins to delete a pod: it has `deletionTimestamp` from now on, and stays until it is removed.
    ///
    /// # Panics
    /// Where there is no such object.
    pub fn begin_deletion(&self, key: &Key, grace: u64) {
        self.changed(|store| store.terminate(key, grace));
    }

    /// An object as it is now.
    pub fn get(&self, key: &Key) -> Option<Value> {
        self.store().get(key).map(|object| object.value.clone())
    }

    /// Adds a custom resource.
    pub fn add_crd(&self, resource: Resource) {
        self.store().add(resource);
    }

    /// Removes a custom resource with all its objects, and ends its watches.
    pub fn remove_crd(&self, resource: Resource) {
        self.changed(|store| store.remove_resource(resource));
    }

    /// From now on `verb` on `what` is refused: `pods`, `inferencemodels/status`, in one group `inferencepools.GROUP`, for one
    /// object `inferencemodels/status:NAME`. What discovery asks for is refused by its path: `get` on `/apis/GROUP/VERSION`.
    pub fn refuse(&self, verb: &str, what: &str, refusal: Refusal) {
        self.store().refusals.add(verb, what, refusal);
    }

    /// The same by 403.
    pub fn forbid(&self, verb: &str, what: &str) {
        self.refuse(verb, what, Refusal::Code(403));
    }

    /// Takes [`FakeApi::refuse`] back.
    pub fn allow(&self, verb: &str, what: &str) {
        self.store().refusals.remove(verb, what);
    }

    /// Forgets the history: lists that are half read, and watches that begin at an older version, are answered by 410: the
    /// latter by a status if `as_status`, else by an ERROR event.
    pub fn expire(&self, as_status: bool) {
        let mut store = self.store();
        store.expire();
        store.gone_as_status = as_status;
    }

    /// The next so many lists are answered by 410 at their second page.
    pub fn expire_pages(&self, lists: usize) {
        self.store().short_lived = lists;
    }

    /// Ends all watches properly, as at the end of their time.
    pub fn end_watches(&self) {
        self.shared.order.send_modify(|order| order.ended += 1);
    }

    /// Breaks all watches in the middle of an object.
    pub fn break_watches(&self) {
        self.shared.order.send_modify(|order| order.broken += 1);
    }

    /// Sends a bookmark to all watches that want some.
    pub fn bookmark(&self) {
        self.shared.order.send_modify(|order| order.bookmarks += 1);
    }

    /// Breaks all connections, and closes new ones at once, until [`FakeApi::come_back`]. The state is kept and can be changed.
    pub fn go_away(&self) {
        self.shared.order.send_modify(|order| order.is_away = true);
    }

    /// On the same port, with the state as it is now.
    pub fn come_back(&self) {
        self.shared.order.send_modify(|order| order.is_away = false);
    }

    /// What was asked since the last call of this, in order: each by verb and resource.
    pub fn take_log(&self) -> Vec<Logged> {
        std::mem::take(&mut self.store().log)
    }

    /// Connections that were closed at once, since the server was away.
    pub fn turned_away(&self) -> usize {
        self.store().turned_away
    }

    /// Watches that are open now.
    pub fn watches(&self) -> usize {
        self.store().watches
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store()
    }

    fn changed<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        self.shared.changed(change)
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: its test fails by what is missing.
            let _ = thread.join();
        }
    }
}

// === Shared ===

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes the watches.
    fn changed<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store();
        let result = change(&mut store);
        self.version.send_replace(store.version);
        result
    }
}
