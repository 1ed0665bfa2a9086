//! An engine that begins as a model does, slowly, and then pours. It waits for edges: told once that a socket has room, it writes until there is none, and is not told again
//! before there was none. An edge that gets lost stops its stream for good.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, OwnedFd},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
};

use super::body::{Chunk, HEAD};
use crate::{proxy::engine::answer, wire::find};

/// The listener's name; connections have those from 1 on.
const LISTENER: u64 = 0;
/// Chunks that a stream writes before another has its turn.
const TURN: usize = 16;
/// So many come one by one, with so much time behind each: streams that only pour are copied. The script has the same.
const LEAD: usize = 6;
const BEAT: Duration = Duration::from_millis(50);

struct Connection {
    stream: TcpStream,
    asked: Vec<u8>,
    /// What is not written yet of an answer or a chunk, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// The next chunk's number, once it pours.
    pours: Option<u64>,
    closes: bool,
}

/// What a connection's turn came to.
#[derive(Debug, PartialEq)]
enum Turned {
    /// It waits for an edge.
    Waits,
    /// There may be room for more.
    Again,
    Gone,
}

/// All connections.
struct Engine {
    listener: TcpListener,
    poll: OwnedFd,
    connections: HashMap<u64, Connection>,
    /// Those that may read or write something.
    ready: VecDeque<u64>,
    /// The next one's name.
    next: u64,
    /// How many streams have yet to be asked for before any is sent.
    awaited: usize,
    chunk: Chunk,
}

/// Serves for ever.
pub(in super::super) fn serve(address: SocketAddr, streams: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut engine = Engine {
        listener,
        poll,
        connections: HashMap::new(),
        ready: VecDeque::new(),
        next: LISTENER + 1,
        awaited: streams,
        chunk: Chunk::default(),
    };
    let mut events = Vec::with_capacity(1_024);
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        // Nobody waits while others can write.
        let wait = (!engine.ready.is_empty()).then_some(&at_once);
        match epoll::wait(&engine.poll, spare_capacity(&mut events), wait) {
            Err(rustix::io::Errno::INTR) => continue,
            done => done?,
        };
        engine.ready.extend(events.drain(..).map(|event: epoll::Event| event.data.u64()));
        engine.turn()?;
    }
}

// === Engine ===

impl Engine {
    /// Everybody who is ready has a turn.
    fn turn(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.ready.len() {
            let Some(name) = self.ready.pop_front() else { break };
            if name == LISTENER {
                self.accept()?;
                continue;
            }
            let Some(connection) = self.connections.get_mut(&name) else { continue };
            let poured = connection.pours.is_some();
            let turned = connection.turn(&mut self.chunk, if self.awaited == 0 { TURN } else { 0 });
            if !poured && connection.pours.is_some() {
                self.awaited = self.awaited.saturating_sub(1);
                if self.awaited == 0 {
                    self.begin();
                }
            }
            match turned {
                Turned::Again => self.ready.push_back(name),
                // Closing it takes it out of the set.
                Turned::Gone => drop(self.connections.remove(&name)),
                Turned::Waits => {}
            }
        }
        Ok(())
    }

    /// All that were awaited are here. Who goes is found out by its next turn.
    fn begin(&mut self) {
        for _ in 0..LEAD {
            for connection in self.connections.values_mut() {
                let _ = connection.write(&mut self.chunk, 1);
            }
            thread::sleep(BEAT);
        }
        self.ready.extend(self.connections.keys());
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        while let Ok((stream, _)) = self.listener.accept() {
            let connection = Connection::new(stream)?;
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&self.poll, connection.stream.as_fd(), EventData::new_u64(self.next), flags)?;
            self.connections.insert(self.next, connection);
            self.next += 1;
        }
        Ok(())
    }
}

// === Connection ===

impl Connection {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, asked: Vec::new(), out: Vec::new(), written: 0, pours: None, closes: false })
    }

    /// Reads and writes what there is, but for chunks no more than so many.
    fn turn(&mut self, chunk: &mut Chunk, chunks: usize) -> Turned {
        match self.read().and_then(|()| self.write(chunk, chunks)) {
            Ok(true) => Turned::Again,
            Ok(false) if self.closes && self.written == self.out.len() => Turned::Gone,
            Ok(false) => Turned::Waits,
            Err(_) => Turned::Gone,
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.asked.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        // A body comes with its head: what is asked for is short.
        if find(&self.asked, b"\r\n\r\n").is_some() && self.pours.is_none() {
            self.closes = find(&self.asked, b"Connection: close").is_some();
            match answer(&self.asked) {
                Some(answer) => self.out.extend_from_slice(answer.as_bytes()),
                None => {
                    self.out.extend_from_slice(HEAD.as_bytes());
                    self.pours = Some(0);
                }
            }
            self.asked.clear();
        }
        Ok(())
    }

    /// True where there may be room for more.
    fn write(&mut self, chunk: &mut Chunk, chunks: usize) -> io::Result<bool> {
        for left in (0..=chunks).rev() {
            while self.written < self.out.len() {
                match self.stream.write(&self.out[self.written..]) {
                    Ok(length) => self.written += length,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            self.out.clear();
            self.written = 0;
            let Some(number) = &mut self.pours else { return Ok(false) };
            if left > 0 {
                self.out.extend_from_slice(chunk.number(*number));
                *number += 1;
            }
        }
        Ok(chunks > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_pours_until_there_is_no_room_and_goes_on_when_there_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut connection = Connection::new(listener.accept().unwrap().0).unwrap();
        let request = crate::proxy::stream::Pace { tokens: 1, beat: Duration::ZERO, size: 0 }.request(9);
        client.write_all(&request).unwrap();
        let (mut chunk, mut check) = (Chunk::default(), super::super::body::Check::default());
        crate::eventually("it was asked", || connection.turn(&mut chunk, TURN) == Turned::Again);
        while connection.turn(&mut chunk, TURN) == Turned::Again {}
        assert_eq!(connection.turn(&mut chunk, TURN), Turned::Waits);
        let mut buffer = vec![0; 1 << 16];
        while check.passed() < 1 << 23 {
            let length = client.read(&mut buffer).unwrap();
            check.feed(&buffer[..length]).unwrap();
            let _ = connection.turn(&mut chunk, TURN);
        }
        drop(client);
        crate::eventually("the end is seen", || connection.turn(&mut chunk, TURN) == Turned::Gone);
    }
}
