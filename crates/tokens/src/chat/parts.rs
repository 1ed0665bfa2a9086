//! The content of a message: one text, or a list of parts.

use minijinja::Value;
use serde_json::value::RawValue;

use super::message::{Fields, parse};
use crate::Unresolved;
use crate::canonical::Walk;

/// The line with which one client opens its system prompts. It differs from request to request, and vLLM drops it.
const BILLING_HEADER: &str = "x-anthropic-billing-header";
/// Fields of parts that vLLM knows, and so does not hand on beside the text.
const KNOWN: [&str; 18] = [
    "audio_embeds",
    "audio_url",
    "closed",
    "data",
    "file",
    "image_embeds",
    "image_pil",
    "image_url",
    "input_audio",
    "name",
    "prompt_cache_breakpoint",
    "refusal",
    "text",
    "thinking",
    "type",
    "uuid",
    "video_embeds",
    "video_url",
];

/// A piece of a message's content.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Canonical offset of the text's first byte.
    pub(super) at: usize,
    /// What else it says; handed on where contents are lists.
    pub(super) more: Vec<(String, Value)>,
}

/// What the text of a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// The name of a tool.
    ToolReference,
}

/// The parts of a content, and whether each text depends on nothing that comes behind it.
pub(super) fn read(role: &str, content: &RawValue, walk: &mut Walk) -> Result<(Vec<Part>, bool), Unresolved> {
    let mut parts = Vec::new();
    let mut alone = true;
    match content.get().as_bytes().first() {
        Some(b'n') => {}
        Some(b'"') => parts.push(Part::text(content, walk)?),
        Some(b'[') => {
            for raw in parse::<Vec<&RawValue>>(content)? {
                let (part, is_alone) = one(raw, walk)?;
                alone &= is_alone;
                parts.extend(part);
            }
        }
        _ => return Err(Unresolved::Shape),
    }
    if role == "system" {
        parts.retain_mut(Part::drop_billing_header);
    }
    Ok((parts, alone))
}

fn one(raw: &RawValue, walk: &mut Walk) -> Result<(Option<Part>, bool), Unresolved> {
    if raw.get().starts_with('"') {
        return Ok((Some(Part::text(raw, walk)?), true));
    }
    let fields: Fields = parse(raw)?;
    let stated: Option<String> = fields.get("type");
    let (kind, field) = match stated.as_deref() {
        _ if fields.has("uuid") => return Err(Unresolved::NotText),
        Some("text" | "input_text" | "output_text") => (Kind::Text, "text"),
        Some("thinking") => (Kind::Text, "thinking"),
        Some("refusal") => (Kind::Text, "refusal"),
        Some("tool_reference") => (Kind::ToolReference, "name"),
        Some(kind) if KNOWN.contains(&kind) || matches!(kind, "input_image" | "prompt_embeds") => {
            return Err(Unresolved::NotText);
        }
        None if fields.names().any(|name| KNOWN.contains(&name) && name != "text") => {
            return Err(Unresolved::NotText);
        }
        _ => return Err(Unresolved::Shape),
    };
    let empty = !fields.has(field);
    if empty && matches!(stated.as_deref(), Some("text" | "refusal")) {
        return Ok((None, false));
    }
    let mut part = Part::text(fields.raw(field).ok_or(Unresolved::Shape)?, walk)?;
    part.kind = kind;
    part.more = if kind == Kind::Text { fields.others(&KNOWN)? } else { Vec::new() };
    let names: Vec<&str> = fields.names().collect();
    Ok((Some(part), names == ["type", field]))
}

// === Part ===

impl Part {
    fn text(raw: &RawValue, walk: &mut Walk) -> Result<Self, Unresolved> {
        let text = parse(raw)?;
        Ok(Self { kind: Kind::Text, text, at: walk.offset_of(raw.get()) + 1, more: Vec::new() })
    }

    /// A text that is in no message.
    pub(super) fn said(text: String) -> Self {
        Self { kind: Kind::Text, text, at: 0, more: Vec::new() }
    }

    pub(super) fn is_text(&self) -> bool {
        self.kind == Kind::Text
    }

    /// Drops the header line, if there is one; false where nothing is left.
    fn drop_billing_header(&mut self) -> bool {
        if !self.text.starts_with(BILLING_HEADER) {
            return true;
        }
        let line = self.text.find('\n').map_or(self.text.len(), |end| end + 1);
        self.text.drain(..line);
        self.at += line;
        !self.text.is_empty()
    }
}
