//! A payload's frame: `[time, [events...], rank]`, the rank optional, anything behind it skipped.

use super::reader::Reader;
use super::{Batch, DecodeError, MAX_EVENTS, MAX_PAYLOAD, event};

/// Reads one payload.
pub fn decode(payload: &[u8]) -> Result<Batch, DecodeError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(DecodeError::TooLarge("the payload"));
    }
    let mut reader = Reader::new(payload);
    let fields = reader.array("the payload")?;
    if fields < 2 {
        return Err(DecodeError::Type("the payload"));
    }
    let time = reader.float("the time")?;
    let events = events(&mut reader)?;
    let rank = if fields > 2 && !reader.nil()? { Some(reader.small("the rank")?) } else { None };
    for _ in 3..fields {
        reader.skip()?;
    }
    if reader.is_empty() { Ok(Batch { time, events, rank }) } else { Err(DecodeError::Trailing) }
}

fn events(reader: &mut Reader<'_>) -> Result<Vec<super::Event>, DecodeError> {
    let count = reader.array("the list of events")?;
    if count > MAX_EVENTS {
        return Err(DecodeError::TooLarge("the list of events"));
    }
    let mut events = Vec::with_capacity(count);
    for _ in 0..count {
        events.push(event::read(reader)?);
    }
    Ok(events)
}
