//! A payload: msgpack `[time, [events...], rank]`, the events as maps or as arrays of the same fields.
//!
//! What an array of vLLM 0.17 does not have (group, kind of cache) only a map has.

use std::convert::Infallible;

use bytes::Bytes;
use rmp::encode::{
    ByteBuf, ValueWriteError, write_array_len, write_f64, write_map_len, write_nil, write_str, write_uint,
};

use super::KvFormat;
use crate::model::{KvEvent, Stored};

/// Writing to memory does not fail.
type Written = Result<(), ValueWriteError<Infallible>>;

const MEDIUM: &str = "GPU";
const KIND: &str = "full_attention";
/// The simulated engine has one group of layers and one data-parallel rank.
const GROUP: u64 = 0;
const RANK: u64 = 0;

struct Writer {
    out: ByteBuf,
    format: KvFormat,
}

/// Writes the events of one step.
pub(super) fn payload(format: KvFormat, time: f64, events: &[KvEvent]) -> Bytes {
    let mut writer = Writer { out: ByteBuf::new(), format };
    let Ok(()) = writer.batch(time, events);
    Bytes::from(writer.out.into_vec())
}

// === Writer ===

impl Writer {
    fn batch(&mut self, time: f64, events: &[KvEvent]) -> Written {
        self.list(3)?;
        write_f64(&mut self.out, time)?;
        self.list(events.len())?;
        for event in events {
            match event {
                KvEvent::Stored(stored) => self.stored(stored)?,
                KvEvent::Removed(hash) => self.removed(*hash)?,
                KvEvent::Cleared => self.begin("AllBlocksCleared", 1, 1)?,
            }
        }
        self.number(RANK)
    }

    fn stored(&mut self, stored: &Stored) -> Written {
        self.begin("BlockStored", 11, 9)?;
        self.name("block_hashes")?;
        self.numbers(stored.hashes.iter().copied())?;
        self.name("parent_block_hash")?;
        self.or_nil(stored.parent, Self::number)?;
        self.name("token_ids")?;
        self.numbers(stored.tokens.iter().map(|&token| u64::from(token)))?;
        self.name("block_size")?;
        self.number(u64::from(stored.block_size))?;
        self.name("lora_id")?;
        self.or_nil(stored.adapter_number.map(u64::from), Self::number)?;
        self.name("medium")?;
        self.text(MEDIUM)?;
        self.name("lora_name")?;
        self.or_nil(stored.adapter.as_deref(), Self::text)?;
        self.name("extra_keys")?;
        self.extra_keys(stored)?;
        self.group()?;
        if self.format == KvFormat::Map {
            self.name("kv_cache_spec_kind")?;
            self.text(KIND)?;
        }
        Ok(())
    }

    /// What else a block's hash covers: the adapter in every block, the salt in the first of a prompt.
    fn extra_keys(&mut self, stored: &Stored) -> Written {
        self.list(stored.hashes.len())?;
        let mut salt = stored.salt.as_deref();
        for _ in &stored.hashes {
            let keys = [stored.adapter.as_deref(), salt.take()];
            match keys.iter().flatten().count() {
                0 => write_nil(&mut self.out).map_err(ValueWriteError::InvalidMarkerWrite)?,
                count => self.list(count)?,
            }
            for key in keys.into_iter().flatten() {
                self.text(key)?;
            }
        }
        Ok(())
    }

    fn removed(&mut self, hash: u64) -> Written {
        self.begin("BlockRemoved", 4, 3)?;
        self.name("block_hashes")?;
        self.numbers([hash].into_iter())?;
        self.name("medium")?;
        self.text(MEDIUM)?;
        self.group()
    }

    /// The head of an event with so many fields, the type among them.
    fn begin(&mut self, kind: &str, in_map: u32, in_array: usize) -> Written {
        match self.format {
            KvFormat::Map => write_map_len(&mut self.out, in_map).map(drop)?,
            KvFormat::Array => self.list(in_array)?,
        }
        self.name("type")?;
        self.text(kind)
    }

    fn group(&mut self) -> Written {
        if self.format == KvFormat::Array {
            return Ok(());
        }
        self.name("group_idx")?;
        self.number(GROUP)
    }

    /// A field's name, which arrays do without.
    fn name(&mut self, name: &str) -> Written {
        if self.format == KvFormat::Map { self.text(name) } else { Ok(()) }
    }

    fn numbers(&mut self, numbers: impl ExactSizeIterator<Item = u64>) -> Written {
        self.list(numbers.len())?;
        for number in numbers {
            self.number(number)?;
        }
        Ok(())
    }

    fn or_nil<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T) -> Written) -> Written {
        match value {
            Some(value) => write(self, value),
            None => write_nil(&mut self.out).map_err(ValueWriteError::InvalidMarkerWrite),
        }
    }

    /// The head of a list. What is noted of a step is bounded far below 2^32.
    fn list(&mut self, length: usize) -> Written {
        write_array_len(&mut self.out, length as u32).map(drop)
    }

    fn number(&mut self, number: u64) -> Written {
        write_uint(&mut self.out, number).map(drop)
    }

    fn text(&mut self, text: &str) -> Written {
        write_str(&mut self.out, text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const FRAMES: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/kv/vllm-kv-events.jsonl"));

    fn field<'a>(event: &'a Value, name: &str, position: usize) -> &'a Value {
        if event.is_array() { &event[position] } else { &event[name] }
    }

    fn numbers(value: &Value) -> Vec<u64> {
        value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
    }

    /// An event as its own decoder read it.
    fn event(event: &Value) -> KvEvent {
        let hashes = || numbers(field(event, "block_hashes", 1));
        let text = |value: &Value| value.as_str().map(Into::into);
        match field(event, "type", 0).as_str().unwrap() {
            "BlockStored" => {
                let adapter = text(field(event, "lora_name", 7));
                let first = &field(event, "extra_keys", 8)[0];
                KvEvent::Stored(Stored {
                    hashes: hashes(),
                    parent: field(event, "parent_block_hash", 2).as_u64(),
                    tokens: numbers(field(event, "token_ids", 3)).iter().map(|&id| id as u32).collect(),
                    block_size: field(event, "block_size", 4).as_u64().unwrap() as u32,
                    adapter_number: field(event, "lora_id", 5).as_u64().map(|id| id as u32),
                    salt: if adapter.is_none() { text(&first[0]) } else { text(&first[1]) },
                    adapter,
                })
            }
            "BlockRemoved" => KvEvent::Removed(hashes()[0]),
            _ => KvEvent::Cleared,
        }
    }

    #[test]
    fn recorded_events_are_written_byte_for_byte_as_vllm_wrote_them() {
        let mut seen = 0;
        for line in FRAMES.lines() {
            let frame: Value = serde_json::from_str(line).unwrap();
            // Sessions are not modelled.
            if line.contains("session_id") {
                continue;
            }
            let format = if line.contains("\"0.17") { KvFormat::Array } else { KvFormat::Map };
            let hex = frame["payload_hex"].as_str().unwrap();
            let bytes: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            let time = f64::from_be_bytes(bytes[2..10].try_into().unwrap());
            let events: Vec<KvEvent> = frame["decoded"][1].as_array().unwrap().iter().map(event).collect();
            assert_eq!(payload(format, time, &events), bytes, "{}", frame["seq"]);
            seen += 1;
        }
        assert!(seen > 60, "{seen}");
    }
}
