//! A kubelet that tells which pod has which GPU, rightly or not, on a Unix socket.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use h2::server::SendResponse;
use hyper::{
    HeaderMap, Response,
    header::{HeaderName, HeaderValue},
};
use prost::Message;
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    runtime::{Builder, Runtime},
};
use warmlane_api::podresources::{
    ContainerDevices, ContainerResources, ListPodResourcesResponse, PodResources,
};

/// The only method that it has.
const LIST: &str = "/v1.PodResourcesLister/List";

/// See the module's header. Dropped, its socket is gone and its connections break, as when a kubelet stops.
#[derive(Debug)]
pub struct FakeKubelet {
    socket: PathBuf,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

/// What it does with a question.
#[derive(Clone, Debug)]
pub enum Says {
    /// This message, and that all went well.
    Message(Vec<u8>),
    /// Nothing, for ever.
    Nothing,
    /// No message and this gRPC status.
    Status(u16),
    /// What is no HTTP/2.
    Bytes(&'static [u8]),
}

#[derive(Debug)]
struct Shared {
    says: Mutex<Says>,
    open: AtomicUsize,
    questions: AtomicUsize,
}

/// A connection while it is open.
struct Open<'a>(&'a Shared);

/// What a pod has: its name in its namespace, the resource, and the ids of its devices.
pub type Has<'a> = (&'a str, &'a str, &'a [&'a str]);

/// The message that says what these pods have, a container for each entry.
///
/// # Panics
/// When a pod is not written as `namespace/name`.
pub fn message(pods: &[Has<'_>]) -> Vec<u8> {
    let pod = |(pod, resource, ids): &Has<'_>| {
        let (namespace, name) = pod.split_once('/').expect("namespace/name");
        let device_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let devices = vec![ContainerDevices { resource_name: (*resource).to_owned(), device_ids }];
        let containers = vec![ContainerResources { name: "engine".to_owned(), devices }];
        PodResources { name: name.to_owned(), namespace: namespace.to_owned(), containers }
    };
    ListPodResourcesResponse { pod_resources: pods.iter().map(pod).collect() }.encode_to_vec()
}

// === FakeKubelet ===

impl FakeKubelet {
    /// Makes its socket anew and says what these pods have.
    ///
    /// # Panics
    /// When there can be no socket.
    pub fn start(socket: &Path, pods: &[Has<'_>]) -> Self {
        let shared = Arc::new(Shared {
            says: Mutex::new(Says::Message(message(pods))),
            open: AtomicUsize::new(0),
            questions: AtomicUsize::new(0),
        });
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let inside = runtime.enter();
        let listener = UnixListener::bind(socket).expect("a socket");
        drop(inside);
        runtime.spawn(accept(listener, shared.clone()));
        Self { socket: socket.to_owned(), shared, runtime: Some(runtime) }
    }

    /// From now on these pods have this.
    pub fn tells(&self, pods: &[Has<'_>]) {
        self.says(Says::Message(message(pods)));
    }

    /// From now on it does this.
    pub fn says(&self, says: Says) {
        *self.shared.says.lock().unwrap_or_else(PoisonError::into_inner) = says;
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// Connections there were.
    pub fn questions(&self) -> usize {
        self.shared.questions.load(SeqCst)
    }
}

impl Drop for FakeKubelet {
    fn drop(&mut self) {
        // A test may have taken it away.
        let _ = fs::remove_file(&self.socket);
        // Waiting for it is not allowed where another runtime drives this thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let _open = Open::new(&shared);
            let says = shared.says.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // A client that breaks off is what some tests are about.
            let _ = converse(stream, says).await;
        });
    }
}

async fn converse(mut stream: UnixStream, says: Says) -> Result<(), h2::Error> {
    if let Says::Bytes(bytes) = says {
        let _ = stream.write_all(bytes).await;
        return Ok(());
    }
    let mut connection = h2::server::handshake(stream).await?;
    let mut waiting = Vec::new();
    while let Some(question) = connection.accept().await {
        let (question, answer) = question?;
        assert_eq!(question.uri().path(), LIST);
        match &says {
            Says::Message(message) => tell(answer, message)?,
            Says::Status(code) => refuse(answer, *code)?,
            // Dropped, it would be reset, which is an answer too.
            Says::Nothing | Says::Bytes(_) => waiting.push((question, answer)),
        }
    }
    Ok(())
}

fn tell(mut answer: SendResponse<Bytes>, message: &[u8]) -> Result<(), h2::Error> {
    let mut stream = answer.send_response(head(), false)?;
    let length = u32::try_from(message.len()).expect("a length").to_be_bytes();
    stream.send_data([&[0], &length[..], message].concat().into(), false)?;
    stream.send_trailers(HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]))
}

fn refuse(mut answer: SendResponse<Bytes>, code: u16) -> Result<(), h2::Error> {
    let mut head = head();
    head.headers_mut().insert("grpc-status", code.into());
    answer.send_response(head, true).map(drop)
}

fn head() -> Response<()> {
    let mut head = Response::new(());
    head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    head
}

// === Open ===

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.questions.fetch_add(1, SeqCst);
        shared.open.fetch_add(1, SeqCst);
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}
