//! KV events over ZMQ, as vLLM publishes them: a PUB socket tells what happens in the prefix cache, a ROUTER socket on
//! the next port tells again what it told.
//!
//! A frame is `[topic, sequence number, payload]`; each engine step that changes the cache makes one. Nothing here
//! waits for a subscriber: who does not read loses frames, finds the gap in the numbers and asks for a replay.
//!
//! Bounds: the last [`frames::KEPT`] frames are kept, each of a size that one step's token budget limits (5 bytes a
//! token). The sockets queue at most 100,000 frames per peer, as vLLM does; queued frames share the payload.
//!
//! The sockets speak ZMTP 3.0: a peer that is set to send heartbeats is dropped by them.

mod encode;
mod frames;
mod guard;
mod replay;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    ops::Range,
    rc::Rc,
    str::FromStr,
};

use tokio::task::JoinSet;
use zeromq::{PubSocket, RouterSocket, Socket, SocketSend};

pub(super) use self::frames::Frames;
use super::listen;
use crate::error::Error;

/// Where a free pair of ports is looked for, at random: below the ports that Linux gives to connections. There the port
/// after a free one is taken most of the time once some thousands of connections were made, as closed ones keep theirs
/// for a minute.
const FREE: Range<u16> = 16_384..32_767;
/// How often it is looked for.
const TRIES: u32 = 64;

/// Where and how KV events are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvEvents {
    /// Where to publish; replays are on the next port. Port 0 takes a free pair.
    pub listen: SocketAddr,
    /// How events are written.
    pub format: KvFormat,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvFormat {
    /// As a map of named fields: vLLM 0.32.
    Map,
    /// As an array: vLLM 0.17.
    Array,
}

/// Both ports, bound and not yet served.
#[derive(Debug)]
pub(super) struct Ports {
    publish: TcpListener,
    replay: TcpListener,
    /// Where events are published.
    pub(super) address: SocketAddr,
}

// === KvFormat ===

impl FromStr for KvFormat {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "map" => Ok(Self::Map),
            "array" => Ok(Self::Array),
            _ => Err("known formats are map (vLLM 0.32) and array (vLLM 0.17)"),
        }
    }
}

// === Ports ===

impl Ports {
    /// Binds `address` and the port after it; any two free ones if its port is 0.
    pub(super) fn bind(address: SocketAddr) -> Result<Self, Error> {
        if address.port() != 0 {
            return Self::pair(address);
        }
        let anywhere = || Self::pair(SocketAddr::new(address.ip(), fastrand::u16(FREE)));
        (1..TRIES).fold(anywhere(), |tried, _| tried.or_else(|_| anywhere()))
    }

    fn pair(address: SocketAddr) -> Result<Self, Error> {
        let (publish, address) = listen(address)?;
        let mut next = address;
        let port = address.port().checked_add(1).ok_or(Error::Setting {
            setting: "kv-events",
            reason: "must leave a port after it for replays: take 65534 or less".to_owned(),
        })?;
        next.set_port(port);
        let (replay, _) = listen(next)?;
        Ok(Self { publish, replay, address })
    }

    /// Serves both ports, until the tasks are dropped.
    pub(super) async fn open(self, frames: Rc<Frames>) -> Result<JoinSet<()>, Error> {
        let (mut publish, mut replay) = (PubSocket::new(), RouterSocket::new());
        let mut tasks = JoinSet::new();
        tasks.spawn_local(guard::serve(from_std(self.publish)?, inside(&mut publish).await?));
        tasks.spawn_local(guard::serve(from_std(self.replay)?, inside(&mut replay).await?));
        tasks.spawn_local(self::publish(publish, Rc::clone(&frames)));
        tasks.spawn_local(replay::serve(replay, frames));
        Ok(tasks)
    }
}

fn from_std(listener: TcpListener) -> Result<tokio::net::TcpListener, Error> {
    tokio::net::TcpListener::from_std(listener).map_err(Error::Start)
}

/// Binds a socket where only its guard looks for it.
async fn inside(socket: &mut impl Socket) -> Result<SocketAddr, Error> {
    let (listener, address) = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let bound = socket.bind_listener(listener).await;
    bound.map_err(|error| Error::Start(io::Error::other(error)))?;
    Ok(address)
}

/// Publishes each frame once.
async fn publish(mut socket: PubSocket, frames: Rc<Frames>) {
    let mut next = 0;
    loop {
        while let Some(frame) = frames.first_from(next) {
            next = frame.number + 1;
            // It is dropped where nobody subscribes or somebody is slow; other errors the socket does not have.
            let _ = socket.send(frame.message()).await;
        }
        frames.more().await;
    }
}
