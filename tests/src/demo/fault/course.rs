//! The order of events in a fault. Pure: time and what the router says come in, what happened comes out.
//!
//! ```text
//!   load --> struck --> out --> mended (--> last resort) --> well --> over
//! ```
//!
//! A step that does not come within its limit ends the course, and the reason stays with it.

use std::time::Duration;

use serde_json::Value;

/// From the fault until no request may be sent there. The agent hears of an XID at once and tells it at once.
pub(super) const LEAVING: Duration = Duration::from_secs(5);
/// From then until the card is reset.
const MENDING: Duration = Duration::from_secs(3);
/// From the reset until the replica is well: the minute that the agent waits (`health::CALM`), and room for a busy machine.
pub(super) const RETURNING: Duration = Duration::from_secs(75);
/// From then until it is sent a request. There is always one to send.
const SERVING: Duration = Duration::from_secs(10);

/// What the router says of the replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// In the router's words.
    pub(super) health: String,
    pub(super) ready: bool,
    /// Sent there since the router's start.
    pub(super) requests: u64,
    pub(super) in_flight: u64,
}

/// What happened, or is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// To be done: the fault.
    Strikes,
    /// The replica is no candidate any more.
    Left,
    /// To be done: the fault's end.
    IsMended,
    /// The router would use it for want of another.
    LastResort,
    /// It is a candidate like the others.
    IsWell,
    /// It was sent a request again.
    Serves,
    /// A step did not come.
    GivenUp(&'static str),
}

/// Where the course is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The load runs and nothing is wrong.
    Load,
    /// The fault is there and the router does not show it yet.
    Struck,
    /// The replica is out.
    Out,
    /// So it is, and the card was reset.
    Mended,
    /// The same, and it would be used for want of another.
    LastResort,
    /// It is a candidate again.
    Well,
    /// Nothing more is expected.
    Over,
}

/// See the module's header.
#[derive(Debug)]
pub(super) struct Course {
    /// Requests that end before the fault.
    due: u64,
    stage: Stage,
    /// When the stage began.
    since: Duration,
    struck: Option<Duration>,
    left: Option<Duration>,
    mended: Option<Duration>,
    well: Option<Duration>,
    /// Sent there when the router first showed it as out, and the most since.
    sent_before: u64,
    sent_since: u64,
    serves: bool,
    given_up: Option<&'static str>,
}

// === Seen ===

impl Seen {
    /// From `/debug/endpoints`; none where the page does not tell of this replica.
    pub(super) fn of(page: &[u8], replica: &str) -> Option<Self> {
        let page: Value = serde_json::from_slice(page).ok()?;
        let row = page["endpoints"].as_array()?.iter().find(|row| row["address"] == replica)?;
        Some(Self {
            health: row["health"].as_str()?.to_owned(),
            ready: row["ready"].as_bool()?,
            requests: row["requests"].as_u64()?,
            in_flight: row["in_flight"].as_u64()?,
        })
    }

    /// Whether no request may be sent there.
    fn is_out(&self) -> bool {
        !self.ready || self.health.starts_with("failed")
    }

    fn is_well(&self) -> bool {
        self.ready && self.health == "healthy"
    }
}

// === Course ===

impl Course {
    pub(super) fn new(due: u64) -> Self {
        Self {
            due,
            stage: Stage::Load,
            since: Duration::ZERO,
            struck: None,
            left: None,
            mended: None,
            well: None,
            sent_before: 0,
            sent_since: 0,
            serves: false,
            given_up: None,
        }
    }

    /// The next event, until there is none; `done` requests of the load have ended.
    pub(super) fn next(&mut self, now: Duration, done: u64, seen: &Seen) -> Option<Event> {
        // From the first look that shows it well, requests may go there again.
        if matches!(self.stage, Stage::Out | Stage::Mended | Stage::LastResort) && !seen.is_well() {
            self.sent_since = self.sent_since.max(seen.requests.saturating_sub(self.sent_before));
        }
        let waited = now.saturating_sub(self.since);
        let event = match self.stage {
            Stage::Load => (done >= self.due).then_some(Event::Strikes),
            Stage::Struck if seen.is_out() => Some(Event::Left),
            Stage::Struck => late(waited, LEAVING, "the router goes on sending requests there"),
            Stage::Out => (waited >= MENDING).then_some(Event::IsMended),
            Stage::Mended | Stage::LastResort if seen.is_well() => Some(Event::IsWell),
            Stage::Mended if !seen.is_out() => Some(Event::LastResort),
            Stage::Mended | Stage::LastResort => {
                let waited = now.saturating_sub(self.mended.unwrap_or(now));
                late(waited, RETURNING, "the replica does not come back")
            }
            Stage::Well if seen.requests > self.sent_before + self.sent_since => Some(Event::Serves),
            Stage::Well => late(waited, SERVING, "the replica is well and no request is sent there"),
            Stage::Over => None,
        }?;
        self.enter(event, now, seen);
        Some(event)
    }

    fn enter(&mut self, event: Event, now: Duration, seen: &Seen) {
        self.since = now;
        match event {
            Event::Strikes => (self.stage, self.struck) = (Stage::Struck, Some(now)),
            Event::Left => {
                (self.stage, self.left) = (Stage::Out, Some(now));
                self.sent_before = seen.requests;
            }
            Event::IsMended => (self.stage, self.mended) = (Stage::Mended, Some(now)),
            Event::LastResort => self.stage = Stage::LastResort,
            Event::IsWell => (self.stage, self.well) = (Stage::Well, Some(now)),
            Event::Serves => (self.stage, self.serves) = (Stage::Over, true),
            Event::GivenUp(what) => (self.stage, self.given_up) = (Stage::Over, Some(what)),
        }
    }

    /// From the fault until the replica was out.
    pub(super) fn leaving(&self) -> Option<Duration> {
        Some(self.left? - self.struck?)
    }

    /// From the reset until the replica was well.
    pub(super) fn returning(&self) -> Option<Duration> {
        Some(self.well? - self.mended?)
    }

    /// Requests sent there while it was out or a last resort.
    pub(super) fn sent_meanwhile(&self) -> Option<u64> {
        self.left.map(|_| self.sent_since)
    }

    /// Whether it was sent requests again.
    pub(super) fn serves(&self) -> bool {
        self.serves
    }

    /// The step that did not come.
    pub(super) fn given_up(&self) -> Option<&'static str> {
        self.given_up
    }
}

fn late(waited: Duration, limit: Duration, what: &'static str) -> Option<Event> {
    (waited > limit).then_some(Event::GivenUp(what))
}

#[cfg(test)]
mod tests;
