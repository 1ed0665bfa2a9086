//! Whether what a template writes of messages stays the same, however the conversation goes on.
//!
//! Most templates write one message after another. Some look ahead: they leave out what the model thought before the last
//! question, or put the tools into the last message. What those write of a message holds for no other conversation, and
//! so settles nothing. Templates are tried once, when they are loaded, with short conversations of all kinds; those that
//! look ahead there, and conversations with thoughts in them, are tried each time.
//!
//! Not foreseen: conversations that end with what an assistant says (some templates write that differently where it is
//! the last message), and systems that speak up later (some put it first). What is settled may be wrong for those.

use std::collections::BTreeMap;

use minijinja::Value;

use super::Setting;
use super::conversation::{Conversation, MARK, Messages};
use crate::template::{Template, Templates};

/// How long the conversations are that a template is tried with, and what is said in them.
const TRIED: usize = 4;
const KINDS: [(&str, bool); 5] =
    [("system", false), ("user", false), ("assistant", false), ("assistant", true), ("tool", false)];
/// Messages that are tried as the last of their conversation. It takes a rendering each; what comes later is said not to
/// be steady.
const MOST_ENDS: usize = 64;
/// ... and so many messages in all of these renderings.
const MOST_MESSAGES: usize = 16_384;

/// Whether a template is steady, without tools and with them.
pub(crate) fn try_out(templates: &Templates, template: &Template, named: &[(String, String)]) -> [bool; 2] {
    [Value::from(()), Value::from(vec![tool()])].map(|tools| {
        let mut variables: BTreeMap<String, Value> =
            named.iter().map(|(name, token)| (name.clone(), Value::from(token.as_str()))).collect();
        variables.extend([("tools".to_owned(), tools), ("documents".to_owned(), Value::from(()))]);
        let setting = Setting { templates, template, variables, to_continue: false };
        goes_on(&setting, &Messages::default(), None)
    })
}

/// Whether all that may follow some messages leaves what is written of them as it was; `before` is what was written of
/// as many of them as a conversation may end with.
fn goes_on(setting: &Setting, messages: &Messages, before: Option<&str>) -> bool {
    messages.len() == TRIED
        || KINDS.iter().all(|(role, calls)| {
            let more = if *calls { vec![("tool_calls", Value::from(vec![call()]))] } else { Vec::new() };
            let longer = messages.with(role, more, setting.template.format);
            // What a template refuses is no conversation that goes on.
            let Ok(written) = setting.render(&longer, false) else { return true };
            let kept = before.is_none_or(|before| shared(before, &written) >= texts_end(before));
            let before = if longer.asks() { Some(written.as_str()) } else { before };
            kept && goes_on(setting, &longer, before)
        })
}

/// Up to where `shape`, which is written of a conversation in marks, is the same whatever follows.
pub(super) fn reach(setting: &Setting, conversation: &Conversation, marked: &Messages, shape: &str) -> usize {
    let thinks =
        conversation.messages.iter().any(|message| message.more.iter().any(|(name, _)| *name == "reasoning"));
    let with_tools = setting.variables.get("tools").is_some_and(Value::is_true);
    if setting.template.steady[usize::from(with_tools)] && !thinks && marked.asks() {
        return shape.len();
    }
    let Ok(longer) = setting.render(&marked.longer(setting.template.format), false) else { return 0 };
    let (end, common) = (texts_end(shape), shared(shape, &longer));
    let mut reach = if common < end { common } else { shape.len() };
    let (mut tried_up_to, mut left) = (0, MOST_MESSAGES);
    let ends = (1..marked.len()).filter(|count| marked.asks_at(*count));
    for (tried, count) in ends.enumerate() {
        if tried > MOST_ENDS || count > left {
            return reach.min(tried_up_to);
        }
        left -= count;
        let Ok(shorter) = setting.render(&marked.first(count), false) else { continue };
        let (end, common) = (texts_end(&shorter), shared(shape, &shorter));
        if common < end {
            reach = reach.min(common);
        }
        tried_up_to = end;
    }
    reach
}

fn shared(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

/// Where the last mark ends.
fn texts_end(shape: &str) -> usize {
    shape.rfind(MARK.1).map_or(0, |at| at + MARK.1.len_utf8())
}

fn tool() -> Value {
    let function = [("name", Value::from("f")), ("description", Value::from("d")), ("parameters", empty())];
    Value::from_pairs([("type", Value::from("function")), ("function", Value::from_pairs(function))])
}

fn call() -> Value {
    let function = Value::from_pairs([("arguments", empty()), ("name", Value::from("f"))]);
    Value::from_pairs([("id", Value::from("1")), ("function", function), ("type", Value::from("function"))])
}

fn empty() -> Value {
    Value::from_pairs(std::iter::empty::<(String, Value)>())
}
