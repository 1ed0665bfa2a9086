//! The kernel lane between four sockets that are all here: the pod's, the router's two, the client's; and the router's side
//! of a response in its plainest form.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Instant,
};

use socket2::{Domain, Socket, Type};
use warmlane_router::kernel::{
    Armed, Client, Framing, Lane, Refusal, Settings, Settled, Side, Standing, Upstream,
};

use crate::PATIENCE;

mod body;

use body::Body;

/// A lane, and listeners whose connections may take it.
#[derive(Debug)]
pub struct Laid {
    /// The lane.
    pub lane: Arc<Lane>,
    side: Side,
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

/// A router's connection to a pod, announced as one that may take part at this side.
///
/// # Panics
/// Where nobody listens there.
pub fn dial(lane: &Lane, side: Side, pod: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(pod), Type::STREAM, None).expect("there are sockets");
    assert!(lane.announce(&socket, side), "there is no room");
    socket.connect(&pod.into()).expect("it listens");
    socket.into()
}

/// What a variable says, if it is there and a number.
pub fn given(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
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

    /// Lays one over an address of this machine whose pods count as those of other nodes.
    ///
    /// # Panics
    /// As [`Self::over`].
    pub fn remote(address: impl Into<IpAddr>) -> Self {
        Self::with(address, |settings| settings.remote = true)
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
        let side = if settings.remote { Side::Remote } else { Side::Local };
        let laid = Self { lane, side, pods: listen(), front: listen(), dialling: Mutex::default() };
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
        self.connect_from(|front| TcpStream::connect(front).expect("it listens"))
    }

    /// A new exchange with a client that connects so.
    ///
    /// # Panics
    /// As [`Self::connect`].
    pub fn connect_from(&self, client: impl FnOnce(SocketAddr) -> TcpStream) -> Ends {
        let accept = |at: &TcpListener| at.accept().expect("it was dialled").0;
        let dialling = self.dialling.lock().unwrap_or_else(PoisonError::into_inner);
        let client = client(self.front_address());
        let client_side = accept(&self.front);
        let upstream = dial(&self.lane, self.side, self.pod_address());
        let pod = accept(&self.pods);
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
        let length = read(&mut self.upstream, bytes)?;
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
        let length = read(&mut self.upstream, buffer);
        let client_side = &self.client_side;
        match order.as_ref().map(Armed::standing) {
            Ok(Standing::HandedOver(end)) => {
                told.by_lane += end.progress.bytes;
                told.chunks += end.progress.chunks;
                told.reasons.push(end.reason);
                body.framing = end.framing;
                if end.is_lossy() {
                    return Err(io::Error::other("bytes were lost"));
                }
                settle(|| end.settled(client_side))?;
            }
            Ok(Standing::Waiting) => told.late += 1,
            Ok(Standing::Riding(progress)) => {
                assert!(length.as_ref().map_or(true, |length| *length == 0), "bytes came while {progress:?}");
                let armed = order.as_ref().expect("it stands");
                settle(|| armed.settled(client_side))?;
            }
            Err(refusal) => told.refused.push(*refusal),
        }
        drop(order);
        let length = whole(length?)?;
        self.read += length as u64;
        Ok(length)
    }
}

/// Reads as event loops do. A plain read that waits is told to try again with each packet that is redirected.
fn read(upstream: &mut TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
    let began = Instant::now();
    loop {
        match upstream.read(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && began.elapsed() < PATIENCE => {}
            other => return other,
        }
    }
}

/// Until the client's socket has all that was redirected to it. Fails where others' bytes are among it.
fn settle(look: impl Fn() -> Settled) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match look() {
            Settled::Yes => return Ok(()),
            Settled::NotYet if began.elapsed() < PATIENCE => thread::sleep(Settled::LOOK_AGAIN),
            other => return Err(io::Error::other(format!("{other:?}"))),
        }
    }
}

fn whole(length: usize) -> io::Result<usize> {
    if length == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(length) }
}
