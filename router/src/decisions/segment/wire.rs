//! Numbers and texts one after another, each in as few bytes as it needs: numbers as LEB128, 7 bits to a byte, the lowest first.

/// What was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Vec<u8>);

/// What is left to read of it; of what is not there any more, nothing and 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a>(&'a [u8]);

// === Written ===

impl Written {
    pub(super) fn number(&mut self, mut number: u64) {
        while number > 127 {
            self.0.push(number as u8 | 128);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A number that is seldom far from what it was, on either side.
    pub(super) fn step(&mut self, was: u64, is: u64) {
        let step = is.wrapping_sub(was) as i64;
        self.number((step << 1 ^ step >> 63) as u64);
    }

    /// A number any of whose bits may be set.
    pub(super) fn eight_bytes(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }

    pub(super) fn read(&self) -> Reading<'_> {
        Reading(&self.0)
    }

    /// Nothing is in it any more; its buffer stays.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

// === Reading ===

impl<'a> Reading<'a> {
    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes(1).first().copied().unwrap_or(0);
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                break;
            }
        }
        number
    }

    pub(super) fn step(&mut self, was: u64) -> u64 {
        let step = self.number();
        was.wrapping_add(step >> 1 ^ (step & 1).wrapping_neg())
    }

    pub(super) fn eight_bytes(&mut self) -> u64 {
        self.bytes(8).try_into().map_or(0, u64::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> &'a [u8] {
        let len = self.number();
        self.bytes(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut written = Written::default();
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        for number in numbers {
            written.number(number);
            written.step(300, number);
            written.eight_bytes(number);
            written.text(&number.to_le_bytes()[..3]);
        }
        let mut reading = written.read();
        for number in numbers {
            assert_eq!(
                (reading.number(), reading.step(300), reading.eight_bytes()),
                (number, number, number)
            );
            assert_eq!(reading.text(), &number.to_le_bytes()[..3]);
        }
        assert!(reading.is_over());
        assert_eq!((reading.number(), reading.eight_bytes(), reading.text()), (0, 0, &b""[..]));
    }

    #[test]
    fn a_small_step_takes_one_byte_either_way() {
        let mut written = Written::default();
        written.step(1_000_000, 1_000_063);
        written.step(1_000_000, 999_936);
        assert_eq!(written.len(), 2);
    }
}
