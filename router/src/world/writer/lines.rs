//! What the log is told of replicas: of each kind of news so many lines in ten seconds, and then how many were left out.
//!
//! A replica that flaps, or a rack that goes, must not fill the log. A GPU that fails is always told of: somebody must act.

use warmlane_picker::Health;

use super::News;
use crate::seldom::Seldom;

/// Lines of a kind in ten seconds.
const MOST: u64 = 10;

/// What the lines of each kind say, and whether they are warnings.
const KINDS: [(&str, bool); 11] = [
    ("replica is ready", false),
    ("replica is not ready", true),
    ("replica is shutting down", false),
    ("replica is left alone for a while", true),
    ("replica gets a few requests again", false),
    ("replica has rested, but still gets no requests", false),
    ("replica holds requests and computes nothing", true),
    ("replica works again", false),
    ("replica has another GPU health", true),
    ("nobody tells of the replica's GPU any more", true),
    ("replica was restarted", false),
];

/// See the module's header.
#[derive(Debug)]
pub(super) struct Lines {
    kinds: [Seldom; KINDS.len()],
}

// === Lines ===

impl Lines {
    pub(super) fn new() -> Self {
        Self { kinds: std::array::from_fn(|_| Seldom::of(MOST)) }
    }

    /// Tells of it, if it is its turn.
    pub(super) fn tell(&self, news: &News) {
        let Some(not_logged) = self.turn(news) else { return };
        match news {
            News::Readings | News::Listed => {}
            News::Up { address } => tracing::info!(not_logged, endpoint = %address, "replica is ready"),
            News::Down { address, why } => {
                tracing::warn!(not_logged, endpoint = %address, "replica is not ready: {why}");
            }
            News::Terminating { address } => {
                tracing::info!(not_logged, endpoint = %address, "replica is shutting down: it gets no new requests");
            }
            News::Resting { address, why } => {
                tracing::warn!(not_logged, endpoint = %address, "replica is left alone for a while: {why}");
            }
            News::Trying { address } => {
                tracing::info!(not_logged, endpoint = %address, "replica gets a few requests again, to see whether it works");
            }
            News::Rested { address, why } => {
                tracing::info!(not_logged, endpoint = %address, "replica has rested, but still gets no requests: {why}");
            }
            News::Stalled { address } => {
                tracing::warn!(not_logged, endpoint = %address, "replica holds requests and computes nothing: they go elsewhere");
            }
            News::Recovered { address } => {
                tracing::info!(not_logged, endpoint = %address, "replica works again");
            }
            News::Gpu { address, health } => tell_health(not_logged, address, health),
            News::GpuUntold { address, held } => {
                tracing::warn!(not_logged, endpoint = %address, "nobody tells of the replica's GPU any more: what was said last holds for {held:?}");
            }
            News::Restarted { address, .. } => {
                tracing::info!(not_logged, endpoint = %address, "replica was restarted: its prefixes are forgotten");
            }
        }
    }

    /// Tells how many were left out, of kinds that have been quiet since.
    pub(super) fn tell_rest(&self) {
        for (kind, (line, is_warning)) in self.kinds.iter().zip(KINDS) {
            match kind.left_over() {
                None => {}
                Some(not_logged) if is_warning => tracing::warn!(not_logged, "more lines like this: {line}"),
                Some(not_logged) => tracing::info!(not_logged, "more lines like this: {line}"),
            }
        }
    }

    /// Whether it may be told of now, and how many of its kind were not since the last.
    fn turn(&self, news: &News) -> Option<Option<u64>> {
        match kind(news) {
            Some(kind) => self.kinds[kind].is_due(),
            None => Some(None),
        }
    }
}

fn tell_health(not_logged: Option<u64>, address: &str, health: &Health) {
    match health {
        Health::Healthy => {
            tracing::info!(not_logged, endpoint = %address, "nothing speaks against the replica's GPU any more");
        }
        Health::Degraded(why) => {
            tracing::warn!(not_logged, endpoint = %address, "replica is a last resort: {why}");
        }
        Health::Failed(why) => tracing::error!(endpoint = %address, "replica gets no requests: {why}"),
    }
}

/// `None`: it is told of always, or never.
fn kind(news: &News) -> Option<usize> {
    Some(match news {
        News::Readings | News::Listed | News::Gpu { health: Health::Failed(_), .. } => return None,
        News::Up { .. } => 0,
        News::Down { .. } => 1,
        News::Terminating { .. } => 2,
        News::Resting { .. } => 3,
        News::Trying { .. } => 4,
        News::Rested { .. } => 5,
        News::Stalled { .. } => 6,
        News::Recovered { .. } => 7,
        News::Gpu { health: Health::Healthy | Health::Degraded(_), .. } => 8,
        News::GpuUntold { .. } => 9,
        News::Restarted { .. } => 10,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_flaps_is_told_of_now_and_then_and_a_gpu_that_fails_always() {
        let lines = Lines::new();
        let down = News::Down { address: "a:1".into(), why: "refused".to_owned() };
        let told = |news: &News| (0..25).filter(|_| lines.turn(news).is_some()).count() as u64;
        assert_eq!(told(&down), MOST);
        assert_eq!(told(&News::Up { address: "a:1".into() }), MOST, "of another kind");
        let failed = News::Gpu { address: "a:1".into(), health: Health::Failed("XID 79".into()) };
        assert_eq!(told(&failed), 25);
    }
}
