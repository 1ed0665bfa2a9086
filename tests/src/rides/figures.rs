//! What is measured of each contender, and what the lane's figures are held against.

use std::fmt::{self, Display, Formatter};

use super::{
    memory::Make,
    paced,
    pod::Place,
    router::Kind::{self, Copy, Lane, Nginx},
    short,
};
use crate::proxy::{bars::Bar, figures};

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Of a token, by where the pod is and the number of streams.
    Paced(Place, usize, Side),
    /// Of a response, by how clients connect and its tokens.
    Short(Clients, usize, Side),
    /// Of an event, by its bytes.
    Bulk(usize, Side),
    /// Of clients that do not read, by their pod's make and their number.
    Memory(Make, usize, Side),
}

/// Which figure of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// CPU microseconds of router, pod, clients and the kernel's workers together.
    All,
    /// CPU microseconds of the router's process.
    Router,
    /// The same of the pod's thread.
    Pod,
    /// The same of the clients' thread.
    Clients,
    /// The same of the kernel's workers.
    Kernel,
    /// Times that a thread of the router was woken.
    WakeUps,
    /// Microseconds from the pod to the client, by percentile.
    Delay(u8),
    /// Events in a second.
    Rate,
    /// Per cent of all bytes that took the lane.
    Share,
    /// KB of the kernel's TCP memory.
    Held,
    /// Per cent of what the machine allows all sockets.
    OfLimit,
    /// Per cent of a core that a pod takes while nobody reads.
    Blocked,
    /// Seconds until all clients have read what they are to read.
    Caught,
    /// Clients that were cut, or got other bytes than were sent.
    Failed,
}

/// How clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Clients {
    /// Once, for all their requests.
    Kept,
    /// For each request.
    New,
}

pub(super) type Figures = figures::Figures<What, Kind>;

/// CPU of all for a token, as a share of the copy's. The experiment before the product had 0.65 to 0.70.
const ALL_LIMIT: f64 = 0.75;
/// CPU of the router for a token, as a share of the copy's.
const ROUTER_LIMIT: f64 = 0.05;
/// The slowest hundredth of all tokens, as a share of the copy's.
const DELAY_LIMIT: f64 = 0.9;
/// The router's copy beside nginx: the most that a round of `bench proxy` had where the median was 1.00.
const COPY_LIMIT: f64 = 1.1;
/// Below so many tokens the router copies, which must be where the copy costs less: `WORTH` in `path/relay/ride.rs`.
const WORTH: f64 = 8.0;
/// TCP memory of a stream that nobody reads, as a share of the copy's.
const HELD_LIMIT: f64 = 1.25;
/// Per cent of a core for a pod whose streams nobody reads: it answers its router's readings and does nothing else.
const BLOCKED_LIMIT: f64 = 5.0;

// === What ===

impl Display for What {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (side, each) = match self {
            Self::Paced(place, streams, side) => {
                write!(f, "{place}, {streams} streams: ")?;
                (side, "chunk")
            }
            Self::Short(clients, tokens, side) => {
                write!(f, "{tokens} tokens, {clients}: ")?;
                (side, "response")
            }
            Self::Bulk(size, side) => {
                write!(f, "full speed, {size} B: ")?;
                (side, "event")
            }
            Self::Memory(make, clients, side) => {
                write!(f, "{clients} unread, {make}: ")?;
                (side, "stream")
            }
        };
        write!(f, "{side}")?;
        if side.is_of_each() { write!(f, " per {each}") } else { Ok(()) }
    }
}

impl Side {
    /// It is a sum that is told by the chunk, or by what else there is many of.
    fn is_of_each(self) -> bool {
        matches!(
            self,
            Self::All | Self::Router | Self::Pod | Self::Clients | Self::Kernel | Self::WakeUps | Self::Held
        )
    }
}

impl Display for Side {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "CPU us of all",
            Self::Router => "CPU us of the router",
            Self::Pod => "CPU us of the pod",
            Self::Clients => "CPU us of clients",
            Self::Kernel => "CPU us of the kernel's workers",
            Self::WakeUps => "wake-ups of the router",
            Self::Delay(percentile) => return write!(f, "delay p{percentile}, us"),
            Self::Rate => "events/s",
            Self::Share => "% of bytes by the lane",
            Self::Held => "TCP memory in KB",
            Self::OfLimit => "TCP memory, % of tcp_mem",
            Self::Blocked => "CPU of the blocked pod, % of a core",
            Self::Caught => "seconds to read on",
            Self::Failed => "clients cut or with other bytes",
        })
    }
}

impl Display for Clients {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept connections",
            Self::New => "new connections",
        })
    }
}

impl Clients {
    pub(super) const ALL: [Self; 2] = [Self::Kept, Self::New];
}

/// The lane's figures and their limits, of what was measured.
pub(super) fn bars(figures: &Figures) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut ratio = |what: What, kind: Kind, to: Kind, limit| {
        if let Some(ratio) = figures.ratio(what, kind, to) {
            bars.push(Bar::ratio(format!("{what}, {kind} / {to}"), Some(ratio), limit));
        }
    };
    // Pods on other nodes ride only where that is asked for, whatever it costs: their figures are told.
    for place in [Place::Loopback, Place::Veth] {
        for streams in paced::STREAMS {
            for (side, limit) in
                [(Side::All, ALL_LIMIT), (Side::Router, ROUTER_LIMIT), (Side::Delay(99), DELAY_LIMIT)]
            {
                ratio(What::Paced(place, streams, side), Lane, Copy, limit);
            }
            ratio(What::Paced(place, streams, Side::Router), Copy, Nginx, COPY_LIMIT);
        }
    }
    bars.extend(figures.measured().into_iter().filter_map(|what| unread(figures, what)));
    bars.extend(worth(figures));
    bars
}

/// The limit for a figure of clients that do not read, if it has one.
fn unread(figures: &Figures, what: What) -> Option<Bar> {
    let at_most = |limit| Some(Bar::at_most(what.to_string(), Some(figures.highest(what, Lane)?), limit));
    match what {
        What::Memory(_, _, Side::Held) => {
            let ratio = figures.ratio(what, Lane, Copy)?;
            Some(Bar::ratio(format!("{what}, {Lane} / {Copy}"), Some(ratio), HELD_LIMIT))
        }
        What::Memory(_, _, Side::Blocked) => at_most(BLOCKED_LIMIT),
        What::Memory(_, _, Side::Failed) => at_most(0.0),
        _ => None,
    }
}

/// From how many tokens on the lane is worth its order.
fn worth(figures: &Figures) -> Vec<Bar> {
    let mut bars = Vec::new();
    for clients in Clients::ALL {
        for side in [Side::All, Side::Router] {
            let ratio = |tokens| figures.ratio(What::Short(clients, tokens, side), Lane, Copy);
            let ratios = short::TOKENS.map(|tokens| Some((tokens, ratio(tokens)?.median)));
            let ratios: Vec<_> = ratios.into_iter().flatten().collect();
            if !ratios.is_empty() {
                let what = format!("tokens from which the lane costs less, {clients}, {side}");
                bars.push(Bar::at_most(what, even(&ratios).map(|tokens| tokens as f64), WORTH));
            }
        }
    }
    bars
}

/// The fewest tokens from which on the lane never costs more than the copy.
fn even(ratios: &[(usize, f64)]) -> Option<usize> {
    ratios.iter().rev().take_while(|(_, ratio)| *ratio <= 1.0).last().map(|(tokens, _)| *tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_is_even_from_where_it_stays_below_the_copy() {
        assert_eq!(even(&[(1, 0.9), (2, 1.2), (4, 1.0), (8, 0.7)]), Some(4));
        assert_eq!(even(&[(1, 0.9), (2, 0.8)]), Some(1));
        assert_eq!(even(&[(1, 0.9), (2, 1.1)]), None);
    }

    #[test]
    fn only_what_was_measured_has_bars() {
        let mut figures = Figures::default();
        assert!(bars(&figures).is_empty());
        let what = What::Paced(Place::Veth, 500, Side::All);
        figures.add(what, Lane, 3.0);
        figures.add(what, Copy, 4.0);
        let json = serde_json::to_value(bars(&figures)).unwrap();
        assert_eq!(json.as_array().map(Vec::len), Some(1), "{json}");
        assert_eq!((&json[0]["value"], &json[0]["holds"]), (&0.75.into(), &true.into()));
    }
}
