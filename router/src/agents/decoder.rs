//! Reads an agent's updates off its stream, and refuses one that holds more parts than a node has.
//!
//! The limit on an update's bytes is none on memory: a part without contents is two bytes on the wire and some hundred in a list
//! of them. So they are counted before anything is made of them.

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstEncoder};
use warmlane_api::node::{FollowRequest, Update};

/// Engines, GPUs, caches and plain fields of one update: a node has some ten of each.
const MOST_PARTS: usize = 4_096;

/// See the module's header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted;

// === Counted ===

impl Codec for Counted {
    type Encode = FollowRequest;
    type Decode = Update;
    type Encoder = ProstEncoder<FollowRequest>;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<FollowRequest, Update>::default().encoder()
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Decoder for Counted {
    type Item = Update;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Update>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        read(bytes).map(Some)
    }
}

fn read(bytes: Bytes) -> Result<Update, Status> {
    match has_few_parts(&bytes) {
        Some(true) => {
            Update::decode(bytes).map_err(|error| Status::internal(format!("it cannot be read: {error}")))
        }
        Some(false) => Err(Status::out_of_range(format!("it has more than {MOST_PARTS} parts"))),
        None => Err(Status::internal("it cannot be read: it is no message")),
    }
}

/// `None` of what is no message of protobuf's.
fn has_few_parts(mut rest: &[u8]) -> Option<bool> {
    for _ in 0..MOST_PARTS {
        if rest.is_empty() {
            return Some(true);
        }
        // The lower three bits of a part's key say how long it is.
        let length = match varint(&mut rest)? & 7 {
            0 => varint(&mut rest).map(|_| 0)?,
            1 => 8,
            2 => varint(&mut rest)?,
            5 => 4,
            _ => return None,
        };
        rest = rest.get(usize::try_from(length).ok()?..)?;
    }
    Some(rest.is_empty())
}

/// A number of seven bits a byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let last = rest.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let (bytes, after) = rest.split_at(last + 1);
    *rest = after;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)))
}

#[cfg(test)]
mod tests {
    use warmlane_api::node::{Blocks, Endpoint};

    use super::*;

    #[test]
    fn an_update_is_read_as_it_was_written() {
        let blocks = Blocks { added: vec![7; 300_000], ..Blocks::default() };
        let endpoints = vec![Endpoint { address: "a:1".to_owned(), ..Endpoint::default() }; 100];
        let update = Update { sequence: 3, full: true, endpoints, blocks: vec![blocks], ..Update::default() };
        assert_eq!(read(update.encode_to_vec().into()).expect("an update"), update);
        assert_eq!(read(Bytes::new()).expect("an update without a word"), Update::default());
    }

    #[test]
    fn more_parts_than_a_node_has_are_refused_before_they_are_read() {
        let of = |count| Update { endpoints: vec![Endpoint::default(); count], ..Update::default() };
        assert!(read(of(MOST_PARTS).encode_to_vec().into()).is_ok());
        let refused = read(of(MOST_PARTS + 1).encode_to_vec().into()).expect_err("one too many");
        assert!(refused.message().contains("4096 parts"), "{refused}");
    }

    #[test]
    fn what_is_no_update_is_an_error() {
        for garbage in [&[0xff_u8; 20][..], &[0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x0b; 500]] {
            assert!(read(Bytes::copy_from_slice(garbage)).is_err(), "{garbage:?}");
        }
    }
}
