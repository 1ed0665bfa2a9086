//! Protobuf messages by their wire form: taken apart into fields, changed, and put together again.
//!
//! Not decoded: a field that nobody touches keeps its bytes, whether this version knows it or not, so an Envoy that is newer than
//! this router loses nothing. Of a field that stands there twice protobuf takes the last, or joins both if it is a message: so do
//! the readers here. Groups are refused, which no message of Envoy's has. A message costs some 100 bytes for each of its fields.

use bytes::{Buf, Bytes, BytesMut};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

/// A message: its fields in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    fields: Vec<Field>,
}

/// Bytes that are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not a protobuf message: {why}")]
pub struct Malformed {
    what: &'static str,
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    number: u32,
    value: Value,
    /// All of it, key included.
    raw: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// An integer, a bool or an enum.
    Number(u64),
    /// A text, bytes, or a message.
    Bytes(Bytes),
    /// A number of fixed size: nothing here reads one.
    Fixed,
}

// === Message ===

impl Message {
    /// Takes `bytes` apart; `what` they are is for the error.
    pub fn parse(what: &'static str, bytes: &Bytes) -> Result<Self, Malformed> {
        let malformed = |why| Malformed { what, why };
        let (mut fields, mut rest) = (Vec::new(), bytes.clone());
        while rest.has_remaining() {
            let begin = bytes.len() - rest.len();
            let (number, wire) = decode_key(&mut rest).map_err(|_| malformed("a field has no key"))?;
            let value = match wire {
                WireType::Varint => {
                    Value::Number(decode_varint(&mut rest).map_err(|_| malformed("a number is cut off"))?)
                }
                WireType::LengthDelimited => {
                    let length = decode_varint(&mut rest).map_err(|_| malformed("a length is cut off"))?;
                    let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
                    Value::Bytes(
                        rest.split_to(length.ok_or(malformed("a field is longer than the message"))?),
                    )
                }
                WireType::ThirtyTwoBit | WireType::SixtyFourBit => {
                    let length = if wire == WireType::ThirtyTwoBit { 4 } else { 8 };
                    if rest.len() < length {
                        return Err(malformed("a number is cut off"));
                    }
                    rest.advance(length);
                    Value::Fixed
                }
                WireType::StartGroup | WireType::EndGroup => return Err(malformed("it has a group")),
            };
            fields.push(Field { number, value, raw: bytes.slice(begin..bytes.len() - rest.len()) });
        }
        Ok(Self { fields })
    }

    /// Puts it together.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.fields.iter().map(|field| field.raw.len()).sum());
        self.fields.iter().for_each(|field| bytes.extend_from_slice(&field.raw));
        bytes.freeze()
    }

    /// An integer; `None` where it is not set.
    pub fn number(&self, number: u32) -> Option<u64> {
        self.last(number, |value| match value {
            Value::Number(number) => Some(*number),
            Value::Bytes(_) | Value::Fixed => None,
        })
    }

    /// A text or bytes; `None` where it is not set.
    pub fn bytes(&self, number: u32) -> Option<&Bytes> {
        self.last(number, Value::bytes)
    }

    /// Every value of a repeated field of texts, bytes or messages.
    pub fn each(&self, number: u32) -> impl Iterator<Item = &Bytes> {
        self.fields.iter().filter(move |field| field.number == number).filter_map(|field| field.value.bytes())
    }

    /// The message in a field that is not repeated; `None` where it is not set.
    pub fn message(&self, what: &'static str, number: u32) -> Result<Option<Self>, Malformed> {
        let mut parts = self.each(number);
        match (parts.next(), parts.next()) {
            (None, _) => Ok(None),
            (Some(whole), None) => Self::parse(what, whole).map(Some),
            (Some(_), Some(_)) => {
                let whole: Vec<u8> = self.each(number).flatten().copied().collect();
                Self::parse(what, &whole.into()).map(Some)
            }
        }
    }

    /// Whether the field is set.
    pub fn has(&self, number: u32) -> bool {
        self.fields.iter().any(|field| field.number == number)
    }

    fn last<'m, T>(&'m self, number: u32, read: impl Fn(&'m Value) -> Option<T>) -> Option<T> {
        self.fields.iter().rev().filter(|field| field.number == number).find_map(|field| read(&field.value))
    }

    /// Takes a field away.
    pub fn remove(&mut self, number: u32) {
        self.fields.retain(|field| field.number != number);
    }

    /// Puts a value in the place of what the field has, or at the end.
    pub fn set(&mut self, number: u32, value: impl Into<Bytes>) {
        self.put(Field::bytes(number, &value.into()));
    }

    /// The same with an integer.
    pub fn set_number(&mut self, number: u32, value: u64) {
        self.put(Field::number(number, value));
    }

    fn put(&mut self, field: Field) {
        let at = self.fields.iter().position(|other| other.number == field.number);
        self.remove(field.number);
        self.fields.insert(at.unwrap_or(self.fields.len()), field);
    }

    /// Puts a value into a repeated field, at this place among its values; beyond the last it is the last.
    pub fn insert(&mut self, number: u32, place: usize, value: impl Into<Bytes>) {
        let places = self.fields.iter().enumerate().filter(|(_, field)| field.number == number);
        let at = places.map(|(at, _)| at).nth(place).unwrap_or(self.fields.len());
        self.fields.insert(at, Field::bytes(number, &value.into()));
    }

    /// Keeps of a repeated field's values those that `keeps` says.
    pub fn retain(&mut self, number: u32, mut keeps: impl FnMut(&Bytes) -> bool) {
        self.fields.retain(|field| field.number != number || field.value.bytes().is_none_or(&mut keeps));
    }

    /// Changes each message of a field. Those of which `change` says false keep their bytes. Whether any was changed.
    pub fn change<E: From<Malformed>>(
        &mut self,
        what: &'static str,
        number: u32,
        mut change: impl FnMut(&mut Self) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut changed = false;
        for field in self.fields.iter_mut().filter(|field| field.number == number) {
            let Some(bytes) = field.value.bytes() else { continue };
            let mut message = Self::parse(what, bytes)?;
            if change(&mut message)? {
                *field = Field::bytes(number, &message.encode());
                changed = true;
            }
        }
        Ok(changed)
    }

    /// With one more value of a field.
    #[must_use]
    pub fn with(mut self, number: u32, value: impl Into<Bytes>) -> Self {
        self.fields.push(Field::bytes(number, &value.into()));
        self
    }

    /// The same with an integer, a bool or an enum.
    #[must_use]
    pub fn with_number(mut self, number: u32, value: impl Into<u64>) -> Self {
        self.fields.push(Field::number(number, value.into()));
        self
    }
}

impl From<Message> for Bytes {
    fn from(message: Message) -> Self {
        message.encode()
    }
}

// === Field ===

impl Field {
    fn number(number: u32, value: u64) -> Self {
        let mut raw = BytesMut::new();
        encode_key(number, WireType::Varint, &mut raw);
        encode_varint(value, &mut raw);
        Self { number, value: Value::Number(value), raw: raw.freeze() }
    }

    fn bytes(number: u32, value: &[u8]) -> Self {
        let mut raw = BytesMut::with_capacity(value.len() + 10);
        encode_key(number, WireType::LengthDelimited, &mut raw);
        encode_varint(value.len() as u64, &mut raw);
        raw.extend_from_slice(value);
        let raw = raw.freeze();
        Self { number, value: Value::Bytes(raw.slice(raw.len() - value.len()..)), raw }
    }
}

// === Value ===

impl Value {
    fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) | Self::Fixed => None,
        }
    }
}

#[cfg(test)]
mod tests;
