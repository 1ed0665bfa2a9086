//! The kernel lane between four sockets that are all here: the pod's, the router's two, the client's; and the router's side
//! of a response in its plainest form.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use warmlane_router::kernel::{
    Armed, Client, Framing, Lane, Refusal, Settings, Standing, Turn, Upstream, kind, reason, stage,
};

use crate::PATIENCE;

/// A lane, and listeners whose connections may take it.
#[derive(Debug)]
pub struct Laid {
    /// The lane.
    pub lane: Arc<Lane>,
    pods: TcpListener,
    front: TcpListener,
    /// Held from dialling to accepting: of two who do both at a time, each might accept what the other has dialled.
    dialling: Mutex<()>,
}

/// Both connections of an exchange.
#[derive(Debug)]
pub struct Ends {
    /// The pod's end.
    pub pod: TcpStream,
    /// The router's end towards the pod.
    pub upstream: TcpStream,
    /// The router's end towards the client.
    pub client_side: TcpStream,
    /// The client's end.
    pub client: TcpStream,
}

/// The router's side of an exchange.
#[derive(Debug)]
pub struct Relay {
    /// Towards the pod.
    pub upstream: TcpStream,
    /// Towards the client.
    pub client_side: TcpStream,
    armable: Upstream,
    client: Client,
    /// All that was ever read from the pod.
    read: u64,
}

/// How a response went.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Bytes of bodies that took the lane.
    pub by_lane: u64,
    /// Bytes of bodies that were copied.
    pub by_copy: u64,
    /// Chunks that ended in what took the lane.
    pub chunks: u64,
    /// Why the kernel handed over, each time.
    pub reasons: Vec<u32>,
    /// Orders that came too late.
    pub late: u32,
    /// Orders that were refused.
    pub refused: Vec<Refusal>,
}

/// Where a body ends, as user space follows it: it goes on from wherever the kernel stopped.
#[derive(Clone, Copy, Debug)]
struct Body {
    framing: Framing,
    /// Bytes of the present line behind the last chunk's size, once that was read.
    tail: Option<u32>,
    size_line: bool,
    done: bool,
}

/// The object that `cargo xtask test` has built.
///
/// # Panics
/// Where the suite was started by other means and none is there.
pub fn object() -> PathBuf {
    let path = std::env::var_os("WARMLANE_EBPF_OBJECT").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/ebpf/warmlane-lane.o"))
    });
    assert!(path.exists(), "{} is not there: cargo xtask ebpf builds it", path.display());
    path
}

// === Laid ===

impl Laid {
    /// Lays one over an address of this machine.
    ///
    /// # Panics
    /// With the reason where the kernel or the privilege is missing.
    pub fn over(address: impl Into<IpAddr>) -> Self {
        Self::with(address, |_| {})
    }

    /// The same with other settings.
    ///
    /// # Panics
    /// As [`Self::over`].
    pub fn with(address: impl Into<IpAddr>, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(object());
        change(&mut settings);
        let lane = Lane::load(&settings).unwrap_or_else(|error| panic!("{error}"));
        let any = SocketAddr::new(address.into(), 0);
        let listen = || TcpListener::bind(any).expect("a port is free");
        let laid = Self { lane, pods: listen(), front: listen(), dialling: Mutex::default() };
        assert!(laid.lane.admit(laid.pods.local_addr().expect("bound")));
        assert!(laid.lane.serve(laid.front.local_addr().expect("bound").port()));
        laid
    }

    /// Where the pod listens.
    ///
    /// # Panics
    /// Never, while the listener is open.
    pub fn pod_address(&self) -> SocketAddr {
        self.pods.local_addr().expect("bound")
    }

    /// Where clients connect.
    ///
    /// # Panics
    /// Never, while the listener is open.
    pub fn front_address(&self) -> SocketAddr {
        self.front.local_addr().expect("bound")
    }

    /// A new exchange.
    ///
    /// # Panics
    /// Where the machine refuses a connection.
    pub fn connect(&self) -> Ends {
        let dial = |to: &TcpListener| {
            let dialled = TcpStream::connect(to.local_addr().expect("bound")).expect("it listens");
            (dialled, to.accept().expect("it was dialled").0)
        };
        let dialling = self.dialling.lock().unwrap_or_else(PoisonError::into_inner);
        let ((client, client_side), (upstream, pod)) = (dial(&self.front), dial(&self.pods));
        drop(dialling);
        for stream in [&pod, &upstream, &client_side, &client] {
            stream.set_nodelay(true).expect("open");
            stream.set_read_timeout(Some(PATIENCE)).expect("open");
        }
        Ends { pod, upstream, client_side, client }
    }

    /// A new exchange: the pod's end, the router's side, the client's end.
    ///
    /// # Panics
    /// Where the connections cannot take the lane.
    pub fn exchange(&self) -> (TcpStream, Relay, TcpStream) {
        let ends = self.connect();
        let relay = Relay::new(&self.lane, ends.upstream, ends.client_side).expect("they may take part");
        (ends.pod, relay, ends.client)
    }
}

// === Relay ===

impl Relay {
    /// The router's side of these connections.
    pub fn new(lane: &Arc<Lane>, upstream: TcpStream, client_side: TcpStream) -> Result<Self, Refusal> {
        let (client, armable) = (lane.client(&client_side)?, lane.upstream(&upstream)?);
        Ok(Self { upstream, client_side, armable, client, read: 0 })
    }

    /// Orders what follows, without any head.
    pub fn arm(&mut self, framing: Framing) -> Result<Armed<'_>, Refusal> {
        self.armable.arm(&self.client, &self.client_side, self.read, framing)
    }

    /// Reads from the pod, with all that was read before added to the count.
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.upstream.read(bytes)?;
        self.read += length as u64;
        Ok(length)
    }

    /// Passes one response on, and arms the lane wherever it may be. Fails where the response breaks off or bytes are lost.
    pub fn response(&mut self) -> io::Result<Told> {
        self.response_then(|_| {})
    }

    /// The same; `armed` is called after each order, before anything is read.
    pub fn response_then(&mut self, mut armed: impl FnMut(&Told)) -> io::Result<Told> {
        let mut buffer = vec![0; 64 * 1024];
        let (mut have, head) = (Vec::new(), b"\r\n\r\n");
        let head = loop {
            if let Some(at) = have.windows(4).position(|window| window == head) {
                break at + 4;
            }
            let length = whole(self.read(&mut buffer)?)?;
            have.extend_from_slice(&buffer[..length]);
        };
        let mut body = Body::behind(&have[..head]);
        let mut told = Told::default();
        let taken = body.feed(&have[head..]);
        assert_eq!(head + taken, have.len(), "bytes behind the response");
        told.by_copy += taken as u64;
        self.client_side.write_all(&have)?;
        while !body.done {
            let length = self.step(&mut body, &mut told, &mut buffer, &mut armed)?;
            let taken = body.feed(&buffer[..length]);
            assert_eq!(taken, length, "bytes behind the response");
            told.by_copy += taken as u64;
            self.client_side.write_all(&buffer[..length])?;
        }
        Ok(told)
    }

    /// Arms, waits for bytes, and finds out what they are.
    fn step(
        &mut self,
        body: &mut Body,
        told: &mut Told,
        buffer: &mut [u8],
        then: &mut impl FnMut(&Told),
    ) -> io::Result<usize> {
        let order = if body.tail.is_none() {
            self.armable.arm(&self.client, &self.client_side, self.read, body.framing)
        } else {
            Err(Refusal::Framing)
        };
        then(told);
        let length = self.upstream.read(buffer);
        match order.map(|armed| armed.standing()) {
            Ok(Standing::HandedOver(end)) => {
                told.by_lane += end.progress.bytes;
                told.chunks += end.progress.chunks;
                told.reasons.push(end.reason);
                body.framing = end.framing;
                if end.reason == reason::DESYNC {
                    return Err(io::Error::other("bytes were lost"));
                }
            }
            Ok(Standing::Waiting) => told.late += 1,
            Ok(Standing::Riding(progress)) => {
                assert!(length.as_ref().map_or(true, |length| *length == 0), "bytes came while {progress:?}");
            }
            Err(refusal) => told.refused.push(refusal),
        }
        let length = whole(length?)?;
        self.read += length as u64;
        Ok(length)
    }
}

fn whole(length: usize) -> io::Result<usize> {
    if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(length) }
}

// === Body ===

impl Body {
    fn behind(head: &[u8]) -> Self {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length = length.and_then(|length| length.trim().parse().ok());
        let framing = length.map_or(Framing::chunked(), Framing::length);
        Self { framing, tail: None, size_line: false, done: length == Some(0) }
    }

    /// How many bytes belong to the body.
    fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.done {
            at += self.advance(&bytes[at..]);
        }
        at
    }

    fn advance(&mut self, bytes: &[u8]) -> usize {
        if self.framing.kind == kind::LENGTH {
            let taken = bytes.len().min(usize::try_from(self.framing.remaining).unwrap_or(usize::MAX));
            self.framing.remaining -= taken as u64;
            self.done = self.framing.remaining == 0;
            return taken;
        }
        if let Some(line) = self.tail {
            self.tail = Some(match bytes[0] {
                b'\n' if self.size_line => 0,
                b'\n' => {
                    self.done = line == 0;
                    0
                }
                b'\r' => line,
                _ => line + 1,
            });
            self.size_line &= bytes[0] != b'\n';
            return 1;
        }
        if self.framing.stage == stage::DATA {
            self.framing.mark = 0;
            let skipped = self.framing.unread(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            self.framing = self.framing.skip(skipped);
            return skipped as usize;
        }
        let before = self.framing;
        let (framing, turn) = before.read(bytes[0]);
        match turn {
            Turn::End => (self.tail, self.size_line) = (Some(0), true),
            Turn::Bad => panic!("bad framing at {before:?}: {}", bytes.escape_ascii()),
            Turn::On | Turn::Line | Turn::Failure => self.framing = framing,
        }
        1
    }
}
