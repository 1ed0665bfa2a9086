//! One exchange over loopback, of which the middle takes the lane.
//!
//! A kernel may load and attach everything and still do otherwise than is needed: this is what shows it.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use super::{
    Client, Counts, Framing, HandOver, Lane, Refusal, SelfTestError, Settled, Side, Standing, Upstream,
    reason,
};

/// Long for loopback, short for a start.
const PATIENCE: Duration = Duration::from_secs(2);

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const CHUNKS: &[u8] = b"5\r\nwarm \r\n4;x=y\r\nlane\r\n";
const TAIL: &[u8] = b"0\r\n\r\n";

/// The part of an exchange that is tried.
#[derive(Clone, Copy)]
struct Trial<'l> {
    lane: &'l Arc<Lane>,
    side: Side,
}

/// Both connections of an exchange, with all four ends here.
struct Exchange {
    pod: TcpStream,
    upstream: TcpStream,
    client_side: TcpStream,
    client: TcpStream,
}

/// What is undone after it.
struct Served<'l> {
    lane: &'l Lane,
    front: u16,
}

/// Tries the lane over IPv4, and over IPv6 where the machine has it.
pub(super) fn run(lane: &Arc<Lane>) -> Result<(), SelfTestError> {
    Trial { lane, side: Side::Local }.run()
}

/// The same with a pod that is not looked for on this node.
pub(super) fn run_remote(lane: &Arc<Lane>) -> Result<(), SelfTestError> {
    Trial { lane, side: Side::Remote }.run()
}

// === Trial ===

impl Trial<'_> {
    fn run(self) -> Result<(), SelfTestError> {
        self.exchange((Ipv4Addr::LOCALHOST, 0).into())?;
        let v6 = (Ipv6Addr::LOCALHOST, 0).into();
        if TcpListener::bind::<SocketAddr>(v6).is_ok() { self.exchange(v6) } else { Ok(()) }
    }

    fn exchange(self, any: SocketAddr) -> Result<(), SelfTestError> {
        let (mut exchange, _served) = Exchange::open(self, any).map_err(at("opening connections"))?;
        exchange.ask().map_err(at("the request and the response's head"))?;
        let refused = |step| move |refusal: Refusal| failed(step, refusal.to_string());
        let client = self.lane.client(&exchange.client_side).map_err(refused("the client's connection"))?;
        match self.lane.upstream(&exchange.upstream) {
            // The machine is short of memory, which passes, and is no fault of the kernel's.
            Err(Refusal::Left) => Ok(()),
            upstream => exchange.ride(&mut upstream.map_err(refused("the pod's connection"))?, &client),
        }
    }
}

// === Exchange ===

impl Exchange {
    fn open(trial: Trial<'_>, any: SocketAddr) -> io::Result<(Self, Served<'_>)> {
        let lane = trial.lane;
        let (pods, front) = (TcpListener::bind(any)?, TcpListener::bind(any)?);
        let served = Served { lane, front: front.local_addr()?.port() };
        let socket = Socket::new(Domain::for_address(any), Type::STREAM, None)?;
        if !lane.announce(&socket, trial.side) || !lane.serve(served.front) {
            return Err(io::Error::other("the maps take no entry"));
        }
        let client = TcpStream::connect_timeout(&front.local_addr()?, PATIENCE)?;
        let (client_side, _) = front.accept()?;
        socket.connect_timeout(&pods.local_addr()?.into(), PATIENCE)?;
        let upstream = TcpStream::from(socket);
        let (pod, _) = pods.accept()?;
        for stream in [&client, &client_side, &upstream, &pod] {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
        }
        Ok((Self { pod, upstream, client_side, client }, served))
    }

    /// The response's head goes by copy, as always.
    fn ask(&mut self) -> io::Result<()> {
        self.pod.write_all(HEAD)?;
        let mut head = [0; HEAD.len()];
        self.upstream.read_exact(&mut head)?;
        self.client_side.write_all(&head)
    }

    /// All chunks take the lane, and the tail does not.
    fn ride(&mut self, upstream: &mut Upstream, client: &Client) -> Result<(), SelfTestError> {
        let (first, second) = CHUNKS.split_at(13);
        let end = [second, TAIL].concat();
        // A message is parted where the end is, a packet would go to the router whole.
        let pieces: &[&[u8]] = match upstream.side() {
            Side::Local => &[first, &end],
            Side::Remote => &[first, second, TAIL],
        };
        let armed = upstream.arm(client, &self.client_side, HEAD.len() as u64, Framing::chunked());
        let armed = armed.map_err(|refusal| failed("giving the order", refusal.to_string()))?;
        for piece in pieces {
            self.pod.write_all(piece).map_err(at("the pod's sending"))?;
        }
        let mut tail = [0; 64];
        let length = self.read(&mut tail).map_err(at("reading the response's end"))?;
        let standing = armed.standing();
        let end = match standing {
            // As above.
            Standing::HandedOver(end) if end.is_short() => return Ok(()),
            Standing::HandedOver(end) => end,
            Standing::Waiting => return Err(failed("the hand-over", "no program took it up".into())),
            Standing::Riding(_) => return Err(failed("the hand-over", "the end was not handed over".into())),
        };
        let whole = end.reason == reason::END
            && end.progress.bytes == CHUNKS.len() as u64
            && end.progress.chunks == 2;
        if !whole || &tail[..length] != TAIL {
            let why = Counts::reason(end.reason);
            let (bytes, next) = (end.progress.bytes, tail[..length].escape_ascii());
            return Err(failed("the hand-over", format!("`{why}` behind {bytes} bytes, and then {next}")));
        }
        drop(armed);
        self.wait_for(&end)?;
        self.client_side.write_all(TAIL).map_err(at("writing the response's end"))?;
        let expected = [HEAD, CHUNKS, TAIL].concat();
        let mut got = vec![0; expected.len()];
        self.client.read_exact(&mut got).map_err(at("the client's reading"))?;
        if got == expected { Ok(()) } else { Err(failed("the order", got.escape_ascii().to_string())) }
    }

    /// A read that waits is told to try again with each packet that is redirected meanwhile.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            match self.upstream.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && began.elapsed() < PATIENCE => {}
                other => return other,
            }
        }
    }

    /// Until the client's socket has all that was redirected to it.
    fn wait_for(&self, end: &HandOver) -> Result<(), SelfTestError> {
        let began = Instant::now();
        loop {
            match end.settled(&self.client_side) {
                Settled::Yes => return Ok(()),
                Settled::NotYet if began.elapsed() < PATIENCE => thread::sleep(Settled::LOOK_AGAIN),
                other => return Err(failed("waiting for what was redirected", format!("{other:?}"))),
            }
        }
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.lane.leave(self.front);
    }
}

fn at(step: &'static str) -> impl Fn(io::Error) -> SelfTestError {
    move |error| failed(step, error.to_string())
}

fn failed(step: &'static str, why: String) -> SelfTestError {
    SelfTestError { step, why }
}
