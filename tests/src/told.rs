//! An agent that tells what a test wants, rightly or not.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::mpsc,
};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, async_trait, transport::Server};
use warmlane_api::node::{Endpoint, FollowRequest, Load, Update, endpoint::Contact, node_server};

use crate::eventually;

/// Its heartbeat, as it says: a router gives it three of these.
pub const HEARTBEAT_MS: u32 = 200;

/// See the module's header. Dropped, its port is closed and its streams break.
#[derive(Debug)]
pub struct ToldAgent {
    /// Where it listens.
    pub address: SocketAddr,
    streams: Streams,
    runtime: Option<Runtime>,
}

/// One entry for each router that follows.
type Streams = Arc<Mutex<Vec<mpsc::UnboundedSender<Result<Update, Status>>>>>;

struct Script(Streams);

// === ToldAgent ===

impl ToldAgent {
    /// Listens, and says nothing.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start() -> Self {
        Self::on("127.0.0.1:0".parse().expect("an address"))
    }

    /// The same on this address.
    ///
    /// # Panics
    /// When it is taken.
    pub fn on(address: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let listener = std::net::TcpListener::bind(address).expect("bind");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("address");
        let inside = runtime.enter();
        let listener = TcpListener::from_std(listener).expect("a listener of tokio's");
        drop(inside);
        let streams = Streams::default();
        let service = node_server::NodeServer::new(Script(streams.clone()));
        let incoming = TcpListenerStream::new(listener);
        runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { address, streams, runtime: Some(runtime) }
    }

    /// Waits until so many streams were opened since its start.
    pub fn wait_for(&self, count: usize) {
        eventually("routers follow", || self.followers() >= count);
    }

    /// Streams that were opened since its start.
    pub fn followers(&self) -> usize {
        self.streams().len()
    }

    /// Says this on the stream that was opened last.
    ///
    /// # Panics
    /// When nobody follows.
    pub fn say(&self, update: Update) {
        let streams = self.streams();
        // A router that has given the stream up hears nothing, which is what such a test is about.
        let _ = streams.last().expect("a stream").send(Ok(update));
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::UnboundedSender<Result<Update, Status>>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ToldAgent {
    fn drop(&mut self) {
        // Waiting for it is not allowed where another runtime drives this thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The first update of a stream.
pub fn full(endpoints: Vec<Endpoint>) -> Update {
    Update { node: "node-a".to_owned(), full: true, ..delta(1, endpoints) }
}

/// A later one.
pub fn delta(sequence: u64, endpoints: Vec<Endpoint>) -> Update {
    Update { generation: 7, sequence, heartbeat_ms: HEARTBEAT_MS, endpoints, ..Update::default() }
}

/// An engine with so many requests waiting, read just now.
pub fn waiting(address: SocketAddr, queue: f32) -> Endpoint {
    let load = Load { queue: Some(queue), running: Some(1.0), kv_use: Some(0.1), ..Load::default() };
    Endpoint { address: address.to_string(), contact: Some(Contact::Load(load)), ..Endpoint::default() }
}

#[async_trait]
impl node_server::Node for Script {
    type FollowStream = UnboundedReceiverStream<Result<Update, Status>>;

    async fn follow(&self, _: Request<FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(Response::new(UnboundedReceiverStream::new(receiver)))
    }
}
