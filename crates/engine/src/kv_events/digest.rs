//! A fingerprint by which two sides see whether they hold the same blocks.

/// Mixes hashes before they are added up: fractional digits of the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// A fingerprint of all that is held, whatever the order in which it came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Blocks held.
    pub count: u64,
    /// Wrapping sum of their mixed hashes.
    pub sum: u64,
}

// === Digest ===

impl Digest {
    /// A block joins the set, in which it was not.
    pub fn add(&mut self, chain: u64) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(mixed(chain));
    }

    /// A block leaves the set, in which it was. One that was not makes a fingerprint that no set has.
    pub fn remove(&mut self, chain: u64) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(mixed(chain));
    }
}

impl FromIterator<u64> for Digest {
    /// Fingerprint of a set; each block must come once.
    fn from_iter<I: IntoIterator<Item = u64>>(chains: I) -> Self {
        let mut digest = Self::default();
        chains.into_iter().for_each(|chain| digest.add(chain));
        digest
    }
}

fn mixed(chain: u64) -> u64 {
    let product = u128::from(chain ^ MIX) * u128::from(MIX);
    (product as u64) ^ ((product >> 64) as u64)
}
