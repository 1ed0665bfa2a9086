//! A set of positions among a snapshot's endpoints: a bit each.

/// A set of endpoint positions (indexes into a snapshot's endpoints).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotSet(Vec<u64>);

// === SlotSet ===

impl SlotSet {
    /// Adds a position.
    pub fn insert(&mut self, position: usize) {
        let word = position / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (position % 64);
    }

    /// Takes a position out.
    pub fn remove(&mut self, position: usize) {
        if let Some(word) = self.0.get_mut(position / 64) {
            *word &= !(1 << (position % 64));
        }
    }

    /// Takes all out; the room stays.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Whether a position is in the set.
    #[inline]
    pub fn contains(&self, position: usize) -> bool {
        self.0.get(position / 64).is_some_and(|word| word & (1 << (position % 64)) != 0)
    }

    /// The positions in the set, in ascending order.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate();
        words.flat_map(|(word, bits)| bits_of(*bits).map(move |bit| word * 64 + bit))
    }

    /// The positions below `count` that are neither in this set nor in `other`.
    pub(crate) fn missing(&self, other: &Self, count: usize) -> impl Iterator<Item = usize> {
        let word = |set: &Self, at: usize| set.0.get(at).copied().unwrap_or(0);
        let missing = move |at: usize| {
            let asked = if count - at * 64 < 64 { (1 << (count - at * 64)) - 1 } else { u64::MAX };
            bits_of(!(word(self, at) | word(other, at)) & asked).map(move |bit| at * 64 + bit)
        };
        (0..count.div_ceil(64)).flat_map(missing)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

impl FromIterator<usize> for SlotSet {
    fn from_iter<I: IntoIterator<Item = usize>>(positions: I) -> Self {
        let mut set = Self::default();
        positions.into_iter().for_each(|position| set.insert(position));
        set
    }
}

/// The places of the bits that are set, in ascending order.
#[inline]
pub(crate) fn bits_of(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}
