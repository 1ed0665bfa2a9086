//! Ways in which an engine misbehaves on purpose, switched on by flag, by handle, or by `POST /sim/fault`.
//!
//! What real engines were seen to do: hang when terminated, answer 500 while `/health` is 200, end a 200 stream with an
//! error, look idle while asleep. Some faults strike a share of the requests that generate text, others the
//! whole replica.

use std::{fmt, rc::Rc, str::FromStr};

use socket2::Socket;

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Reads the request and never answers.
    Hang,
    /// Begins its answer and falls silent.
    HangMidStream,
    /// Resets the connection instead of answering.
    Reset,
    /// Resets the connection within its answer.
    ResetMidStream,
    /// Closes the connection properly within its answer.
    CloseMidBody,
    /// Announces a longer body than it sends. A stream has no length: it is closed within.
    WrongLength,
    /// 500, as a replica that is shutting down, while `/health` is 200.
    Shutdown,
    /// 503.
    Busy,
    /// An error event for the first one of a 200 stream, then its end; 500 where nothing is streamed.
    ErrorEvent,
    /// The same in the middle of a stream.
    ErrorMidStream,
    /// Each event a twentieth of a second late, a whole answer a second.
    Slow,
    /// The metrics page is no page.
    GarbageMetrics,
    /// The metrics page stays as it was.
    StaleMetrics,
    /// The metrics page never comes.
    NoMetrics,
    /// Sleeps: load and KV use are 0, `/health` is 200, requests hang.
    Asleep,
    /// Takes no new connections; those there are go on.
    Refuse,
}

/// What is switched on.
#[derive(Clone, Debug, PartialEq)]
pub struct Troubles {
    /// Which of them.
    pub modes: Vec<Mode>,
    /// Share of requests that are struck, 0 to 1.
    pub share: f64,
}

/// A connection, to be reset when the answer on it is to end so.
#[derive(Debug)]
pub(super) struct Line(Option<Socket>);

/// How an answer is cut.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// By silence.
    Hang,
    /// By a proper close.
    Close,
    /// By a reset.
    Reset(Rc<Line>),
}

/// The connection must end here.
#[derive(Debug, thiserror::Error)]
#[error("the answer ends here on purpose")]
pub(super) struct Cut;

// === Mode ===

impl Mode {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Hang,
        Self::HangMidStream,
        Self::Reset,
        Self::ResetMidStream,
        Self::CloseMidBody,
        Self::WrongLength,
        Self::Shutdown,
        Self::Busy,
        Self::ErrorEvent,
        Self::ErrorMidStream,
        Self::Slow,
        Self::GarbageMetrics,
        Self::StaleMetrics,
        Self::NoMetrics,
        Self::Asleep,
        Self::Refuse,
    ];

    /// Its name for flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hang => "hang",
            Self::HangMidStream => "hang-mid-stream",
            Self::Reset => "reset",
            Self::ResetMidStream => "reset-mid-stream",
            Self::CloseMidBody => "close-mid-body",
            Self::WrongLength => "wrong-length",
            Self::Shutdown => "error-500-on-shutdown",
            Self::Busy => "error-503",
            Self::ErrorEvent => "error-event",
            Self::ErrorMidStream => "error-mid-stream",
            Self::Slow => "slow",
            Self::GarbageMetrics => "garbage-metrics",
            Self::StaleMetrics => "stale-metrics",
            Self::NoMetrics => "no-metrics",
            Self::Asleep => "asleep",
            Self::Refuse => "refuse",
        }
    }

    /// Whether it strikes single requests, not the replica.
    const fn strikes_requests(self) -> bool {
        match self {
            Self::GarbageMetrics | Self::StaleMetrics | Self::NoMetrics | Self::Asleep | Self::Refuse => {
                false
            }
            Self::Hang
            | Self::HangMidStream
            | Self::Reset
            | Self::ResetMidStream
            | Self::CloseMidBody
            | Self::WrongLength
            | Self::Shutdown
            | Self::Busy
            | Self::ErrorEvent
            | Self::ErrorMidStream
            | Self::Slow => true,
        }
    }

    /// How it cuts an answer that has begun.
    pub(super) fn cut(self, line: &Rc<Line>) -> Option<End> {
        match self {
            Self::HangMidStream => Some(End::Hang),
            Self::ResetMidStream => Some(End::Reset(line.clone())),
            Self::CloseMidBody | Self::WrongLength => Some(End::Close),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|mode| mode.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("no fault is called {name:?}; there are {names}")
        })
    }
}

// === Troubles ===

impl Troubles {
    /// None at all.
    pub fn none() -> Self {
        Self { modes: Vec::new(), share: 1.0 }
    }

    /// One fault for every request.
    pub fn always(mode: Mode) -> Self {
        Self { modes: vec![mode], share: 1.0 }
    }

    /// Whether one is switched on.
    pub(super) fn has(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    /// What strikes the next request.
    pub(super) fn strike(&self, rng: &mut fastrand::Rng) -> Option<Mode> {
        let modes: Vec<Mode> = self.modes.iter().copied().filter(|mode| mode.strikes_requests()).collect();
        if modes.is_empty() || rng.f64() >= self.share {
            return None;
        }
        rng.choice(modes)
    }
}

// === Line ===

impl Line {
    /// The line of a connection.
    pub(super) fn of(stream: &tokio::net::TcpStream) -> Self {
        // Without it, out of descriptors, a reset is a close.
        Self(socket2::SockRef::from(stream).try_clone().ok())
    }

    /// Makes the close of the connection a reset.
    pub(super) fn reset(&self) {
        if let Some(socket) = &self.0 {
            let _ = socket.set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_unknown_ones_are_told_the_valid_ones() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        let told = "hung".parse::<Mode>().unwrap_err();
        assert!(told.contains("\"hung\"") && told.contains("hang-mid-stream"), "{told}");
    }

    #[test]
    fn the_share_of_requests_is_struck_and_no_request_by_what_strikes_replicas() {
        let mut rng = fastrand::Rng::with_seed(1);
        let troubles = Troubles { modes: vec![Mode::Hang, Mode::Busy, Mode::Asleep], share: 0.25 };
        let struck: Vec<Mode> = (0..4_000).filter_map(|_| troubles.strike(&mut rng)).collect();
        assert!((900..1_100).contains(&struck.len()), "{}", struck.len());
        assert!(
            struck.contains(&Mode::Hang) && struck.contains(&Mode::Busy) && !struck.contains(&Mode::Asleep)
        );
    }
}
