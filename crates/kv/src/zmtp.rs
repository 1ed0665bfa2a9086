//! The wire protocol of ZeroMQ (ZMTP 3.0, ZeroMQ RFC 23), as far as a subscriber and a dealer need it.
//!
//! Of our own because an engine's port is no better than what speaks there: the libraries make room for whatever length a
//! frame announces. Here a message that is longer than the caller allows ends the connection before room is made for it, and
//! a peer that closes is noticed at once.

use std::{io, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::Trouble;

/// What both sides begin with: a signature, the version, the mechanism.
const GREETING: usize = 64;
const SIGNATURE: [u8; 10] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f];
const VERSION: [u8; 2] = [3, 0];
const MECHANISM: &[u8; 4] = b"NULL";

/// A frame's flags.
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Connecting and shaking hands may take so long.
const OPEN: Duration = Duration::from_secs(2);
/// Frames of one message; an engine sends four at most.
const MOST_FRAMES: usize = 8;
/// Room to begin with.
const ROOM: usize = 16 * 1024;

/// What this side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It hears what is published.
    Sub,
    /// It asks, and hears any number of answers.
    Dealer,
}

/// A connection that is open.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    /// Bytes of a message, all frames together.
    limit: usize,
}

/// A frame's head.
struct Head {
    flags: u8,
    length: usize,
    /// Bytes that it takes itself.
    size: usize,
}

// === Connection ===

impl Connection {
    /// Connects and shakes hands. Messages longer than `limit` are not taken.
    ///
    /// # Errors
    /// When nobody listens, something else than ZeroMQ does, or it takes too long.
    pub async fn open(address: &str, kind: Kind, limit: usize) -> Result<Self, Trouble> {
        let open = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut connection = Self { stream, buffer: BytesMut::with_capacity(ROOM), limit };
            connection.shake_hands(kind).await?;
            Ok(connection)
        };
        timeout(OPEN, open).await.map_err(|_| Trouble::Slow(OPEN))?
    }

    async fn shake_hands(&mut self, kind: Kind) -> Result<(), Trouble> {
        let mut greeting = [0; GREETING];
        greeting[..10].copy_from_slice(&SIGNATURE);
        greeting[10..12].copy_from_slice(&VERSION);
        greeting[12..16].copy_from_slice(MECHANISM);
        self.stream.write_all(&greeting).await?;
        self.fill(GREETING).await?;
        let theirs = self.buffer.split_to(GREETING);
        if theirs[0] != 0xff || theirs[9] & 1 == 0 || theirs[10] < VERSION[0] {
            return Err(Trouble::NotZmtp);
        }
        if &theirs[12..16] != MECHANISM || theirs[16] != 0 {
            return Err(Trouble::Mechanism(shown(&theirs[12..32])));
        }
        self.stream.write_all(&ready(kind)).await?;
        let (head, body) = self.frame().await?;
        match (head & COMMAND != 0, body.starts_with(b"\x05READY")) {
            (true, true) => Ok(()),
            _ => Err(Trouble::Refused(shown(&body))),
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, frames: &[&[u8]]) -> Result<(), Trouble> {
        let mut bytes = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let more = if number + 1 < frames.len() { MORE } else { 0 };
            put_frame(&mut bytes, more, frame);
        }
        Ok(self.stream.write_all(&bytes).await?)
    }

    /// Hears everything that is published from now on.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn subscribe(&mut self) -> Result<(), Trouble> {
        // A message of its own: 1, and how topics must begin.
        self.send(&[&[1]]).await
    }

    /// The next message. Whoever drops this half way loses nothing.
    ///
    /// # Errors
    /// When the connection ends, or what comes is no message that may be.
    pub async fn next(&mut self) -> Result<Vec<Bytes>, Trouble> {
        loop {
            if let Some(message) = self.message()? {
                return Ok(message);
            }
            self.read().await?;
        }
    }

    /// A whole message from what has come, if it is there; commands before it are passed over.
    fn message(&mut self) -> Result<Option<Vec<Bytes>>, Trouble> {
        loop {
            let (mut at, mut count, mut body) = (0, 0, 0);
            let is_command = loop {
                let Some(head) = Head::read(&self.buffer[at..]) else { return Ok(None) };
                count += 1;
                body = head.length.saturating_add(body);
                if body > self.limit || count > MOST_FRAMES {
                    return Err(Trouble::TooLong { limit: self.limit });
                }
                at += head.size + head.length;
                if self.buffer.len() < at {
                    // Once: the rest comes without the buffer being moved again.
                    self.buffer.reserve(at - self.buffer.len());
                    return Ok(None);
                }
                if head.flags & MORE == 0 {
                    break head.flags & COMMAND != 0;
                }
            };
            let frames = (0..count).map(|_| self.take_frame()).collect();
            if !is_command {
                return Ok(Some(frames));
            }
        }
    }

    fn take_frame(&mut self) -> Bytes {
        let (size, length) = Head::read(&self.buffer).map_or((0, 0), |head| (head.size, head.length));
        self.buffer.advance(size);
        self.buffer.split_to(length).freeze()
    }

    /// One frame, with its flags.
    async fn frame(&mut self) -> Result<(u8, Bytes), Trouble> {
        loop {
            if let Some(head) = Head::read(&self.buffer) {
                if head.length > ROOM {
                    return Err(Trouble::TooLong { limit: ROOM });
                }
                self.fill(head.size + head.length).await?;
                return Ok((head.flags, self.take_frame()));
            }
            self.read().await?;
        }
    }

    async fn fill(&mut self, length: usize) -> Result<(), Trouble> {
        while self.buffer.len() < length {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Trouble> {
        if self.buffer.capacity() == self.buffer.len() {
            self.buffer.reserve(ROOM);
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }
}

/// A peer's text for the log: short, and without what a terminal would act on.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Says what this side is.
fn ready(kind: Kind) -> Vec<u8> {
    let kind: &[u8] = match kind {
        Kind::Sub => b"SUB",
        Kind::Dealer => b"DEALER",
    };
    let mut body = b"\x05READY".to_vec();
    for (name, value) in [(&b"Socket-Type"[..], kind), (b"Identity", b"")] {
        body.push(name.len() as u8);
        body.extend_from_slice(name);
        body.extend_from_slice(&(value.len() as u32).to_be_bytes());
        body.extend_from_slice(value);
    }
    let mut bytes = Vec::new();
    put_frame(&mut bytes, COMMAND, &body);
    bytes
}

fn put_frame(bytes: &mut Vec<u8>, flags: u8, body: &[u8]) {
    match u8::try_from(body.len()) {
        Ok(length) => bytes.extend_from_slice(&[flags, length]),
        Err(_) => {
            bytes.push(flags | LONG);
            bytes.extend_from_slice(&(body.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(body);
}

// === Head ===

impl Head {
    /// The head that bytes begin with, if it is there.
    fn read(bytes: &[u8]) -> Option<Self> {
        let flags = *bytes.first()?;
        let (length, size) = if flags & LONG == 0 {
            (usize::from(*bytes.get(1)?), 2)
        } else {
            let length = bytes.get(1..9)?.try_into().map(u64::from_be_bytes).ok()?;
            // Beyond any limit either way.
            (usize::try_from(length).unwrap_or(usize::MAX / 2).min(usize::MAX / 2), 9)
        };
        Some(Self { flags, length, size })
    }
}

#[cfg(test)]
mod tests;
