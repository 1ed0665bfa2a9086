//! A raw engine: records the exact bytes of every request and answers as its behaviour says. To its scraper it
//! looks like an idle vLLM that serves `m` and the adapter `a`.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::eventually;

mod reading;

use reading::{read_body, read_head};

/// What an engine does with a request that is not its scraper's.
#[derive(Clone)]
pub enum Behaviour {
    /// Sends these bytes.
    Answer(Vec<u8>),
    /// Sends these bytes and closes.
    AnswerAndClose(Vec<u8>),
    /// Sends these bytes and resets the connection.
    AnswerAndReset(Vec<u8>),
    /// Sends these bytes and nothing more, and keeps the connection.
    AnswerAndHang(Vec<u8>),
    /// Sends these bytes one by one.
    OneByOne(Vec<u8>),
    /// Sends these bytes one by one and closes.
    OneByOneAndClose(Vec<u8>),
    /// Sends the first part, then each further part when the test says so.
    Parts(Arc<Mutex<mpsc::Receiver<Vec<u8>>>>),
    /// The same, and closes where the test says no more.
    PartsAndClose(Arc<Mutex<mpsc::Receiver<Vec<u8>>>>),
    /// The same, and resets the connection there.
    PartsAndReset(Arc<Mutex<mpsc::Receiver<Vec<u8>>>>),
    /// Reads the request and never answers.
    Hang,
    /// Closes before it has read the body.
    CloseEarly,
    /// Sends a refusal before it has read the body.
    RefuseEarly(Vec<u8>),
    /// Decides per request.
    Decide(Arc<dyn Fn(&Seen) -> Behaviour + Send + Sync>),
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The other end of the connection.
    pub from: SocketAddr,
    /// Head, empty line included.
    pub head: String,
    /// Body with its framing.
    pub body: Vec<u8>,
}

/// See the module's header.
pub struct RawEngine {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    behaviour: Mutex<Behaviour>,
    metrics: Mutex<Vec<u8>>,
    models: Mutex<String>,
    seen: Mutex<Vec<Seen>>,
    /// Connections on which a request of the data plane is open.
    open: AtomicUsize,
    /// Connections of whomever.
    connections: AtomicUsize,
    stopped: AtomicBool,
    /// It reads and answers nothing at all any more, as a process that was stopped.
    stalled: AtomicBool,
}

const IDLE_PAGE: &str = include_str!("../fixtures/metrics/vllm-0.32-metrics-idle.txt");

/// A model list as vLLM words it: base `m`, adapter `a`.
pub const MODELS: &str = r#"{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"vllm","root":"m","parent":null,"max_model_len":8192},{"id":"a","object":"model","created":1,"owned_by":"vllm","root":"a","parent":"m","max_model_len":8192}]}"#;

// === Behaviour ===

impl Behaviour {
    /// [`Behaviour::Parts`], and where the test says each of them. Dropping that ends the answer.
    pub fn in_parts() -> (Self, mpsc::Sender<Vec<u8>>) {
        let (sender, parts) = mpsc::channel();
        (Self::Parts(Arc::new(Mutex::new(parts))), sender)
    }
}

// === RawEngine ===

impl RawEngine {
    /// Starts an engine on a free port.
    ///
    /// # Panics
    /// When loopback has none.
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let state = Arc::new(State {
            behaviour: Mutex::new(behaviour),
            metrics: Mutex::new(IDLE_PAGE.as_bytes().to_vec()),
            models: Mutex::new(MODELS.to_owned()),
            seen: Mutex::default(),
            open: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
        });
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.stopped.load(SeqCst) {
                    break;
                }
                let state = shared.clone();
                thread::spawn(move || {
                    state.connections.fetch_add(1, SeqCst);
                    state.converse(stream);
                    state.connections.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { address, state }
    }

    /// Starts one whose answer the test sends part by part.
    ///
    /// # Panics
    /// When loopback has no port.
    pub fn in_parts() -> (Self, mpsc::Sender<Vec<u8>>) {
        let (behaviour, parts) = Behaviour::in_parts();
        (Self::start(behaviour), parts)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the data plane sent it so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }

    /// Waits for the next request beyond the first `count`.
    pub fn wait_for(&self, count: usize) -> Vec<Seen> {
        eventually("the engine sees the request", || lock(&self.state.seen).len() >= count);
        self.seen()
    }

    /// Requests that are open at it now.
    pub fn open(&self) -> usize {
        self.state.open.load(SeqCst)
    }

    /// Connections that it has now, those of who reads its pages too.
    pub fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// Changes what it does from the next request on.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.state.behaviour) = behaviour;
    }

    /// Changes its metrics page.
    pub fn metrics(&self, page: &[u8]) {
        *lock(&self.state.metrics) = page.to_vec();
    }

    /// Changes its list of models.
    pub fn models(&self, list: &str) {
        list.clone_into(&mut lock(&self.state.models));
    }

    /// Answers nothing any more, its scraper neither, and closes nothing: as a process that is stuck.
    pub fn stall(&self) {
        self.state.stalled.store(true, SeqCst);
    }

    /// Stops listening, as a process that died: connections are refused from now on.
    pub fn stop(&self) {
        self.state.stopped.store(true, SeqCst);
        // The first wakes the accept loop.
        eventually("connections are refused", || TcpStream::connect(self.address).is_err());
    }
}

impl Drop for RawEngine {
    fn drop(&mut self) {
        self.stop();
    }
}

// === State ===

impl State {
    fn converse(&self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        let _ = stream.set_nodelay(true);
        while let Some(head) = read_head(&mut stream, &mut buffer) {
            if self.stopped.load(SeqCst) {
                return;
            }
            let is_housekeeping = !head.to_ascii_lowercase().contains("x-request-id");
            if is_housekeeping && self.stalled.load(SeqCst) {
                perform(&mut stream, Behaviour::Hang);
                return;
            }
            if let Some(answer) = self.housekeeping(&head) {
                if stream.write_all(&answer).is_err() {
                    return;
                }
                continue;
            }
            self.open.fetch_add(1, SeqCst);
            let goes_on = self.serve(&mut stream, &mut buffer, head);
            self.open.fetch_sub(1, SeqCst);
            if !goes_on {
                return;
            }
        }
    }

    fn housekeeping(&self, head: &str) -> Option<Vec<u8>> {
        // The scraper asks without the header that the data plane always sends.
        if head.to_ascii_lowercase().contains("x-request-id") {
            return None;
        }
        if head.starts_with("GET /metrics ") {
            return Some(answer("text/plain", &lock(&self.metrics)));
        }
        if head.starts_with("GET /v1/models ") {
            return Some(answer("application/json", lock(&self.models).as_bytes()));
        }
        head.starts_with("GET /health ").then(|| answer("text/plain", b""))
    }

    /// False when the connection is over.
    fn serve(&self, stream: &mut TcpStream, buffer: &mut Vec<u8>, head: String) -> bool {
        let early = lock(&self.behaviour).clone();
        match early {
            Behaviour::CloseEarly => return false,
            Behaviour::RefuseEarly(bytes) => {
                let _ = stream.write_all(&bytes);
                // The router must have time to read the refusal before the reset that unread bytes cause.
                let _ = stream.shutdown(Shutdown::Write);
                while matches!(stream.read(&mut [0; 4096]), Ok(n) if n > 0) {}
                return false;
            }
            _ => {}
        }
        let Some(body) = read_body(stream, buffer, &head) else { return false };
        let Ok(from) = stream.peer_addr() else { return false };
        let seen = Seen { from, head, body };
        lock(&self.seen).push(seen.clone());
        let mut behaviour = early;
        while let Behaviour::Decide(decide) = &behaviour {
            behaviour = decide(&seen);
        }
        perform(stream, behaviour)
    }
}

fn perform(stream: &mut TcpStream, behaviour: Behaviour) -> bool {
    match behaviour {
        Behaviour::Answer(bytes) => stream.write_all(&bytes).is_ok(),
        Behaviour::AnswerAndClose(bytes) => {
            let _ = stream.write_all(&bytes);
            false
        }
        Behaviour::OneByOne(bytes) => bytes.iter().all(|byte| stream.write_all(&[*byte]).is_ok()),
        Behaviour::OneByOneAndClose(bytes) => {
            let _ = bytes.iter().all(|byte| stream.write_all(&[*byte]).is_ok());
            false
        }
        Behaviour::AnswerAndReset(bytes) => {
            let _ = stream.write_all(&bytes);
            reset(stream);
            false
        }
        Behaviour::Parts(parts) => say(stream, &parts) && !peer_gone(stream),
        Behaviour::PartsAndClose(parts) => {
            say(stream, &parts);
            false
        }
        Behaviour::PartsAndReset(parts) => {
            say(stream, &parts);
            reset(stream);
            false
        }
        Behaviour::AnswerAndHang(bytes) => {
            let _ = stream.write_all(&bytes);
            perform(stream, Behaviour::Hang)
        }
        // Until the router gives up.
        _ => {
            while matches!(stream.read(&mut [0; 4096]), Ok(n) if n > 0) {}
            false
        }
    }
}

/// Sends what the test says. False where the router takes no more of it.
fn say(stream: &mut TcpStream, parts: &Mutex<mpsc::Receiver<Vec<u8>>>) -> bool {
    let parts = lock(parts);
    while let Some(part) = next_part(&parts, stream) {
        if stream.write_all(&part).is_err() {
            return false;
        }
    }
    true
}

/// The next part; `None` when the test has no more or the router has gone.
fn next_part(parts: &mpsc::Receiver<Vec<u8>>, stream: &TcpStream) -> Option<Vec<u8>> {
    loop {
        match parts.recv_timeout(Duration::from_millis(5)) {
            Ok(part) => return Some(part),
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) if peer_gone(stream) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
}

fn peer_gone(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let gone = match stream.peek(&mut [0; 1]) {
        // The next request may be here already.
        Ok(length) => length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    let _ = stream.set_nonblocking(false);
    gone
}

/// Makes the close a reset: bytes that were never read do that.
fn reset(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// A complete 200 answer.
pub fn answer(content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
