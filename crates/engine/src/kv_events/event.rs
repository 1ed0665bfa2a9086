//! One event, as a map of named fields or as an array of the same fields in vLLM's order.
//!
//! `extra_keys` says per block what else its hash covers: the adapter's name in every block, the cache salt in the
//! first block of a prompt, and for images and the like further values. The first two are told apart by the event's own
//! adapter name; whatever is left is kept as a hash, so that such a block never equals one of plain text.

use rmp::Marker;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::reader::Reader;
use super::{DecodeError, Event, Removed, Stored};

/// What either format gives, before the type says which of it counts.
#[derive(Default)]
struct Fields<'a> {
    stored: Stored,
    /// The value of `extra_keys`: it cannot be understood before the adapter's name is known.
    extra: Option<&'a [u8]>,
}

/// Order of the fields in an array, behind the type.
const STORED: [&str; 10] = [
    "block_hashes",
    "parent_block_hash",
    "token_ids",
    "block_size",
    "lora_id",
    "medium",
    "lora_name",
    "extra_keys",
    "group_idx",
    "kv_cache_spec_kind",
];
const REMOVED: [&str; 3] = ["block_hashes", "medium", "group_idx"];

/// Reads one event.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Event, DecodeError> {
    match reader.peek()? {
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => from_map(reader),
        _ => from_array(reader),
    }
}

fn from_map(reader: &mut Reader<'_>) -> Result<Event, DecodeError> {
    let mut kind = None;
    let mut fields = Fields::default();
    for _ in 0..reader.map("an event")? {
        match reader.text("a field's name")? {
            "type" => kind = Some(reader.text("an event's type")?),
            name => fields.read(name, reader)?,
        }
    }
    fields.finish(kind.ok_or(DecodeError::Type("an event"))?)
}

fn from_array(reader: &mut Reader<'_>) -> Result<Event, DecodeError> {
    let length = reader.array("an event")?;
    if length == 0 {
        return Err(DecodeError::Type("an event"));
    }
    let kind = reader.text("an event's type")?;
    let names: &[&str] = match kind {
        "BlockStored" => &STORED,
        "BlockRemoved" => &REMOVED,
        _ => &[],
    };
    let mut fields = Fields::default();
    for position in 0..length - 1 {
        fields.read(names.get(position).copied().unwrap_or_default(), reader)?;
    }
    fields.finish(kind)
}

// === Fields ===

impl<'a> Fields<'a> {
    fn read(&mut self, name: &str, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        if reader.nil()? {
            return Ok(());
        }
        let stored = &mut self.stored;
        match name {
            "block_hashes" => stored.hashes = list(reader, "block_hashes", Reader::hash)?,
            "parent_block_hash" => stored.parent = Some(reader.hash()?),
            "token_ids" => stored.tokens = list(reader, "token_ids", |reader| reader.small("a token id"))?,
            "block_size" => stored.block_size = reader.small("block_size")?,
            "medium" => stored.place.medium = Some(reader.text("medium")?.into()),
            "lora_name" => stored.adapter = Some(reader.text("lora_name")?.into()),
            "group_idx" => stored.place.group = reader.small("group_idx")?,
            "extra_keys" => self.extra = Some(reader.skip()?),
            _ => {
                reader.skip()?;
            }
        }
        Ok(())
    }

    fn finish(self, kind: &str) -> Result<Event, DecodeError> {
        let mut stored = self.stored;
        Ok(match kind {
            "BlockStored" => {
                if let Some(extra) = self.extra {
                    keys(&mut stored, extra)?;
                }
                Event::Stored(Box::new(stored))
            }
            "BlockRemoved" => {
                Event::Removed(Box::new(Removed { hashes: stored.hashes, place: stored.place }))
            }
            "AllBlocksCleared" => Event::Cleared,
            kind => Event::Unknown(kind.into()),
        })
    }
}

fn keys(stored: &mut Stored, extra: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(extra);
    let blocks = reader.array("extra_keys")?;
    stored.extras.reserve_exact(blocks);
    for block in 0..blocks {
        let extra = if reader.nil()? { 0 } else { block_keys(stored, block, &mut reader)? };
        stored.extras.push(extra);
    }
    Ok(())
}

fn block_keys(stored: &mut Stored, block: usize, reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let mut rest = 0;
    for position in 0..reader.array("extra_keys")? {
        let ahead = Reader::new(reader.left()).text("an extra key").ok();
        let value = reader.skip()?;
        match ahead {
            Some(name) if position == 0 && stored.adapter.as_deref() == Some(name) => {}
            Some(salt) if block == 0 && stored.parent.is_none() && stored.salt.is_none() => {
                stored.salt = Some(salt.into());
            }
            _ => rest = xxh3_64_with_seed(value, rest) | 1,
        }
    }
    Ok(rest)
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    what: &'static str,
    mut entry: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let length = reader.array(what)?;
    let mut list = Vec::with_capacity(length);
    for _ in 0..length {
        list.push(entry(reader)?);
    }
    Ok(list)
}
