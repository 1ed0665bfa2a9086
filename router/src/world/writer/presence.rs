//! Whether an endpoint is there.
//!
//! One success makes it ready. A refused connection makes it not ready at once; anything less certain
//! (a timeout, a broken connection) only when it happens [`PATIENCE`] times in a row, since a busy engine can
//! be late once.

use warmlane_picker::{Stuck, Time};

use super::Failure;

/// Uncertain failures in a row that make an endpoint not ready.
const PATIENCE: u8 = 3;

/// See the module's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Presence {
    /// Not heard of yet.
    #[default]
    Unheard,
    /// It answers.
    Ready,
    /// It answered, and failed this many times since.
    Doubted(u8),
    /// It does not answer.
    Down(Failure),
}

/// A change of what others should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Up,
    Down,
}

// === Presence ===

impl Presence {
    pub(super) fn is_ready(self) -> bool {
        matches!(self, Self::Ready | Self::Doubted(_))
    }

    pub(super) fn answered(&mut self) -> Option<Turn> {
        let was_ready = self.is_ready();
        *self = Self::Ready;
        (!was_ready).then_some(Turn::Up)
    }

    pub(super) fn failed(&mut self, why: Failure) -> Option<Turn> {
        let failures = match *self {
            Self::Unheard | Self::Ready => 1,
            Self::Doubted(failures) => failures + 1,
            Self::Down(_) => PATIENCE,
        };
        // An endpoint that never answered has nothing to lose: its first failure is worth telling.
        if !why.is_final() && failures < PATIENCE && *self != Self::Unheard {
            *self = Self::Doubted(failures);
            return None;
        }
        let was = std::mem::replace(self, Self::Down(why));
        (was != *self).then_some(Turn::Down)
    }

    /// Whether it is down for saying nothing at all, since it was last heard. What refuses has told everybody who is connected
    /// to it, too.
    pub(super) fn stuck(self, since: Time) -> Option<Stuck> {
        match self {
            Self::Down(Failure::TimedOut | Failure::NoRoute) => Some(Stuck::Silent { since }),
            Self::Down(Failure::Mute) => Some(Stuck::Mute { since }),
            Self::Down(_) | Self::Unheard | Self::Ready | Self::Doubted(_) => None,
        }
    }

    /// Why it is not ready.
    pub(super) fn trouble(self) -> Option<String> {
        match self {
            Self::Ready | Self::Doubted(_) => None,
            Self::Unheard => Some("not heard of yet".to_owned()),
            Self::Down(why) => Some(why.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_makes_ready_and_a_refusal_unmakes_it_at_once() {
        let mut presence = Presence::default();
        assert!(!presence.is_ready());
        assert_eq!(presence.answered(), Some(Turn::Up));
        assert_eq!(presence.answered(), None, "nothing new");
        assert_eq!(presence.failed(Failure::Refused), Some(Turn::Down));
        assert!(!presence.is_ready());
        assert_eq!(presence.failed(Failure::Refused), None, "nothing new");
        assert_eq!(presence.failed(Failure::NoRoute), Some(Turn::Down), "a new reason is news");
        assert_eq!(presence.answered(), Some(Turn::Up));
    }

    #[test]
    fn timeouts_count_only_three_in_a_row() {
        let mut presence = Presence::Ready;
        for _ in 0..5 {
            assert_eq!(presence.failed(Failure::TimedOut), None);
            assert_eq!(presence.failed(Failure::Broken), None);
            assert!(presence.is_ready());
            assert_eq!(presence.answered(), None);
        }
        presence.failed(Failure::TimedOut);
        presence.failed(Failure::TimedOut);
        assert_eq!(presence.failed(Failure::TimedOut), Some(Turn::Down));
        let since = Time::from_secs(7);
        assert!(!presence.is_ready() && presence.stuck(since) == Some(Stuck::Silent { since }));
        assert_eq!(presence.failed(Failure::Refused), Some(Turn::Down));
        assert!(
            presence.stuck(since).is_none(),
            "a new process on its address says that the old one is gone"
        );
    }

    #[test]
    fn an_endpoint_that_never_answered_tells_its_first_trouble() {
        let mut presence = Presence::default();
        assert_eq!(presence.failed(Failure::TimedOut), Some(Turn::Down));
        assert_eq!(presence.trouble().as_deref(), Some(&*Failure::TimedOut.to_string()));
    }
}
