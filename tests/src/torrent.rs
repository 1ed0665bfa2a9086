//! An engine that never stops answering, and what shows that it is held back.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::eventually;

/// An engine that answers every POST without end, as fast as it is read; counts what it could send.
///
/// # Panics
/// When loopback has no port, or the process no thread, for it.
pub fn torrent() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let count = count.clone();
            let pour = move || pour(stream, &count);
            thread::Builder::new().stack_size(64 * 1024).spawn(pour).expect("a thread");
        }
    });
    (address, sent)
}

fn pour(mut stream: TcpStream, count: &AtomicU64) {
    let mut request = [0; 2_048];
    let Ok(length) = stream.read(&mut request) else { return };
    if request[..length].starts_with(b"GET ") {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let chunk = ["1000\r\n".to_owned(), "x".repeat(4_096), "\r\n".to_owned()].concat();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut bytes = [head, &chunk].concat();
    while stream.write_all(bytes.as_bytes()).is_ok() {
        count.fetch_add(bytes.len() as u64, Relaxed);
        bytes.clone_from(&chunk);
    }
}

/// Waits until a count stands still.
pub fn settled(count: &AtomicU64) -> u64 {
    let mut last = u64::MAX;
    eventually("the engine is held back", || {
        thread::sleep(Duration::from_millis(200));
        let now = count.load(Relaxed);
        std::mem::replace(&mut last, now) == now && now > 0
    });
    last
}

static TURN: Mutex<()> = Mutex::new(());

/// Held by tests that measure the memory of the process that holds the router: one at a time.
pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client connection that the kernel buffers little for: what is not read soon fills its peer's own buffers.
///
/// # Panics
/// When nobody listens.
pub fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("socket");
    socket.set_recv_buffer_size(4_096).expect("buffer size");
    socket.connect(&address.into()).expect("connect");
    socket.into()
}

/// Resident memory of this process, in bytes.
///
/// # Panics
/// When the kernel does not tell.
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize = statm.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("pages");
    pages * 4_096
}
