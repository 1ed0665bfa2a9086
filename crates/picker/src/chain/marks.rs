//! How many blocks a link of a chain stands for: one in a short prompt, more the deeper it is.
//!
//! Telling depths apart by one block of 64 bytes is worth something in a short prompt and nothing in a long one, where
//! each link costs a cache line to remember. So from the 8th block on a link stands for 2, 4, 16, 32, then 64 blocks: a
//! depth is short of the truth by at most an eighth, half of that on average, and a prompt of 128 KB has 116 links for its
//! 2,048 blocks. It depends on the position alone, so that prompts with a common prefix agree.

/// First block, blocks per link, links before it.
const TIERS: [(usize, usize, usize); 6] =
    [(0, 1, 0), (8, 2, 8), (32, 4, 20), (128, 16, 44), (512, 32, 68), (2_048, 64, 116)];

/// Links of so many blocks.
pub(crate) fn count(blocks: usize) -> usize {
    let (first, each, before) = tier(|(first, _, _)| *first <= blocks);
    before + (blocks - first) / each
}

/// Blocks that so many links stand for.
#[inline]
pub(crate) fn depth(links: usize) -> usize {
    let (first, each, before) = tier(|(_, _, before)| *before <= links);
    first + (links - before) * each
}

/// Parts of `blocks`, one per link; what is left at the end has none.
pub(super) fn parts(blocks: &[u64]) -> impl Iterator<Item = &[u64]> {
    let ends = TIERS.iter().skip(1).map(|(first, _, _)| *first).chain([usize::MAX]);
    TIERS.iter().zip(ends).flat_map(move |((first, each, _), end)| {
        blocks.get(*first..end.min(blocks.len())).unwrap_or_default().chunks_exact(*each)
    })
}

#[inline]
fn tier(fits: impl Fn(&(usize, usize, usize)) -> bool) -> (usize, usize, usize) {
    TIERS.iter().rev().copied().find(|tier| fits(tier)).unwrap_or(TIERS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_join() {
        for (first, _, before) in TIERS {
            assert_eq!((count(first), depth(before)), (before, first));
        }
    }

    #[test]
    fn links_stand_in_order_and_leave_little_out() {
        let blocks: Vec<u64> = (0..10_000).collect();
        let mut end = 0;
        for (at, part) in parts(&blocks).enumerate() {
            assert_eq!(part[0], end, "one part follows the other");
            end += part.len() as u64;
            assert_eq!((depth(at + 1), count(end as usize)), (end as usize, at + 1));
        }
        assert_eq!(parts(&blocks).count(), count(blocks.len()));
        for blocks in 1..20_000 {
            let missing = blocks - depth(count(blocks));
            assert!(missing * 8 <= blocks, "{missing} of {blocks}");
            assert!(blocks > 8 || missing == 0);
        }
    }
}
