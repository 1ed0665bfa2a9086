//! The chat template: messages of all three chat APIs as one text.
//!
//! `<|im_start|>role\ncontent<|im_end|>\n` for each message, tools first as JSON, then the opening of
//! the answer. So a longer conversation begins with the text of a shorter one.

use serde_json::Value;

use super::ask::Fields;
use crate::error::Error;

/// Text of a /v1/chat/completions body (also of /tokenize with messages).
pub(super) fn chat(fields: &Fields) -> Result<String, Error> {
    let mut text = String::new();
    tools(fields, &mut text);
    for message in fields.list("messages")? {
        push_message(&mut text, message);
    }
    Ok(opened(text))
}

/// Text of a /v1/responses body.
pub(super) fn responses(fields: &Fields) -> Result<String, Error> {
    let mut text = String::new();
    tools(fields, &mut text);
    if let Some(instructions) = fields.text("instructions")? {
        push(&mut text, "system", instructions);
    }
    match fields.require("input")? {
        Value::Array(messages) => messages.iter().for_each(|message| push_message(&mut text, message)),
        input => push(&mut text, "user", &content(input)),
    }
    Ok(opened(text))
}

/// Text of a /v1/messages body.
pub(super) fn messages(fields: &Fields) -> Result<String, Error> {
    let mut text = String::new();
    tools(fields, &mut text);
    if let Some(system) = fields.get("system") {
        push(&mut text, "system", &content(system));
    }
    for message in fields.list("messages")? {
        push_message(&mut text, message);
    }
    Ok(opened(text))
}

fn tools(fields: &Fields, text: &mut String) {
    if let Some(tools) =
        fields.get("tools").filter(|tools| tools.as_array().is_some_and(|list| !list.is_empty()))
    {
        push(text, "tools", &tools.to_string());
    }
}

fn push_message(text: &mut String, message: &Value) {
    let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
    let mut words = message.get("content").map(content).unwrap_or_default();
    if let Some(calls) = message.get("tool_calls") {
        words.push_str(&calls.to_string());
    }
    push(text, role, &words);
}

/// Content is text, or a list of parts; a part that is not text counts as its JSON.
fn content(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| {
                part.get("text").and_then(Value::as_str).map_or_else(|| part.to_string(), str::to_owned)
            })
            .collect(),
        other => other.to_string(),
    }
}

fn push(text: &mut String, role: &str, words: &str) {
    text.push_str("<|im_start|>");
    text.push_str(role);
    text.push('\n');
    text.push_str(words);
    text.push_str("<|im_end|>\n");
}

fn opened(mut text: String) -> String {
    text.push_str("<|im_start|>assistant\n");
    text
}
