//! Completions: a prompt that is a text, or tokens already.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::settled::{Blocks, Rendered, Segment, Source};
use crate::{Tokens, Unresolved, canonical};

/// The fields of a completion that its prompt depends on.
#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    add_special_tokens: Option<bool>,
    suffix: Option<IgnoredAny>,
    prompt_embeds: Option<IgnoredAny>,
    truncate_prompt_tokens: Option<IgnoredAny>,
}

/// The prompt of a completion. Of several the first: the engine runs each, and one decides where all go.
#[derive(Debug)]
pub(crate) enum Prompt {
    /// A text, and whether special tokens are put around it.
    Text(Rendered, bool),
    /// Tokens.
    Given(Tokens),
}

// === Prompt ===

impl Prompt {
    pub(crate) fn read(body: &[u8], block_bytes: u32) -> Result<Self, Unresolved> {
        let body: Body = serde_json::from_slice(body).map_err(|_| Unresolved::Json)?;
        if body.prompt_embeds.is_some() {
            return Err(Unresolved::NotText);
        }
        if body.truncate_prompt_tokens.is_some() {
            return Err(Unresolved::Cut);
        }
        let prompt = body.prompt.filter(|_| body.suffix.is_none()).ok_or(Unresolved::Shape)?.get();
        let special = body.add_special_tokens.unwrap_or(true);
        let first = prompt.strip_prefix('[').map(|rest| rest.trim_ascii_start().as_bytes());
        let (text, at) = match (prompt.as_bytes().first(), first) {
            (Some(b'"'), _) => (serde_json::from_str(prompt).map_err(|_| Unresolved::Json)?, 1),
            (_, Some([b'"', ..])) => (first_text(prompt)?, 2),
            (_, Some(_)) => return tokens(prompt, block_bytes).map(Self::Given),
            _ => return Err(Unresolved::Shape),
        };
        let whole = Segment { end: text.len(), source: Source::Running(at) };
        // Without the usual special tokens the same text is other tokens, so no text settles them.
        let segments = if special { vec![whole] } else { Vec::new() };
        let length = canonical::section_len(prompt);
        Ok(Self::Text(Rendered { text, segments, earlier: Vec::new(), length }, special))
    }
}

fn first_text(prompts: &str) -> Result<String, Unresolved> {
    let prompts: Vec<String> = serde_json::from_str(prompts).map_err(|_| Unresolved::Shape)?;
    prompts.into_iter().next().ok_or(Unresolved::Shape)
}

/// The numbers of the first list that has no lists in it. `prompt` is JSON.
fn tokens(prompt: &str, block_bytes: u32) -> Result<Tokens, Unresolved> {
    let blocks = Blocks::new(block_bytes, &[], canonical::section_len(prompt));
    let mut tokens = Tokens { ids: Vec::new(), blocks: Vec::new() };
    let (mut number, mut at, mut depth) = (None::<u32>, 0, 0);
    for byte in prompt.bytes() {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => continue,
            b'[' if tokens.ids.is_empty() && depth < 2 => depth += 1,
            b'0'..=b'9' => {
                let next = number
                    .unwrap_or(0)
                    .checked_mul(10)
                    .and_then(|tens| tens.checked_add(u32::from(byte - b'0')));
                number = Some(next.ok_or(Unresolved::Shape)?);
            }
            b',' | b']' => {
                // A number is known with the byte that ends it.
                tokens.ids.push(number.take().ok_or(Unresolved::Shape)?);
                tokens.blocks.push(blocks.up_to(at));
                if byte == b']' {
                    return Ok(tokens);
                }
            }
            _ => return Err(Unresolved::Shape),
        }
        at += 1;
    }
    Err(Unresolved::Shape)
}
