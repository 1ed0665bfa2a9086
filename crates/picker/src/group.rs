//! Prefix groups: prompts that many requests share, found by counting.
//!
//! A group is the longest prefix of at least `min_blocks` blocks that at least `min_requests` requests had
//! within `window` (16 blocks, 8 requests and 60 s unless configured). Its id is the prefix's chain link.
//! Lengths are `min_blocks` doubled again and again, and counting goes no more than two lengths beyond the longest
//! that is shared: a prompt that nobody shares costs that many probes, any other one per doubling. Counts use two adjoining windows, the older weighted by what of it still overlaps.
//!
//! A group is pinned to up to four endpoints: a second one joins only when the picker prefers it in spite of
//! the pin, which is when the first is hotter by more than the reuse is worth.

use crate::{
    Chain, Slot, Time,
    chain::marks,
    table::{Stamp, Table},
};

/// Lengths counted beyond the longest that is shared. With one alone a long prefix would be learnt doubling by doubling.
const AHEAD: usize = 2;

/// Most endpoints a group is pinned to.
pub const MAX_REPLICAS: usize = 4;

const NOBODY: u16 = u16::MAX;

/// A prefix group that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Chain link of the shared prefix.
    pub id: u64,
    /// Its length.
    pub blocks: u32,
    replicas: [u16; MAX_REPLICAS],
}

/// When a shared prefix becomes a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRule {
    /// Shortest prefix, in blocks.
    pub min_blocks: usize,
    /// Fewest requests within the window.
    pub min_requests: u16,
    /// The window.
    pub window: Time,
}

/// Counts prefixes and holds group pins. Bounded: 16 bytes per count and per group.
pub struct GroupTable {
    rule: GroupRule,
    counts: Table,
    pins: Table,
}

/// A count: window number (32 bits), requests in it (16), requests in the one before (16).
#[derive(Clone, Copy)]
struct Count {
    window: u32,
    current: u16,
    previous: u16,
}

// === Group ===

impl Group {
    /// The endpoints it is pinned to.
    pub fn replicas(&self) -> impl Iterator<Item = Slot> {
        self.replicas.into_iter().filter(|slot| *slot != NOBODY).map(Slot)
    }

    /// Whether it is pinned to `slot`.
    #[inline]
    pub fn holds(&self, slot: Slot) -> bool {
        self.replicas.contains(&slot.0)
    }
}

// === GroupRule ===

impl Default for GroupRule {
    fn default() -> Self {
        Self { min_blocks: 16, min_requests: 8, window: Time::from_secs(60) }
    }
}

// === GroupTable ===

impl GroupTable {
    /// Room for `groups` pins and 64 counted prefixes for each.
    pub fn new(groups: usize, rule: GroupRule) -> Self {
        let rule = GroupRule { min_blocks: rule.min_blocks.max(1), ..rule };
        Self { rule, counts: Table::with_capacity(groups * 64), pins: Table::with_capacity(groups) }
    }

    /// Counts one request and returns the group it belongs to, if any.
    pub fn observe(&self, chain: &Chain, now: Time) -> Option<Group> {
        let stamp = Stamp::of(now);
        let (mut found, mut beyond) = (None, 0);
        let lengths = std::iter::successors(Some(self.rule.min_blocks), |blocks| blocks.checked_mul(2));
        for links in lengths.map(marks::count) {
            let Some(id) = chain.links().get(links - 1) else { break };
            if self.count(*id, now, stamp) >= self.rule.min_requests {
                (found, beyond) = (Some((*id, marks::depth(links) as u32)), 0);
            } else {
                beyond += 1;
            }
            if beyond == AHEAD {
                break;
            }
        }
        let (id, blocks) = found?;
        let pinned = self.pins.get(id).unwrap_or(u64::MAX);
        Some(Group { id, blocks, replicas: unpack(pinned) })
    }

    fn count(&self, id: u64, now: Time, stamp: Stamp) -> u16 {
        let (cell, _) = self.counts.entry(id, Count::NONE, stamp);
        let (_, value) = cell.update(|old| Count::of(old).one_more(now, self.rule.window).pack());
        Count::of(value).estimate(now, self.rule.window)
    }

    /// Pins the group to one more endpoint; the longest pinned makes room beyond four. True if it is new.
    pub fn pin(&self, group: &Group, slot: Slot, now: Time) -> bool {
        let (cell, _) = self.pins.entry(group.id, u64::MAX, Stamp::of(now));
        let (old, new) = cell.update(|value| {
            let mut replicas = unpack(value);
            if !replicas.contains(&slot.0) {
                replicas.rotate_right(1);
                replicas[0] = slot.0;
            }
            pack(replicas)
        });
        old != new
    }

    /// Drops a slot from all groups, because its endpoint is gone. Walks the table.
    pub fn forget(&self, slot: Slot) {
        for cell in self.pins.cells() {
            cell.update(|value| {
                let mut replicas = unpack(value).map(|r| if r == slot.0 { NOBODY } else { r });
                replicas.sort_by_key(|r| *r == NOBODY);
                pack(replicas)
            });
        }
    }

    /// Groups pinned now: a walk, for diagnostics.
    pub fn len(&self) -> usize {
        self.pins.used()
    }

    /// True when no group is pinned.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn unpack(value: u64) -> [u16; MAX_REPLICAS] {
    [value as u16, (value >> 16) as u16, (value >> 32) as u16, (value >> 48) as u16]
}

fn pack(replicas: [u16; MAX_REPLICAS]) -> u64 {
    replicas.iter().rev().fold(0, |value, slot| value << 16 | u64::from(*slot))
}

// === Count ===

impl Count {
    const NONE: u64 = 0;

    fn of(value: u64) -> Self {
        Self { window: (value >> 32) as u32, current: (value >> 16) as u16, previous: value as u16 }
    }

    fn pack(self) -> u64 {
        u64::from(self.window) << 32 | u64::from(self.current) << 16 | u64::from(self.previous)
    }

    fn one_more(self, now: Time, window: Time) -> Self {
        let number = (now.as_secs_f64() / window.as_secs_f64()) as u32;
        let previous = match number.wrapping_sub(self.window) {
            0 => self.previous,
            1 => self.current,
            _ => 0,
        };
        let current = if number == self.window { self.current.saturating_add(1) } else { 1 };
        Self { window: number, current, previous }
    }

    fn estimate(self, now: Time, window: Time) -> u16 {
        let into = (now.as_secs_f64() / window.as_secs_f64()).fract();
        self.current.saturating_add((f64::from(self.previous) * (1.0 - into)) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    /// `shared` equal blocks, then `own` blocks of request `n`.
    fn prompt(shared: u64, own: u64, n: u64) -> Chain {
        let blocks: Vec<u64> = (0..shared).chain((0..own).map(|i| 1_000_000 * (n + 1) + i)).collect();
        Chain::new(1, &blocks)
    }

    #[test]
    fn the_longest_prefix_that_enough_requests_share_is_the_group() {
        let groups = GroupTable::new(100, GroupRule::default());
        for n in 0..7 {
            assert_eq!(groups.observe(&prompt(40, 40, n), at(n)), None, "seven are not enough");
        }
        let group = groups.observe(&prompt(40, 40, 7), at(7)).expect("eight are");
        assert_eq!(group.blocks, 32, "16 and its doubles, of the 40 shared blocks");
        assert_eq!(group.id, prompt(40, 0, 0).links()[marks::count(32) - 1]);
    }

    #[test]
    fn short_or_rare_prefixes_are_no_group() {
        let groups = GroupTable::new(100, GroupRule::default());
        assert!((0..20).all(|n| groups.observe(&prompt(15, 0, n), at(n)).is_none()), "15 blocks");
        assert!((0..20).all(|n| groups.observe(&prompt(32, 0, n), at(n * 30)).is_none()), "two a minute");
    }

    #[test]
    fn a_group_keeps_its_four_latest_replicas_and_forgets_those_gone() {
        let groups = GroupTable::new(100, GroupRule { min_requests: 1, ..GroupRule::default() });
        let group = groups.observe(&prompt(16, 0, 0), at(0)).expect("group");
        for slot in 1..=5 {
            assert!(groups.pin(&group, Slot(slot), at(1)));
        }
        assert!(!groups.pin(&group, Slot(5), at(1)), "known already");
        groups.forget(Slot(3));
        let group = groups.observe(&prompt(16, 0, 0), at(2)).expect("group");
        let mut replicas: Vec<Slot> = group.replicas().collect();
        replicas.sort_unstable();
        assert_eq!(replicas, [Slot(2), Slot(4), Slot(5)]);
    }
}
