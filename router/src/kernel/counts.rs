//! What the programs have counted, over all CPUs.

use warmlane_abi::{count, reason};

/// What each counter is called on pages, hand-overs apart.
const NAMES: [(&str, u32); 24] = [
    ("looked_at", count::MESSAGES),
    ("no_slot", count::NO_SLOT),
    ("idle", count::IDLE),
    ("late", count::LATE),
    ("torn", count::TORN),
    ("started", count::STARTED),
    ("redirected", count::REDIRECTED),
    ("bytes", count::BYTES),
    ("parted", count::PARTED),
    ("own_way", count::OWN_WAY),
    ("no_socket", count::NO_SOCKET),
    ("pods", count::PODS),
    ("pods_full", count::PODS_FULL),
    ("upstreams", count::UPSTREAMS),
    ("upstreams_full", count::UPSTREAMS_FULL),
    ("clients", count::CLIENTS),
    ("clients_full", count::CLIENTS_FULL),
    ("packets", count::PACKETS),
    ("empty", count::EMPTY),
    ("remotes", count::REMOTES),
    ("remotes_full", count::REMOTES_FULL),
    ("repeated", count::REPEATED),
    ("uncut", count::UNCUT),
    ("short", count::SHORT),
];

/// What each reason for a hand-over is called.
const REASONS: [(&str, u32); 11] = [
    ("end", reason::END),
    ("failure", reason::FAILURE),
    ("room", reason::ROOM),
    ("desync", reason::DESYNC),
    ("framing", reason::FRAMING),
    ("client", reason::CLIENT),
    ("unreadable", reason::UNREADABLE),
    ("disarmed", reason::DISARMED),
    ("foreign", reason::FOREIGN),
    ("steps", reason::STEPS),
    ("memory", reason::MEMORY),
];

/// All counters of [`count`], by their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    values: Vec<u64>,
}

// === Counts ===

impl Counts {
    pub(super) fn read(mut of: impl FnMut(u32) -> u64) -> Self {
        Self { values: (0..count::LEN).map(&mut of).collect() }
    }

    /// What was counted after `before`.
    pub fn since(&self, before: &Self) -> Self {
        let both = self.values.iter().zip(&before.values);
        Self { values: both.map(|(now, before)| now.saturating_sub(*before)).collect() }
    }

    /// One of them: a number of [`warmlane_abi::count`].
    pub fn of(&self, number: u32) -> u64 {
        self.values.get(number as usize).copied().unwrap_or(0)
    }

    /// All but the hand-overs, by name.
    pub fn rows(&self) -> Vec<(&'static str, u64)> {
        NAMES.iter().map(|(name, number)| (*name, self.of(*number))).collect()
    }

    /// Hand-overs by the name of their reason.
    pub fn handed_over_rows(&self) -> Vec<(&'static str, u64)> {
        REASONS.iter().map(|(name, reason)| (*name, self.handed_over(*reason))).collect()
    }

    /// What a reason is called.
    pub(super) fn reason(number: u32) -> &'static str {
        REASONS.iter().find(|(_, reason)| *reason == number).map_or("unknown", |(name, _)| name)
    }

    /// Hand-overs for this one of [`warmlane_abi::reason`].
    pub fn handed_over(&self, reason: u32) -> u64 {
        self.of(count::HANDED_OVER + reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_name() {
        let counts = Counts::read(u64::from);
        let mut named: Vec<u64> = counts.rows().into_iter().map(|(_, number)| number).collect();
        named.extend(counts.handed_over_rows().into_iter().map(|(_, number)| number));
        let known = (count::MESSAGES..=count::SHORT)
            .chain(count::HANDED_OVER + reason::END..count::HANDED_OVER + reason::KINDS);
        assert_eq!(named, known.map(u64::from).collect::<Vec<_>>());
    }
}
