//! Buffers for large bodies, used by one request after the other.
//!
//! A buffer of 128 KB that is given back to the system and taken again costs more than hashing what it held. Bound:
//! [`MOST`] buffers of at most [`LARGEST`] bytes per worker are kept, so 8 MiB.

/// Buffers kept.
const MOST: usize = 8;

/// Larger ones are given back to the system.
const LARGEST: usize = 1 << 20;

/// See the module's header.
#[derive(Debug, Default)]
pub struct Room(Vec<Vec<u8>>);

impl Room {
    /// Makes room in `buffer` for `more` bytes, in a kept buffer if its own is too small.
    pub fn make(&mut self, buffer: &mut Vec<u8>, more: usize) {
        let wanted = buffer.len() + more;
        if buffer.capacity() >= wanted {
            return;
        }
        // The one used last: some of it is still in the caches.
        if let Some(at) = self.0.iter().rposition(|kept| kept.capacity() >= wanted) {
            let mut kept = self.0.remove(at);
            kept.extend_from_slice(buffer);
            *buffer = kept;
        } else {
            buffer.reserve(more);
        }
    }

    /// Keeps a buffer that a request is done with.
    pub fn keep(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < MOST && buffer.capacity() <= LARGEST {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_buffer_is_used_again_and_holds_what_was_there() {
        let mut room = Room::default();
        room.keep(Vec::with_capacity(200_000));
        let mut buffer = b"head".to_vec();
        room.make(&mut buffer, 100_000);
        assert_eq!((buffer.as_slice(), buffer.capacity()), (&b"head"[..], 200_000));
        room.make(&mut buffer, 150_000);
        assert_eq!(buffer.capacity(), 200_000, "there is room already");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut room = Room::default();
        room.keep(Vec::with_capacity(LARGEST + 1));
        assert!(room.0.is_empty());
        (0..2 * MOST).for_each(|_| room.keep(Vec::with_capacity(1_000)));
        assert_eq!(room.0.len(), MOST);
    }
}
