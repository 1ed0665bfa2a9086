//! From the body of a chat to the text that the engine's tokenizer gets, and where each part of it comes from.
//!
//! The conversation is rendered as vLLM 0.32 does it, then once more with marks in place of the texts, to find each text in
//! what was rendered.

mod conversation;
mod message;
mod origin;
mod parts;
mod steady;
mod tools;

use std::collections::BTreeMap;

use minijinja::Value;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::settled::Rendered;
use crate::template::{Template, Templates};
use crate::{Unresolved, canonical};

pub(crate) use self::steady::try_out;

use self::conversation::Conversation;

/// What transformers puts behind the last text of a conversation that is to be continued, and finds again.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";
/// Names that a request's own variables must not take: the engine refuses them, or renders something else entirely.
const TAKEN: [&str; 12] = [
    "add_generation_prompt",
    "continue_final_message",
    "conversation",
    "max_length",
    "messages",
    "padding",
    "return_assistant_tokens_mask",
    "return_dict",
    "return_tensors",
    "tokenize",
    "tools",
    "truncation",
];

/// The fields of a chat that its prompt depends on.
#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    functions: Option<&'a RawValue>,
    documents: Option<Vec<Value>>,
    add_generation_prompt: Option<bool>,
    continue_final_message: Option<bool>,
    add_special_tokens: Option<bool>,
    reasoning_effort: Option<String>,
    chat_template: Option<IgnoredAny>,
    chat_template_kwargs: Option<BTreeMap<String, Value>>,
    truncate_prompt_tokens: Option<IgnoredAny>,
    kv_transfer_params: Option<IgnoredAny>,
}

/// What a template gets, but for the messages.
#[derive(Debug)]
struct Setting<'a> {
    templates: &'a Templates,
    template: &'a Template,
    variables: BTreeMap<String, Value>,
    to_continue: bool,
}

/// The text of a chat, and whether special tokens are put around it.
pub(crate) fn read(
    templates: &Templates,
    named: &[(String, String)],
    body: &[u8],
) -> Result<(Rendered, bool), Unresolved> {
    let body: Body = serde_json::from_slice(body).map_err(|_| Unresolved::Json)?;
    body.check()?;
    let tools = body.tools.map(tools::read).transpose()?;
    let template = templates.choose(tools.is_some()).ok_or(Unresolved::NoTemplate)?;
    let conversation = Conversation::read(body.messages)?.for_template(template);
    let setting = Setting {
        templates,
        template,
        variables: body.variables(named, tools)?,
        to_continue: body.continue_final_message == Some(true),
    };
    let text = setting.render(&conversation.real(template.format), true)?;
    let earlier = [body.tools, body.functions];
    let segments =
        if body.is_ordinary() { origin::trace(&setting, &conversation, &text) } else { Vec::new() };
    let rendered = Rendered {
        text,
        segments,
        earlier: earlier.iter().flatten().map(|section| canonical::section_len(section.get())).collect(),
        length: canonical::section_len(body.messages.get()),
    };
    Ok((rendered, body.add_special_tokens == Some(true)))
}

// === Body ===

impl Body<'_> {
    fn check(&self) -> Result<(), Unresolved> {
        let kwargs = self.chat_template_kwargs.as_ref();
        let has = |name: &str| kwargs.is_some_and(|kwargs| kwargs.contains_key(name));
        if self.chat_template.is_some() || has("chat_template") {
            return Err(Unresolved::OwnTemplate);
        }
        if self.truncate_prompt_tokens.is_some() {
            return Err(Unresolved::Cut);
        }
        // The engine renders no conversation where tokens came with the request, and refuses to do both: continue a
        // message and open another.
        let torn = self.continue_final_message == Some(true) && self.add_generation_prompt.unwrap_or(true);
        if self.kv_transfer_params.is_some() || torn || TAKEN.iter().any(|name| has(name)) {
            return Err(Unresolved::Shape);
        }
        Ok(())
    }

    /// Whether the prompt depends on nothing but what the canonical text holds.
    fn is_ordinary(&self) -> bool {
        let kwargs = self.chat_template_kwargs.as_ref().is_none_or(BTreeMap::is_empty);
        kwargs
            && self.documents.is_none()
            && self.reasoning_effort.is_none()
            && self.add_special_tokens != Some(true)
    }

    fn variables(
        &self,
        named: &[(String, String)],
        tools: Option<Value>,
    ) -> Result<BTreeMap<String, Value>, Unresolved> {
        let mut variables: BTreeMap<String, Value> =
            named.iter().map(|(name, token)| (name.clone(), Value::from(token.as_str()))).collect();
        variables.extend(self.chat_template_kwargs.clone().unwrap_or_default());
        if let Some(effort) = &self.reasoning_effort {
            variables.insert("reasoning_effort".to_owned(), Value::from(effort.as_str()));
            variables.entry("enable_thinking".to_owned()).or_insert_with(|| Value::from(effort != "none"));
        }
        if let Some(documents) = &self.documents {
            variables.insert("documents".to_owned(), Value::from(documents.clone()));
        }
        variables.entry("documents".to_owned()).or_insert_with(|| Value::from(()));
        variables.insert("tools".to_owned(), tools.unwrap_or_else(|| Value::from(())));
        variables.insert(
            "add_generation_prompt".to_owned(),
            Value::from(self.add_generation_prompt.unwrap_or(true)),
        );
        Ok(variables)
    }
}

// === Setting ===

impl Setting<'_> {
    /// What the template makes of messages; `last` where these are all, so that the last of them may be continued.
    fn render(&self, messages: &conversation::Messages, last: bool) -> Result<String, Unresolved> {
        let to_continue = last && self.to_continue;
        if to_continue && !self.template.reads_content {
            return Err(Unresolved::Template);
        }
        let mut variables = self.variables.clone();
        variables.insert("messages".to_owned(), messages.value(to_continue.then_some(TAG))?);
        if !last {
            variables.insert("add_generation_prompt".to_owned(), Value::from(false));
        }
        let text = self.templates.render(self.template, Value::from(variables))?;
        if to_continue { continued(text) } else { Ok(text) }
    }
}

/// The text up to the end of its last message.
fn continued(mut text: String) -> Result<String, Unresolved> {
    let at = text.rfind(TAG.trim_end()).ok_or(Unresolved::Template)?;
    let spaced = text[at..].starts_with(TAG);
    text.truncate(at);
    if !spaced {
        // The template trims what it gets, and with it the space that ends the tag.
        text.truncate(text.trim_end().len());
    }
    Ok(text)
}
