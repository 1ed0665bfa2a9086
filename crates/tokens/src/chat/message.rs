//! One message of a chat, read as vLLM reads it.

use std::fmt;

use minijinja::Value;
use minijinja::value::ValueKind;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::parts::{self, Part};
use crate::Unresolved;
use crate::canonical::Walk;

/// A message: who says it, its texts, and whatever else a template may read of it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) parts: Vec<Part>,
    /// Whether the content is handed on as one text even where contents are lists.
    pub(super) plain: bool,
    /// What stands beside the content.
    pub(super) more: Vec<(&'static str, Value)>,
    /// Canonical offset of the byte with which it ends.
    pub(super) end: usize,
    /// Whether all that its text depends on comes before the text.
    pub(super) streams: bool,
}

/// The fields of an object in their order, read no further.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

/// Reads a part of the body that is known to be JSON.
pub(super) fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Unresolved> {
    serde_json::from_str(raw.get()).map_err(|_| Unresolved::Shape)
}

// === Message ===

impl Message {
    /// Reads the message that comes next on the walk.
    pub(super) fn read(raw: &RawValue, walk: &mut Walk) -> Result<Self, Unresolved> {
        let fields: Fields = parse(raw)?;
        let role: String = fields.get("role").ok_or(Unresolved::Shape)?;
        let content = fields.raw("content");
        let (parts, alone) =
            content.map(|content| parts::read(&role, content, walk)).transpose()?.unwrap_or_default();
        let mut message = Self {
            plain: role == "tool" && parts.iter().all(Part::is_text),
            more: Vec::new(),
            end: walk.offset_of(&raw.get()[raw.get().len()..]) - 1,
            // What an assistant says may be followed by the tools that it calls, which some templates render before it.
            streams: alone && role != "assistant" && fields.end_with_content(),
            role,
            parts,
        };
        message.add_more(&fields)?;
        Ok(message)
    }

    fn add_more(&mut self, fields: &Fields) -> Result<(), Unresolved> {
        match self.role.as_str() {
            "assistant" => {
                let calls = fields.raw("tool_calls").map(calls).transpose()?.unwrap_or_default();
                if !calls.is_empty() {
                    self.more.push(("tool_calls", Value::from(calls)));
                }
                let reasoning = fields.get::<String>("reasoning").or_else(|| fields.get("reasoning_content"));
                if let Some(reasoning) = reasoning {
                    let reasoning = Value::from(reasoning);
                    self.more.extend([("reasoning", reasoning.clone()), ("reasoning_content", reasoning)]);
                }
            }
            "tool" => self.more.extend(fields.get::<Value>("tool_call_id").map(|id| ("tool_call_id", id))),
            _ => {}
        }
        self.more.extend(fields.get::<String>("name").map(|name| ("name", Value::from(name))));
        self.more.extend(fields.get::<String>("task").map(|task| ("task", Value::from(task))));
        if self.role == "developer" {
            self.more.push(("tools", fields.get("tools").unwrap_or_else(|| Value::from(()))));
        }
        Ok(())
    }
}

/// Calls of tools: known fields first, arguments decoded.
fn calls(raw: &RawValue) -> Result<Vec<Value>, Unresolved> {
    parse::<Vec<Fields>>(raw)?.iter().map(call).collect()
}

fn call(fields: &Fields) -> Result<Value, Unresolved> {
    let function: Fields = fields.get("function").ok_or(Unresolved::Shape)?;
    let id: String = fields.get("id").ok_or(Unresolved::Shape)?;
    let name: String = function.get("name").ok_or(Unresolved::Shape)?;
    let arguments: String = function.get("arguments").ok_or(Unresolved::Shape)?;
    if fields.get::<String>("type").as_deref() != Some("function") {
        return Err(Unresolved::Shape);
    }
    // Templates expect a mapping: what is none is an empty one.
    let arguments =
        serde_json::from_str(&arguments).ok().filter(|decoded: &Value| decoded.kind() == ValueKind::Map);
    let arguments = arguments.unwrap_or_else(|| Value::from_pairs(std::iter::empty::<(String, Value)>()));
    let known = [("arguments".to_owned(), arguments), ("name".to_owned(), Value::from(name))];
    let function = Value::from_pairs(known.into_iter().chain(function.others(&["arguments", "name"])?));
    let known = [
        ("id".to_owned(), Value::from(id)),
        ("function".to_owned(), function),
        ("type".to_owned(), Value::from("function")),
    ];
    Ok(Value::from_pairs(known.into_iter().chain(fields.others(&["id", "function", "type"])?)))
}

// === Fields ===

impl<'a> Fields<'a> {
    /// A field; of several with one name the last, as in Python.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// A field of a certain kind, unless it is null or of another.
    pub(super) fn get<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        self.raw(name).filter(|raw| raw.get() != "null").and_then(|raw| parse(raw).ok())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|raw| raw.get() != "null")
    }

    /// The fields that are not known.
    pub(super) fn others(&self, known: &[&str]) -> Result<Vec<(String, Value)>, Unresolved> {
        let others = self.0.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        others.map(|(name, raw)| Ok((name.clone(), parse(raw)?))).collect()
    }

    /// The names of the fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Whether the content comes last, behind nothing but what a message usually says of itself.
    fn end_with_content(&self) -> bool {
        let [before @ .., (last, _)] = &self.0[..] else { return false };
        let usual = |name: &str| matches!(name, "role" | "name" | "tool_call_id");
        last == "content" && before.iter().all(|(name, _)| usual(name))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(InOrder).map(Self)
    }
}
