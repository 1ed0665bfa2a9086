//! The chain that names a prompt prefix: `c[0] = mix(seed, p[0])`, `c[i] = mix(c[i-1], p[i])`, where `p` are
//! independent hashes of the prompt's parts: one block each at its beginning, several further on (see `marks`).
//! Equal chain values mean equal prefixes (up to a 64-bit collision), so one table lookup per link answers "who holds
//! everything up to here".
//!
//! The seed covers what makes two equal texts different KV blocks: model, adapter and cache salt.

pub(crate) mod marks;

/// Hashes of the prefixes of one prompt, shortest first. Reusable: [`Chain::set`] keeps the allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain(Vec<u64>);

/// Odd constants of the mixing function: fractional digits of the golden ratio and of the square root of 3.
const MIX_A: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX_B: u64 = 0xbb67_ae85_84ca_a73b;

// === Chain ===

impl Chain {
    /// Chains `blocks` from `seed`, replacing what was there.
    pub fn set(&mut self, seed: u64, blocks: &[u64]) {
        self.0.clear();
        self.0.reserve(marks::count(blocks.len()));
        let mut link = seed;
        for part in marks::parts(blocks) {
            link = mix(link, sum(part));
            self.0.push(link);
        }
    }

    /// A new chain.
    pub fn new(seed: u64, blocks: &[u64]) -> Self {
        let mut chain = Self::default();
        chain.set(seed, blocks);
        chain
    }

    /// The links of a chain that others made, with a hash for each of its blocks: as many as a chain of ours would have.
    pub fn marked(blocks: &[u64]) -> Box<[u64]> {
        (1..=marks::count(blocks.len())).map(|links| blocks[marks::depth(links) - 1]).collect()
    }

    /// Takes over the links of so many blocks from what [`Chain::marked`] gave, replacing what was there.
    pub fn follow(&mut self, marked: &[u64], blocks: usize) {
        self.0.clear();
        self.0.extend_from_slice(&marked[..marks::count(blocks).min(marked.len())]);
    }

    /// Becomes the chain of these links, as [`Chain::links`] gave them.
    pub fn follow_all(&mut self, links: &[u64]) {
        self.0.clear();
        self.0.extend_from_slice(links);
    }

    /// One hash per prefix; [`Chain::depth`] says of how many blocks.
    pub fn links(&self) -> &[u64] {
        &self.0
    }

    /// Blocks that the first `links` links of any chain stand for.
    pub fn depth(links: usize) -> usize {
        marks::depth(links)
    }

    /// Seed of a name and salt. `key` is the process's own random number: it keeps outsiders from
    /// constructing prompts that collide in the tables.
    pub fn seed(key: u64, model: &str, adapter: Option<&str>, salt: Option<&str>) -> u64 {
        let mut seed = text(key, model);
        seed = text(seed, adapter.unwrap_or_default());
        text(seed, salt.unwrap_or_default())
    }
}

/// Hash of a key such as a session id, under the process's own random number.
pub fn key(process: u64, bytes: &[u8]) -> u64 {
    fold(process, bytes)
}

#[inline]
fn mix(link: u64, block: u64) -> u64 {
    // Folded 64x64 multiplication: all input bits reach all output bits in two instructions.
    let product = u128::from(link ^ MIX_A) * u128::from(block ^ MIX_B);
    (product as u64) ^ ((product >> 64) as u64) ^ link.rotate_left(23)
}

/// One hash of a part's blocks. Each is multiplied by an odd number of its own, so that their order counts and none waits
/// for another.
#[inline]
fn sum(part: &[u64]) -> u64 {
    match part {
        [block] => *block,
        part => (1..).step_by(2).zip(part).fold(0, |sum, (odd, block): (u64, _)| {
            sum.wrapping_add((block ^ MIX_B).wrapping_mul(MIX_A.wrapping_mul(odd)))
        }),
    }
}

fn text(seed: u64, text: &str) -> u64 {
    fold(seed, text.as_bytes())
}

fn fold(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(seed, bytes.len() as u64);
    for piece in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..piece.len()].copy_from_slice(piece);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_prefixes_have_equal_links_and_diverge_for_good() {
        let a = Chain::new(7, &[1, 2, 3, 4]);
        let b = Chain::new(7, &[1, 2, 9, 4]);
        assert_eq!(a.links()[..2], b.links()[..2]);
        assert_ne!(a.links()[2], b.links()[2]);
        assert_ne!(a.links()[3], b.links()[3]);
    }

    #[test]
    fn of_a_chain_that_others_made_the_marked_links_are_followed_up_to_a_block() {
        let blocks: Vec<u64> = (1..=100).collect();
        let marked = Chain::marked(&blocks);
        let mut chain = Chain::default();
        for known in 0..=100 {
            chain.follow(&marked, known);
            let deepest = Chain::depth(chain.links().len());
            assert!(deepest <= known && known - deepest <= known / 8, "{deepest} of {known}");
            assert_eq!(chain.links().last().copied(), blocks[..deepest].last().copied());
        }
        chain.follow(&marked, 7_000);
        assert_eq!(chain.links(), &*marked, "no more than there is");
    }

    #[test]
    fn model_adapter_and_salt_all_seed_the_chain() {
        let plain = Chain::seed(1, "m", None, None);
        assert_ne!(plain, Chain::seed(1, "m", Some("a"), None));
        assert_ne!(plain, Chain::seed(1, "m", None, Some("s")));
        assert_ne!(Chain::seed(1, "m", Some("x"), None), Chain::seed(1, "m", None, Some("x")));
        assert_ne!(plain, Chain::seed(2, "m", None, None));
    }
}
