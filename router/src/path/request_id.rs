//! The id of a request: the client's own, or 32 random hexadecimal digits.

use std::ops::Deref;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// See the module's header. Reads as its bytes.
#[derive(Debug, Default)]
pub struct RequestId {
    made: [u8; 32],
    /// Empty: the client gave none.
    given: Vec<u8>,
}

impl RequestId {
    /// An id of these random bits.
    pub fn made(random: u128) -> Self {
        let digit = |at: usize| DIGITS[(random >> (124 - 4 * at)) as usize & 0xf];
        Self { made: std::array::from_fn(digit), given: Vec::new() }
    }

    /// The client's own takes its place.
    pub fn give(&mut self, id: &[u8]) {
        self.given = id.to_vec();
    }
}

impl Deref for RequestId {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.given.is_empty() { &self.made } else { &self.given }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_digits_unless_the_client_gave_one() {
        let random = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
        let mut id = RequestId::made(random);
        assert_eq!(&*id, format!("{random:032x}").as_bytes());
        id.give(b"mine");
        assert_eq!(&*id, b"mine");
    }
}
