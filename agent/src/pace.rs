//! How often the log tells of what others can make happen: so many lines in ten seconds, and then how many it left out.

use std::time::Duration;

use tokio::time::Instant;

/// The time that lines are counted in.
const WINDOW: Duration = Duration::from_secs(10);

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Pace {
    most: u32,
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

// === Pace ===

impl Pace {
    /// So many lines in a window.
    pub(crate) fn of(most: u32) -> Self {
        Self { most, since: None, said: 0, unsaid: 0 }
    }

    /// Whether a line may be written now, and its field `not_logged`: how many were not before it, where there are any.
    pub(crate) fn turn(&mut self) -> Option<Option<u64>> {
        let now = Instant::now();
        if self.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            (self.since, self.said) = (Some(now), 0);
        }
        if self.said == self.most {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        Some(Some(std::mem::take(&mut self.unsaid)).filter(|unsaid| *unsaid > 0))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_counted_and_told_with_the_next_line() {
        let mut pace = Pace::of(2);
        assert_eq!(
            [pace.turn(), pace.turn(), pace.turn(), pace.turn()],
            [Some(None), Some(None), None, None]
        );
        advance(WINDOW).await;
        assert_eq!([pace.turn(), pace.turn(), pace.turn()], [Some(Some(2)), Some(None), None]);
    }
}
