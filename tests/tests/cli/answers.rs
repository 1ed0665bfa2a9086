//! A server with one answer, whatever is asked: what a router of another version, or no router, would say.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::Path,
    sync::Arc,
    thread,
};

/// Where it is; it serves until the test ends.
pub(crate) fn serve(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let answer: Arc<[u8]> = answer.into().into();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || converse(stream, &answer));
        }
    });
    address
}

/// The same at this path.
pub(crate) fn serve_at(path: &Path, answer: Vec<u8>) {
    let listener = UnixListener::bind(path).expect("bind");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            converse(stream, &answer);
        }
    });
}

/// As a program of ours of this version says it.
pub(crate) fn ours(version: &str, status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nwarmlane-version: {version}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    format!("{head}{body}").into_bytes()
}

/// The version of what is tested.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Each request has an end, since none has a body. A peer that goes away ends it.
fn converse(mut stream: impl Read + Write, answer: &[u8]) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while let Ok(1..) = stream.read(&mut byte) {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}
