//! A client that sends the frames it is given, and header blocks that use no table.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::PREFACE;
use crate::PATIENCE;

/// Frame types.
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// RST_STREAM
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

/// A connection of a client that sends frames as they are given.
pub struct Frames(TcpStream);

/// One frame.
#[derive(Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

// === Frames ===

impl Frames {
    /// Connects, and sends preface and settings.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("connect"))
    }

    /// The same over a connection that is there.
    ///
    /// # Panics
    /// When it is closed.
    pub fn over(mut stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        stream.write_all(PREFACE).expect("preface");
        let mut frames = Self(stream);
        frames.send(kind::SETTINGS, 0, 0, &[]);
        frames
    }

    /// Sends one frame; false when the peer has closed.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.0.write_all(&frame(kind, flags, stream, payload)).is_ok()
    }

    /// Sends bytes as they are; false when the peer has closed.
    pub fn send_raw(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends a request's head.
    pub fn headers(&mut self, stream: u32, end_stream: bool, fields: &[(&str, &str)]) -> bool {
        let flags = 0x4 | u8::from(end_stream);
        self.send(kind::HEADERS, flags, stream, &hpack(fields))
    }

    /// The next frame; `None` when the peer has closed.
    ///
    /// # Panics
    /// When nothing comes.
    pub fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no frame for {PATIENCE:?}")
            }
            Err(_) => return None,
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads to the next frame that is wanted; `None` when the peer closes before.
    pub fn until(&mut self, mut wanted: impl FnMut(&Frame) -> bool) -> Option<Frame> {
        while let Some(frame) = self.read() {
            if wanted(&frame) {
                return Some(frame);
            }
        }
        None
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let head = [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A header block that uses no table.
pub fn hpack(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // One byte holds lengths below 127, further ones seven bits each.
            let mut length = text.len();
            if length < 127 {
                block.push(length as u8);
            } else {
                block.push(127);
                length -= 127;
                while length >= 128 {
                    block.push((length % 128) as u8 | 128);
                    length /= 128;
                }
                block.push(length as u8);
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

impl Frame {
    /// The error code of a RST_STREAM or GOAWAY frame.
    pub fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        self.payload
            .get(at..at + 4)
            .map_or(0, |code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]))
    }
}
