//! The kernel lane: responses of pods on this node go from the pod's socket to the client's connection inside the
//! kernel, and the router is woken at the head and at the end of each, not for every token. Those of pods on other nodes may, where that
//! is asked for, from the router's own socket.
//!
//! The only place that names aya, and the only one in the router with `unsafe`. The kernel's side is `router-ebpf`,
//! what both agree on is `warmlane-abi`.
//!
//! How a response takes the lane:
//! 1. a socket is [announced](Lane::announce) before it connects to a pod, and the ports that clients connect to are
//!    [made known](Lane::serve) before clients come;
//! 2. once the pod has answered, its connection is an [`Upstream`], and the client's a [`Client`];
//! 3. the router writes the head, and all that came with it, to the client and [orders](Upstream::arm) the rest, saying how much it
//!    has read from the connection in all and where the body stands;
//! 4. it waits for bytes on the upstream as for any others, and never writes to the client meanwhile. When some were read, [`Armed::standing`] tells
//!    what they are: either the first that the kernel left, and it goes on from the [`Framing`] it is given, or, if the order came too
//!    late to be taken up, just the next ones.
//!
//! A pod on another node takes three things more, which do no harm for others:
//! - its connections are announced as [`Side::Remote`];
//! - packets that are redirected are sent by a worker of the kernel, later: nothing may be written to the client, and it may not be
//!   closed, before [`HandOver::settled`] says so;
//! - its packets still wake the router: who waits for bytes at the upstream is woken by each that is redirected, without any
//!   being there, and who also waits for room, as event loops do, gets an event each time (202 for 200 packets on Linux 6.18). To live with
//!   that costs the router about half of what copying does. Who waits for `EPOLLRDHUP` alone sleeps, but is not woken by a
//!   hand-over either, and so must look for it in between. A plain blocking read fails each time, with `EAGAIN`.
//!
//! Whatever fails, the response goes by copy from the byte at which it failed. But for one case: [`reason::DESYNC`] says that
//! bytes were lost, and the client must see the response break off.

mod btf;
mod cgroup;
mod client;
mod counts;
mod error;
mod lane;
mod memory;
mod object;
mod self_test;
mod settled;
mod slots;
mod socket;
mod upstream;

pub use cgroup::Cgroup;
pub use client::Client;
pub use counts::Counts;
pub use error::{LoadError, Refusal, SelfTestError};
pub use lane::{Lane, Settings};
pub use object::is_loaded;
pub use settled::Settled;
pub use upstream::{Armed, HandOver, Progress, Side, Standing, Upstream};
pub use warmlane_abi::{Framing, Turn, count, kind, reason, stage};
