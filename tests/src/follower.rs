//! A router's side of an agent's stream, without a router: what the agent says is held, and held against its own digest.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::runtime::{Builder, Runtime};
use tonic::transport::Endpoint;
use warmlane_api::node::{self as told, Blocks, FollowRequest, Update, node_client::NodeClient};
use warmlane_engine::kv_events::Digest;

use crate::eventually;

/// See the module's header. Dropped, it leaves.
#[derive(Debug)]
pub struct TestFollower {
    held: Arc<Mutex<HashMap<String, Held>>>,
    engines: Arc<Mutex<Engines>>,
    _runtime: Runtime,
}

/// Engines that were told of and are not gone.
type Engines = BTreeSet<String>;

/// What one engine holds, as the agent tells it.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Blocks, under the agent's hashes.
    pub blocks: HashSet<u64>,
    /// Tokens in a block.
    pub block_size: usize,
    /// As far as is known these are all.
    pub whole: bool,
    /// How often everything was told anew.
    pub resets: usize,
    /// How often it was not what the agent counted.
    pub diverged: usize,
}

// === TestFollower ===

impl TestFollower {
    /// Follows an agent.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub fn of(agent: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let held: Arc<Mutex<HashMap<String, Held>>> = Arc::default();
        let engines: Arc<Mutex<Engines>> = Arc::default();
        let (shared, counted) = (held.clone(), engines.clone());
        let endpoint = Endpoint::from_shared(format!("http://{agent}")).expect("an address");
        let channel = runtime.block_on(endpoint.connect()).expect("an agent");
        runtime.spawn(async move {
            let mut client = NodeClient::new(channel).max_decoding_message_size(64 << 20);
            let request = FollowRequest { router: "test".to_owned() };
            let mut stream = client.follow(request).await.expect("a stream").into_inner();
            while let Ok(Some(Update { blocks, endpoints, gone, .. })) = stream.message().await {
                count(&mut lock(&counted), &endpoints, &gone);
                let mut held = lock(&shared);
                blocks.into_iter().for_each(|blocks| take(&mut held, blocks));
            }
        });
        Self { held, engines, _runtime: runtime }
    }

    /// The engines that it tells of now.
    pub fn engines(&self) -> Vec<String> {
        lock(&self.engines).iter().cloned().collect()
    }

    /// Waits until it tells of these engines and no others.
    pub fn until_engines(&self, engines: &[SocketAddr]) {
        let mut wanted: Vec<String> = engines.iter().map(ToString::to_string).collect();
        wanted.sort_unstable();
        eventually(&format!("it tells of {wanted:?}"), || self.engines() == wanted);
    }

    /// What an engine holds.
    ///
    /// # Panics
    /// When that was not what the agent counted, now or before.
    pub fn held(&self, engine: &str) -> Held {
        let held = lock(&self.held).get(engine).cloned().unwrap_or_default();
        assert_eq!(held.diverged, 0, "{engine}: told and counted differ");
        held
    }

    /// Waits until an engine holds what is wanted of it.
    pub fn until(&self, what: &str, engine: &str, holds: impl Fn(&Held) -> bool) {
        eventually(what, || holds(&self.held(engine)));
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(engines: &mut Engines, told: &[told::Endpoint], gone: &[String]) {
    for address in gone {
        assert!(engines.remove(address), "{address} is gone and was never told of");
    }
    for told in told {
        engines.insert(told.address.clone());
    }
}

/// A router would dial again where the digest differs; here it is a failure.
fn take(all: &mut HashMap<String, Held>, news: Blocks) {
    let held = all.entry(news.address).or_default();
    if news.reset {
        held.blocks.clear();
        held.resets += 1;
    }
    for block in &news.removed {
        held.blocks.remove(block);
    }
    held.blocks.extend(&news.added);
    (held.block_size, held.whole) = (news.block_size as usize, news.whole);
    let digest = Digest::from_iter(held.blocks.iter().copied());
    held.diverged += usize::from(digest != (Digest { count: news.count, sum: news.sum }));
}
