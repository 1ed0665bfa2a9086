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
    Chain, Saved, Slot, Time,
    chain::marks,
    saved::{Accounts, Kept},
    table::{Cell, Stamp, Table},
};

mod count;

use count::Count;

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

/// A group that is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupPin {
    /// Chain link of the shared prefix, as far as the table keeps it: the first 40 bits, then zeros. How long the prefix is it does
    /// not know.
    pub id: u64,
    /// Time since it was last pinned, also to an endpoint that it was pinned to already; to an eighth of a second.
    pub idle: Time,
    /// What the kernel lane carried for it.
    pub saved: Saved,
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

/// Counts prefixes and holds group pins. Bounded: 26 bytes per counted prefix, of which there are 64 per group, and 77 per group,
/// 51 of them for its account; both rounded up to a power of two of them: 2.1 MiB for 1,024 groups.
pub struct GroupTable {
    rule: GroupRule,
    counts: Table,
    pins: Table,
    accounts: Accounts,
}

// === Group ===

impl Group {
    /// A group as it was seen, pinned to the first [`MAX_REPLICAS`] of these.
    pub fn seen(id: u64, blocks: u32, pinned: impl IntoIterator<Item = Slot>) -> Self {
        let mut replicas = [NOBODY; MAX_REPLICAS];
        replicas.iter_mut().zip(pinned).for_each(|(place, slot)| *place = slot.0);
        Self { id, blocks, replicas }
    }

    /// The endpoints it is pinned to.
    pub fn replicas(&self) -> impl Iterator<Item = Slot> {
        slots(self.replicas)
    }

    /// Whether it is pinned to `slot`.
    #[inline]
    pub fn holds(&self, slot: Slot) -> bool {
        self.replicas.contains(&slot.0)
    }
}

// === GroupPin ===

impl GroupPin {
    /// The endpoints it is pinned to.
    pub fn replicas(&self) -> impl Iterator<Item = Slot> {
        slots(self.replicas)
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
        let pins = Table::with_capacity(groups);
        Self { rule, counts: Table::with_capacity(groups * 64), accounts: Accounts::beside(&pins), pins }
    }

    /// Counts one request and returns the group it belongs to, if any.
    pub fn observe(&self, chain: &Chain, now: Time) -> Option<Group> {
        let stamp = Stamp::of(now);
        self.longest(chain, |id| self.count(id, now, stamp))
    }

    /// The group that a prompt belongs to, without counting it.
    pub fn find(&self, chain: &Chain, now: Time) -> Option<Group> {
        let counted = |cell: Cell<'_>| Count::of(cell.value()).estimate(now, self.rule.window);
        self.longest(chain, |id| self.counts.find(id).map_or(0, counted))
    }

    /// The longest prefix of which `requests` says that enough have it.
    fn longest(&self, chain: &Chain, requests: impl Fn(u64) -> u16) -> Option<Group> {
        let (mut found, mut beyond) = (None, 0);
        let lengths = std::iter::successors(Some(self.rule.min_blocks), |blocks| blocks.checked_mul(2));
        for links in lengths.map(marks::count) {
            let Some(id) = chain.links().get(links - 1) else { break };
            if requests(*id) >= self.rule.min_requests {
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

    /// Puts to a group's account what the kernel lane carried for it; nothing if the group is no longer pinned. Once per response,
    /// from any thread: takes no lock and allocates nothing.
    pub fn credit(&self, id: u64, saved: Saved) {
        self.accounts.credit(&self.pins, id, saved);
    }

    /// Every group that is pinned to somebody, in no order. Walks the table; not for the request path.
    pub fn each(&self, now: Time) -> impl Iterator<Item = GroupPin> {
        let pinned = self.accounts.walk(&self.pins, now).filter(|kept| kept.value != u64::MAX);
        pinned.map(|Kept { key, value, idle, saved }| GroupPin {
            id: key,
            idle,
            saved,
            replicas: unpack(value),
        })
    }

    /// When a shared prefix becomes a group.
    pub fn rule(&self) -> GroupRule {
        self.rule
    }

    /// Groups that fit without any being lost by chance; a few more are kept where there is room.
    pub fn capacity(&self) -> usize {
        self.pins.capacity()
    }

    /// Bytes held, now and for ever.
    pub fn bytes(&self) -> usize {
        self.counts.bytes() + self.pins.bytes() + self.accounts.bytes()
    }

    /// Unpins a group from all of its endpoints. Whether it was pinned to any. It stays counted, so its next request pins it anew.
    pub fn remove(&self, id: u64) -> bool {
        let Some(cell) = self.pins.find(id) else { return false };
        let was = cell.value() != u64::MAX;
        cell.clear();
        was
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

fn slots(replicas: [u16; MAX_REPLICAS]) -> impl Iterator<Item = Slot> {
    replicas.into_iter().filter(|slot| *slot != NOBODY).map(Slot)
}

fn unpack(value: u64) -> [u16; MAX_REPLICAS] {
    [value as u16, (value >> 16) as u16, (value >> 32) as u16, (value >> 48) as u16]
}

fn pack(replicas: [u16; MAX_REPLICAS]) -> u64 {
    replicas.iter().rev().fold(0, |value, slot| value << 16 | u64::from(*slot))
}

#[cfg(test)]
mod tests;
