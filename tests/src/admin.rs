//! Asks the router's admin port for changes, by TCP or by its Unix socket.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::PATIENCE;

/// Where the admin port is asked.
#[derive(Clone, Debug)]
pub enum Door {
    /// Over TCP.
    Port(SocketAddr),
    /// Over the Unix socket.
    Socket(PathBuf),
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Head as received.
    pub head: String,
    /// Body as received.
    pub body: String,
    /// The same; `null` where it is no JSON.
    pub page: Value,
}

// === Door ===

impl Door {
    /// The socket at this path.
    pub fn socket(path: &Path) -> Self {
        Self::Socket(path.to_owned())
    }

    /// Asks, with header lines of the test's, each ended by CRLF. A host is among them, or is the address.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let host = match self {
            _ if headers.to_ascii_lowercase().contains("host:") => String::new(),
            Self::Port(address) => format!("host: {address}\r\n"),
            Self::Socket(_) => "host: localhost\r\n".to_owned(),
        };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        let text = match self {
            Self::Port(address) => {
                let stream = TcpStream::connect(address).expect("connect");
                stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
                exchange(stream, &request)
            }
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).expect("connect");
                stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
                exchange(stream, &request)
            }
        };
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        Answer {
            status,
            head: head.to_owned(),
            page: serde_json::from_str(body).unwrap_or_default(),
            body: body.to_owned(),
        }
    }

    /// Asks with the token.
    pub fn ask_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        self.ask(method, path, &format!("authorization: Bearer {token}\r\n"), body)
    }
}

/// What is answered until the other end closes. Where it closes without reading all, the answer may be there all the same.
fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    let _ = stream.write_all(request.as_bytes());
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).expect("text")
}

// === Answer ===

impl Answer {
    /// Why not; empty where it was done.
    pub fn why(&self) -> &str {
        self.page["error"]["message"].as_str().unwrap_or_default()
    }
}
