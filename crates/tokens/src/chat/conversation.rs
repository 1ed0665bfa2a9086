//! The messages of a chat, as a template gets them: with their texts, or with marks in place of them.

use minijinja::Value;
use serde_json::value::RawValue;

use super::message::{Message, parse};
use super::parts::Part;
use crate::Unresolved;
use crate::canonical::Walk;
use crate::template::{Format, Template};

/// Around the number of a text in the mark that stands for it: characters for private use, which no template looks for.
pub(super) const MARK: (char, char) = ('\u{f0000}', '\u{f0001}');

/// A chat.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    /// Whether texts of several messages were put together, so that no text lies in one place.
    pub(super) merged: bool,
}

/// Messages on their way to a template.
#[derive(Debug, Clone, Default)]
pub(super) struct Messages(Vec<Turn>);

#[derive(Debug, Clone)]
struct Turn {
    role: String,
    content: Content,
    more: Vec<(&'static str, Value)>,
}

#[derive(Debug, Clone)]
enum Content {
    Text(String),
    Parts(Vec<Given>),
}

/// A part: its type, the name of the field that has its text, the text, and the other fields.
#[derive(Debug, Clone)]
struct Given {
    kind: &'static str,
    field: &'static str,
    text: String,
    more: Vec<(String, Value)>,
}

// === Conversation ===

impl Conversation {
    pub(super) fn read(raw: &RawValue) -> Result<Self, Unresolved> {
        let mut walk = Walk::new(raw.get());
        let messages = parse::<Vec<&RawValue>>(raw)?;
        let messages: Vec<Message> = messages
            .into_iter()
            .map(|message| Message::read(message, &mut walk))
            .collect::<Result<_, _>>()?;
        if messages.is_empty() { Err(Unresolved::Shape) } else { Ok(Self { messages, merged: false }) }
    }

    /// What developers say is said by the system where a template does not know them, and the system speaks once.
    pub(super) fn for_template(mut self, template: &Template) -> Self {
        let is_developer = |message: &Message| message.role == "developer";
        if template.knows_developers || !self.messages.iter().any(is_developer) {
            return self;
        }
        for message in self.messages.iter_mut().filter(|message| message.role == "developer") {
            "system".clone_into(&mut message.role);
            message.more.retain(|(name, _)| *name != "tools");
        }
        if self.messages[1..].iter().any(Message::is_of_system) { self.merge() } else { self }
    }

    fn merge(mut self) -> Self {
        let (system, mut others): (Vec<Message>, Vec<Message>) =
            self.messages.into_iter().partition(Message::is_of_system);
        let texts = system.iter().map(|message| joined(message.parts.iter().map(|part| part.text.as_str())));
        let texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
        others.insert(0, Message::of_system(texts.join("\n\n")));
        self.messages = others;
        self.merged = true;
        self
    }

    /// The messages with their texts.
    pub(super) fn real(&self, format: Format) -> Messages {
        self.with(format, |_, part| part.text.clone())
    }

    /// The messages with a mark in place of each text; what is empty stays so.
    pub(super) fn marked(&self, format: Format) -> Messages {
        self.with(format, |number, part| if part.text.is_empty() { String::new() } else { mark(number) })
    }

    /// The texts by their numbers, each with the message that has it.
    pub(super) fn parts(&self) -> Vec<(&Message, &Part)> {
        self.messages
            .iter()
            .flat_map(|message| message.parts.iter().map(move |part| (message, part)))
            .collect()
    }

    fn with(&self, format: Format, text: impl Fn(usize, &Part) -> String) -> Messages {
        let mut number = 0;
        let turns = self.messages.iter().map(|message| {
            let given: Vec<Given> = message
                .parts
                .iter()
                .map(|part| {
                    let given = Given::new(part, text(number, part));
                    number += 1;
                    given
                })
                .collect();
            let content = match format {
                Format::Parts if !message.plain => Content::Parts(given),
                _ => Content::Text(joined(given.iter().map(|part| part.text.as_str()))),
            };
            Turn { role: message.role.clone(), content, more: message.more.clone() }
        });
        Messages(turns.collect())
    }
}

fn mark(number: usize) -> String {
    format!("{}{number}{}", MARK.0, MARK.1)
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<Vec<_>>().join("\n")
}

// === Message ===

impl Message {
    fn is_of_system(&self) -> bool {
        self.role == "system"
    }

    fn of_system(text: String) -> Self {
        Self {
            role: "system".to_owned(),
            parts: vec![Part::said(text)],
            plain: true,
            more: Vec::new(),
            end: 0,
            streams: false,
        }
    }
}

// === Messages ===

impl Messages {
    /// What the template gets, with `tag` behind the last text.
    pub(super) fn value(&self, tag: Option<&str>) -> Result<Value, Unresolved> {
        let mut turns = self.0.clone();
        if let Some(tag) = tag {
            let text =
                turns.last_mut().and_then(|turn| turn.content.last_text()).ok_or(Unresolved::Template)?;
            text.push_str(tag);
        }
        Ok(turns.into_iter().map(Turn::value).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether they end as requests do: with a question, or with what a tool found.
    pub(super) fn asks(&self) -> bool {
        self.asks_at(self.0.len())
    }

    /// Whether the first so many do.
    pub(super) fn asks_at(&self, count: usize) -> bool {
        let last = count.checked_sub(1).and_then(|last| self.0.get(last));
        last.is_some_and(|turn| matches!(turn.role.as_str(), "user" | "tool"))
    }

    /// The same conversation, one question later.
    pub(super) fn longer(&self, format: Format) -> Self {
        let ends = self.0.last().is_none_or(|turn| matches!(turn.role.as_str(), "assistant" | "system"));
        let longer = if ends { self.clone() } else { self.with("assistant", Vec::new(), format) };
        longer.with("user", Vec::new(), format)
    }

    /// The first messages of the conversation.
    pub(super) fn first(&self, count: usize) -> Self {
        Self(self.0[..count].to_vec())
    }

    /// The conversation with one more message in it, whose text is a mark.
    pub(super) fn with(&self, role: &str, more: Vec<(&'static str, Value)>, format: Format) -> Self {
        let text = mark(self.0.len());
        let content = match format {
            Format::Text => Content::Text(text),
            Format::Parts if role == "tool" => Content::Text(text),
            Format::Parts => {
                Content::Parts(vec![Given { kind: "text", field: "text", text, more: Vec::new() }])
            }
        };
        let mut longer = self.clone();
        longer.0.push(Turn { role: role.to_owned(), content, more });
        longer
    }
}

// === Turn ===

impl Turn {
    fn value(self) -> Value {
        let content = match self.content {
            Content::Text(text) => Value::from(text),
            Content::Parts(parts) => parts.into_iter().map(Given::value).collect(),
        };
        Value::from_pairs(
            [("role", Value::from(self.role)), ("content", content)].into_iter().chain(self.more),
        )
    }
}

// === Content ===

impl Content {
    fn last_text(&mut self) -> Option<&mut String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Parts(parts) => {
                parts.iter_mut().rev().find(|part| part.field == "text").map(|part| &mut part.text)
            }
        }
    }
}

// === Given ===

impl Given {
    fn new(part: &Part, text: String) -> Self {
        let (kind, field) = if part.is_text() { ("text", "text") } else { ("tool_reference", "name") };
        Self { kind, field, text, more: part.more.clone() }
    }

    fn value(self) -> Value {
        let known =
            [("type".to_owned(), Value::from(self.kind)), (self.field.to_owned(), Value::from(self.text))];
        Value::from_pairs(known.into_iter().chain(self.more))
    }
}
