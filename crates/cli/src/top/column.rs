//! What stands in which column of `top`, and what comes first by it. Pure.

use std::cmp::Ordering;

use clap::ValueEnum;
use warmlane_api::admin::Aged;

use super::{
    look::Look,
    row::{Row, illness},
};
use crate::{
    table::{Cell, Space},
    units,
    views::{endpoints, gpus},
};

/// Steps of the bar and the percentage behind.
const BAR: usize = 15;
/// Of a bar on a terminal narrower than this; on others columns that matter less give room before it does.
const SHORT_BAR: usize = 9;
const WIDE: usize = 100;
/// IPv4 with its port.
const ADDRESS: usize = 21;
/// On terminals narrower than this, the address gives room first: to so much, by width.
const NARROW: [(usize, usize); 2] = [(30, 10), (48, 15)];

/// What a replica can be shown and sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Column {
    /// By name
    Address,
    /// Those that get no requests
    Ready,
    /// Lowest score: 1 is idle and well, 0 is to be avoided
    Score,
    /// Most waiting
    Queue,
    /// Most running
    Running,
    /// Fullest KV cache
    Kv,
    /// Most requests of this router under way
    InFlight,
    /// Most requests a second from this router
    Rate,
    /// Oldest readings
    Age,
    /// Hottest GPU
    Gpu,
    /// Worst health, of replica or GPU
    Health,
    /// Those that the kernel lane carries
    Lane,
    /// Most adapters in use
    Lora,
    /// By node
    Node,
}

// === Column ===

impl Column {
    /// From left to right.
    pub(super) const ALL: [Self; 14] = [
        Self::Address,
        Self::Ready,
        Self::Score,
        Self::Queue,
        Self::Running,
        Self::Kv,
        Self::InFlight,
        Self::Rate,
        Self::Age,
        Self::Gpu,
        Self::Health,
        Self::Lane,
        Self::Lora,
        Self::Node,
    ];

    pub(super) const fn head(self) -> &'static str {
        match self {
            Self::Address => "ADDRESS",
            Self::Ready => "READY",
            Self::Score => "SCORE",
            Self::Queue => "QUEUE",
            Self::Running => "RUN",
            Self::Kv => "KV CACHE",
            Self::InFlight => "FLIGHT",
            Self::Rate => "REQ/S",
            Self::Age => "AGE",
            Self::Gpu => "GPU",
            Self::Health => "HEALTH",
            Self::Lane => "LANE",
            Self::Lora => "LORA",
            Self::Node => "NODE",
        }
    }

    /// Numbers stand at the right.
    pub(super) const fn is_right(self) -> bool {
        matches!(
            self,
            Self::Score | Self::Queue | Self::Running | Self::InFlight | Self::Rate | Self::Age | Self::Gpu
        )
    }

    /// What it would like and can do with. It depends on no row but by the longest address, so that columns stand still.
    pub(super) fn space(self, longest_address: usize, screen: usize) -> Space {
        let fixed = |width, rank| Space { width, least: width, rank };
        match self {
            Self::Address => {
                let width = longest_address.max(self.head().len());
                let narrow = NARROW.into_iter().find(|(below, _)| screen < *below);
                let least = narrow.map_or(ADDRESS, |(_, least)| least);
                Space { width, least: width.min(least), rank: 0 }
            }
            Self::Kv => Space { width: BAR, least: if screen < WIDE { SHORT_BAR } else { BAR }, rank: 1 },
            Self::Queue => fixed(5, 1),
            Self::Score => fixed(5, 2),
            Self::Ready => fixed(6, 2),
            Self::Running => fixed(5, 3),
            Self::InFlight => fixed(6, 3),
            Self::Rate => fixed(6, 4),
            Self::Age => fixed(6, 4),
            Self::Health => Space { width: 30, least: 14, rank: 4 },
            Self::Gpu => fixed(5, 5),
            Self::Lane => fixed(6, 6),
            Self::Node => Space { width: 16, least: 8, rank: 7 },
            Self::Lora => fixed(8, 8),
        }
    }

    /// What stands there; `width`: how much room there is.
    pub(super) fn cell(self, row: &Row, look: Look, width: usize) -> Cell {
        let (endpoint, signals) = (&row.endpoint, &row.endpoint.signals);
        let current = |reading| endpoints::current(endpoint, reading);
        match self {
            Self::Address => Cell::new(&endpoint.address),
            Self::Ready => endpoints::readiness(endpoint),
            Self::Score => Cell::maybe(row.score.map(|score| format!("{score:.2}"))),
            Self::Queue => Cell::maybe(endpoints::number(current(signals.queue))),
            Self::Running => Cell::maybe(endpoints::number(current(signals.running))),
            Self::Kv => endpoints::kv(current(signals.kv_use), |share| look.bar(share, width)),
            Self::InFlight => Cell::new(endpoint.in_flight.to_string()),
            Self::Rate => Cell::maybe(row.rate.map(rate)),
            Self::Age => endpoints::age(endpoint),
            Self::Gpu => row.gpu.as_ref().map_or_else(Cell::none, gpus::degrees),
            Self::Health => match &row.gpu {
                // The router says so too where it has heard of it; an agent may know it sooner.
                Some(gpu) if endpoint.health == "healthy" && illness(gpu) > 0 => gpus::verdict(&gpu.verdict),
                _ => endpoints::health(&endpoint.health),
            },
            Self::Lane => Cell::new(if row.on_lane { "kernel" } else { "copy" }),
            Self::Lora => Cell::maybe(signals.lora.as_ref().map(|lora| endpoints::counted(&lora.value))),
            Self::Node => Cell::maybe(endpoint.node.as_deref()),
        }
    }

    /// What comes first, mostly what somebody should look at; what is not known comes last, `reversed` or not.
    pub(super) fn compare(self, a: &Row, b: &Row, reversed: bool) -> Ordering {
        let order = match self {
            Self::Address => turned(a.endpoint.address.cmp(&b.endpoint.address), reversed),
            Self::Node => {
                let known = a.endpoint.node.is_none().cmp(&b.endpoint.node.is_none());
                known.then_with(|| turned(a.endpoint.node.cmp(&b.endpoint.node), reversed))
            }
            _ => {
                let (a, b) = (self.weight(a), self.weight(b));
                let known = a.is_none().cmp(&b.is_none());
                let most = b.unwrap_or_default().total_cmp(&a.unwrap_or_default());
                known.then_with(|| turned(most, reversed))
            }
        };
        order.then_with(|| a.endpoint.address.cmp(&b.endpoint.address))
    }

    /// The most of it comes first.
    fn weight(self, row: &Row) -> Option<f32> {
        let (endpoint, signals) = (&row.endpoint, &row.endpoint.signals);
        let current = |reading: Option<Aged<f32>>| Some(endpoints::current(endpoint, reading)?.value);
        match self {
            Self::Address | Self::Node => None,
            Self::Ready => Some(match (endpoint.ready, signals.awake.is_some_and(|awake| !awake.value)) {
                (false, _) => 2.0,
                (true, true) => 1.0,
                (true, false) => 0.0,
            }),
            Self::Score => row.score.map(|score| -score),
            Self::Queue => current(signals.queue),
            Self::Running => current(signals.running),
            Self::Kv => current(signals.kv_use),
            Self::InFlight => Some(endpoint.in_flight as f32),
            Self::Rate => row.rate,
            Self::Age => endpoints::oldest(endpoint).map(|age| age as f32),
            Self::Gpu => row.gpu.as_ref()?.temperature_celsius,
            Self::Health => {
                let of_card = row.gpu.as_ref().map_or(0, illness);
                Some(f32::from((endpoints::WELL - endpoints::illness(endpoint)).max(of_card)))
            }
            Self::Lane => Some(f32::from(u8::from(row.on_lane))),
            Self::Lora => signals.lora.as_ref().map(|lora| lora.value.active.len() as f32),
        }
    }

    /// The one so many columns further; the last is followed by the first.
    pub(super) fn beside(self, steps: isize) -> Self {
        let at = Self::ALL.iter().position(|column| *column == self).unwrap_or_default();
        Self::ALL[(at as isize + steps).rem_euclid(Self::ALL.len() as isize) as usize]
    }
}

fn turned(order: Ordering, reversed: bool) -> Ordering {
    if reversed { order.reverse() } else { order }
}

/// Requests a second.
pub(super) fn rate(rate: f32) -> String {
    if rate < 99.95 { format!("{rate:.1}") } else { units::count(rate.round() as u64) }
}
