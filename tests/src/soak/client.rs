//! One HTTP exchange as a client sees it: status, and whether the response came to its proper end.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::wire::find;

/// Longer than any request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that is used again.
pub(super) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) complete: bool,
    pub(super) bytes: Vec<u8>,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// No connection.
    Refused,
    /// Closed before a head.
    Closed,
    /// Nothing for longer than any timeout.
    Hung,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and reads its response, or as much of it as `most` bytes; the connection is dropped then.
    pub(super) fn ask(&mut self, request: &[u8], most: usize) -> Result<Answer, Silence> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).map_err(|_| Silence::Refused)?,
        };
        stream.set_read_timeout(Some(PATIENCE)).map_err(|_| Silence::Refused)?;
        // Whatever is wrong shows when it is read.
        let _ = stream.write_all(request);
        let mut answer = Answer { status: 0, complete: false, bytes: Vec::new() };
        let mut piece = [0; 16 * 1024];
        while !answer.is_whole() && answer.bytes.len() < most {
            match stream.read(&mut piece) {
                Ok(0) => return answer.ended(),
                Ok(length) => answer.bytes.extend_from_slice(&piece[..length]),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    return Err(Silence::Hung);
                }
                Err(_) => return answer.ended(),
            }
        }
        answer.complete = answer.is_whole();
        if answer.complete && find(&answer.bytes, b"onnection: close").is_none() {
            self.stream = Some(stream);
        }
        answer.ended()
    }
}

impl Answer {
    fn is_whole(&self) -> bool {
        let Some(at) = find(&self.bytes, b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&self.bytes[..at]).to_ascii_lowercase();
        match head.lines().find_map(|line| line.strip_prefix("content-length:")) {
            Some(length) => {
                length.trim().parse().is_ok_and(|length: usize| self.bytes.len() >= at + 4 + length)
            }
            None => self.bytes.ends_with(b"\r\n0\r\n\r\n"),
        }
    }

    fn ended(mut self) -> Result<Self, Silence> {
        let status = self.bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        self.status = status.ok_or(Silence::Closed)?;
        Ok(self)
    }
}
