//! A raw HTTP/1.1 client: sends the bytes it is given, reads responses to their exact end.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use socket2::SockRef;

use crate::PATIENCE;

/// One client connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// By which name the other end is called.
    host: &'static str,
}

/// A response, taken apart.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Head as received, empty line included.
    pub head: String,
    /// Body without framing.
    pub body: Vec<u8>,
    /// Body as received.
    pub raw_body: Vec<u8>,
    /// The end that the head announced was reached.
    pub complete: bool,
}

// === Wire ===

impl Wire {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("connect"))
    }

    /// The same over a connection that is there.
    ///
    /// # Panics
    /// When the system refuses its options.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self { stream, buffer: Vec::new(), host: "t" }
    }

    /// The same under another name than `t`.
    #[must_use]
    pub fn called(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    /// Sends bytes as they are. A peer that closed already is no failure: the answer tells.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a POST with a JSON body and reads the answer.
    pub fn post(&mut self, path: &str, body: &str) -> Response {
        self.post_with(path, "", body)
    }

    /// The same with header lines, each ended by CRLF.
    pub fn post_with(&mut self, path: &str, headers: &str, body: &str) -> Response {
        self.begin_post(path, headers, body);
        self.response()
    }

    /// The same without waiting for the answer.
    pub fn begin_post(&mut self, path: &str, headers: &str, body: &str) {
        let (host, length) = (self.host, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        self.send(&[head.as_bytes(), body.as_bytes()].concat());
    }

    /// Sends a GET and reads the answer.
    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host).as_bytes());
        self.response()
    }

    /// Reads one response.
    ///
    /// # Panics
    /// When the connection ends before a complete head.
    pub fn response(&mut self) -> Response {
        let head = self.head();
        let status = head[9..12].parse().expect("status");
        let header = |name: &str| header_in(&head, name).map(str::to_owned);
        let (body, raw_len, complete) = if matches!(status, 100..=199 | 204 | 304) {
            (Vec::new(), 0, true)
        } else if let Some(length) = header("content-length") {
            let length: usize = length.parse().expect("content-length");
            let complete = self.fill(length);
            let have = self.buffer.len().min(length);
            (self.buffer[..have].to_vec(), have, complete)
        } else if header("transfer-encoding").is_some() {
            self.chunked()
        } else {
            while self.more() {}
            (self.buffer.clone(), self.buffer.len(), true)
        };
        let raw_body = self.buffer.drain(..raw_len).collect();
        Response { status, head, body, raw_body, complete }
    }

    /// Reads a head, and leaves what follows.
    ///
    /// # Panics
    /// When the connection ends before it is complete.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return String::from_utf8(head).expect("head is text");
            }
            assert!(self.more(), "closed before a head; got {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// Reads until `needle` came, and returns everything up to and including it. `None`: closed before.
    pub fn until(&mut self, needle: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.buffer, needle) {
                return Some(self.buffer.drain(..at + needle.len()).collect());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Reads so many bytes; fewer where the peer closes before.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        self.fill(count);
        self.buffer.drain(..count.min(self.buffer.len())).collect()
    }

    /// Whether so many bytes are here, once what has come by now is read.
    ///
    /// # Panics
    /// When the peer closed before.
    pub fn has(&mut self, count: usize) -> bool {
        self.stream.set_nonblocking(true).expect("open");
        let mut bytes = [0; 4096];
        while let Ok(length) = self.stream.read(&mut bytes) {
            assert!(length > 0, "closed");
            self.buffer.extend_from_slice(&bytes[..length]);
        }
        self.stream.set_nonblocking(false).expect("open");
        self.buffer.len() >= count
    }

    /// Reads until the peer closes; everything received.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.buffer)
    }

    /// Leaves with a reset, not with a proper end.
    ///
    /// # Panics
    /// Never, while the socket is open.
    pub fn reset_when_dropped(&self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("open");
    }

    /// The socket, for closing it in some special way.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn fill(&mut self, length: usize) -> bool {
        while self.buffer.len() < length {
            if !self.more() {
                return false;
            }
        }
        true
    }

    /// Payload, length as received, and whether the end was reached.
    fn chunked(&mut self) -> (Vec<u8>, usize, bool) {
        let (mut payload, mut at) = (Vec::new(), 0);
        loop {
            let Some(line) = self.line_end(at) else { return (payload, self.buffer.len(), false) };
            let size = String::from_utf8_lossy(&self.buffer[at..line]).into_owned();
            let size = size.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).expect("chunk size");
            at = line + 2;
            if size == 0 {
                // Trailers, and the empty line behind them.
                while let Some(line) = self.line_end(at) {
                    let is_empty = line == at;
                    at = line + 2;
                    if is_empty {
                        return (payload, at, true);
                    }
                }
                return (payload, self.buffer.len(), false);
            }
            if !self.fill(at + size + 2) {
                return (payload, self.buffer.len(), false);
            }
            payload.extend_from_slice(&self.buffer[at..at + size]);
            at += size + 2;
        }
    }

    fn line_end(&mut self, from: usize) -> Option<usize> {
        loop {
            if let Some(at) = find(&self.buffer[from..], b"\r\n") {
                return Some(from + at);
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// False when the peer closed or reset.
    ///
    /// # Panics
    /// When it stays silent beyond all patience.
    fn more(&mut self) -> bool {
        let mut bytes = [0; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&bytes[..n]);
                true
            }
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                panic!("no byte for {PATIENCE:?}; so far {:?}", String::from_utf8_lossy(&self.buffer))
            }
            Err(_) => false,
        }
    }
}

// === Response ===

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header_in(&self.head, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

fn header_in<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Position of `needle` in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
