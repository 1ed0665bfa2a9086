//! Says once when an engine's pages turn bad, and once when they are good again.

use std::time::Duration;

use warmlane_picker::Time;

/// The same engine's troubles are told at most this often: one that flaps must not fill the log.
const SILENCE: Duration = Duration::from_secs(60);

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Mood {
    /// The last trouble told, while it lasts.
    trouble: Option<String>,
    told: Option<Time>,
}

// === Mood ===

impl Mood {
    /// The page was good.
    pub(super) fn well(&mut self, address: &str) {
        if self.trouble.take().is_some() {
            tracing::info!(endpoint = address, "its metrics page is readable again");
        }
    }

    /// The page was not.
    pub(super) fn ill(&mut self, address: &str, cause: &str, now: Time) {
        if self.is_news(cause, now) {
            tracing::warn!(
                endpoint = address,
                "no load signals from this replica, it counts as average: {cause}"
            );
        }
    }

    fn is_news(&mut self, cause: &str, now: Time) -> bool {
        let quiet = self.told.is_none_or(|told| now.saturating_sub(told) >= SILENCE);
        let news = quiet && self.trouble.as_deref() != Some(cause);
        if news {
            self.trouble = Some(cause.to_owned());
            self.told = Some(now);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_once_until_it_ends_and_not_twice_a_minute() {
        let at = Time::from_secs;
        let mut mood = Mood::default();
        assert!(mood.is_news("garbage", at(0)));
        assert!(!mood.is_news("garbage", at(1)));
        assert!(!mood.is_news("garbage", at(100)), "it still lasts");
        mood.well("engine:1");
        assert!(mood.is_news("garbage", at(101)));
        mood.well("engine:1");
        assert!(!mood.is_news("garbage", at(102)), "it flaps");
        assert!(mood.is_news("garbage", at(161)));
    }
}
