//! Takes secrets and prompts out of a text. Pure but for the token that this program itself knows.
//!
//! No page has any: this is for what an operator's settings, an engine's message or another version may say all the same.

use std::{borrow::Cow, fs, path::Path};

use serde_json::Value;

use super::File;

/// What stands in their place.
const REMOVED: &str = "[removed]";
/// Shorter ones are words of any text.
const LEAST_TOKEN: usize = 6;
/// Schemes of an `Authorization`.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];
/// Words in the name of a setting whose value is one; of one that ends with `file` it is where that lies.
const NAMES: [&str; 7] = ["token", "secret", "password", "authorization", "api_key", "apikey", "credential"];
/// Keys of bodies by which prompts are sent.
const PROMPTS: [&str; 6] = ["prompt", "messages", "input", "content", "instructions", "body"];

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    tokens: Vec<String>,
}

// === Secrets ===

impl Secrets {
    /// With the tokens that this program was given.
    pub(super) fn known(token_file: Option<&Path>) -> Self {
        let of_file = token_file.and_then(|file| fs::read_to_string(file).ok());
        let given = of_file.into_iter().chain(std::env::var(crate::changes::TOKEN));
        let tokens = given.map(|token| token.trim().to_owned()).filter(|token| token.len() >= LEAST_TOKEN);
        Self { tokens: tokens.collect() }
    }

    /// Out of a file; how many there were.
    pub(super) fn remove(&self, file: &mut File) -> usize {
        let mut count = 0;
        if file.name.ends_with(".json") {
            file.text = page(&file.text, &mut count).into_owned();
        } else if file.name.ends_with(".jsonl") {
            file.text = file.text.lines().map(|line| page(line, &mut count).into_owned() + "\n").collect();
        } else {
            file.text = lines(&file.text, &mut count);
        }
        if file.name.ends_with(".toml") {
            file.text = file.text.lines().map(|line| setting(line, &mut count) + "\n").collect();
        }
        count + self.remove_from(&mut file.text)
    }

    /// Out of a text that is no file.
    pub(super) fn remove_from_text(&self, text: &mut String) -> usize {
        let mut count = 0;
        *text = lines(text, &mut count);
        count + self.remove_from(text)
    }

    /// Tokens and credentials.
    fn remove_from(&self, text: &mut String) -> usize {
        let mut count = 0;
        for token in &self.tokens {
            count += text.matches(token).count();
            if text.contains(token) {
                *text = text.replace(token, REMOVED);
            }
        }
        SCHEMES.into_iter().for_each(|scheme| count += credentials(text, scheme));
        count + users(text)
    }
}

/// A document without prompts and secrets. What is none is a text like any other.
fn page<'t>(text: &'t str, count: &mut usize) -> Cow<'t, str> {
    // Of most pages that is all there is to do.
    if !has_word(text) {
        return Cow::Borrowed(text);
    }
    let Ok(mut page) = serde_json::from_str::<Value>(text) else { return Cow::Owned(lines(text, count)) };
    let found = clear(&mut page);
    *count += found;
    if found == 0 { Cow::Borrowed(text) } else { Cow::Owned(page.to_string()) }
}

fn has_word(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    PROMPTS.into_iter().any(|key| lower.contains(key)) || NAMES.into_iter().any(|name| lower.contains(name))
}

fn clear(page: &mut Value) -> usize {
    match page {
        Value::Object(fields) => {
            let each = fields.iter_mut().map(|(key, value)| {
                if is_prompt(key, value) || (is_secret(key) && has_secret(value)) {
                    *value = REMOVED.into();
                    return 1;
                }
                clear(value)
            });
            each.sum()
        }
        Value::Array(items) => items.iter_mut().map(clear).sum(),
        Value::String(text) if has_body(text) => {
            REMOVED.clone_into(text);
            1
        }
        _ => 0,
    }
}

fn is_prompt(key: &str, value: &Value) -> bool {
    PROMPTS.contains(&key) && (value.is_string() || value.is_array() || value.is_object())
}

/// By the name of a setting or a field.
fn is_secret(name: &str) -> bool {
    // What has to do with tokens of a text is none.
    let name = name.to_ascii_lowercase().replace('-', "_").replace("tokenize", "");
    NAMES.into_iter().any(|word| name.contains(word)) && !name.ends_with("file")
}

/// Numbers are counts: of tokens, of failed authorizations.
fn has_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(has_secret),
        _ => false,
    }
}

/// Whether a text quotes a body with a prompt, as JSON, as JSON within another text, or as Python does.
fn has_body(text: &str) -> bool {
    PROMPTS.into_iter().any(|key| {
        text.match_indices(key).any(|(at, _)| {
            let quoted = text[..at].ends_with(['"', '\'']);
            let rest = text[at + key.len()..].trim_start_matches('\\');
            let rest = rest.strip_prefix(['"', '\'']).map(str::trim_start);
            quoted && rest.is_some_and(|rest| rest.starts_with(':'))
        })
    })
}

/// A text without the lines that quote a body.
fn lines(text: &str, count: &mut usize) -> String {
    let kept = text.split_inclusive('\n').map(|line| {
        if !has_body(line) {
            return Cow::Borrowed(line);
        }
        *count += 1;
        Cow::Owned(format!("{REMOVED}{}", if line.ends_with('\n') { "\n" } else { "" }))
    });
    kept.collect()
}

/// A line of settings without the values of those that are secrets, also within a table that stands in it.
fn setting(line: &str, count: &mut usize) -> String {
    let (mut kept, mut rest) = (String::new(), line);
    while let Some(at) = outside(rest, '=') {
        let (before, after) = rest.split_at(at + 1);
        kept += before;
        let name = before[..at].trim_end().trim_end_matches(['"', '\'']);
        let name = name.rsplit(['{', ',', '"', '\'', ' ']).next().unwrap_or_default();
        let blanks = after.len() - after.trim_start().len();
        let value = &after[blanks..];
        let length = text_or_list(value);
        rest = after;
        if length > 2 && is_secret(name) {
            *count += 1;
            kept += &after[..blanks];
            kept += &format!("\"{REMOVED}\"");
            rest = &value[length..];
        }
    }
    kept + rest
}

/// Where this character stands, but for texts and comments.
fn outside(line: &str, wanted: char) -> Option<usize> {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == wanted => return Some(at),
            None if c == '#' => return None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    None
}

/// The length of the text, or the list, that this begins with; 0: it is neither. What does not end is all of it.
fn text_or_list(value: &str) -> usize {
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            // An escaped quote ends none.
            let mut escaped = false;
            let end = value[1..].find(|c| {
                let ends = c == quote && !escaped;
                escaped = c == '\\' && quote == '"' && !escaped;
                ends
            });
            end.map_or(value.len(), |end| end + 2)
        }
        Some('[') => outside(value, ']').map_or(value.len(), |end| end + 1),
        _ => 0,
    }
}

/// What stands behind the name of a scheme.
fn credentials(text: &mut String, scheme: &str) -> usize {
    // Letters of ASCII keep their place in lower case.
    let lower = text.to_ascii_lowercase();
    let is_of_it = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    let found = lower.match_indices(scheme).filter_map(|(at, _)| {
        let begin = at + scheme.len();
        let length = text[begin..].find(|c| !is_of_it(c)).unwrap_or(text.len() - begin);
        // "bearer of" is a phrase.
        (length >= LEAST_TOKEN + 2).then_some((begin, begin + length))
    });
    cut(text, &found.collect::<Vec<_>>())
}

/// `user:password@` in an address.
fn users(text: &mut String) -> usize {
    let is_end = |c: char| c.is_whitespace() || "/\"'<>,;)".contains(c);
    let found = text.match_indices("://").filter_map(|(at, scheme)| {
        let begin = at + scheme.len();
        let authority = &text[begin..begin + text[begin..].find(is_end).unwrap_or(text.len() - begin)];
        Some((begin, begin + authority.rfind('@')?))
    });
    cut(text, &found.collect::<Vec<_>>())
}

/// Puts the mark in the place of each of these, which stand in order and apart from each other.
fn cut(text: &mut String, found: &[(usize, usize)]) -> usize {
    let (mut rest, mut from) = (String::new(), 0);
    for (begin, end) in found {
        // One that begins within the last is gone with it.
        if *begin >= from {
            rest += &text[from..*begin];
            rest += REMOVED;
            from = *end;
        }
    }
    if !found.is_empty() {
        rest += &text[from..];
        *text = rest;
    }
    found.len()
}

#[cfg(test)]
mod tests;
