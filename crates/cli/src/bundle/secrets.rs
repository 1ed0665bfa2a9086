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
const NAMES: [&str; 6] = ["token", "secret", "password", "authorization", "api_key", "credential"];
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
        if file.name.ends_with(".json") && has_prompt(&file.text) {
            file.text = page(&file.text, &mut count).into_owned();
        }
        if file.name.ends_with(".jsonl") && has_prompt(&file.text) {
            file.text = file.text.lines().map(|line| page(line, &mut count).into_owned() + "\n").collect();
        }
        if file.name.ends_with(".toml") {
            let lines = file.text.lines().map(|line| setting(line, &mut count).into_owned() + "\n");
            file.text = lines.collect();
        }
        count + self.remove_from(&mut file.text)
    }

    /// Out of any text.
    pub(super) fn remove_from(&self, text: &mut String) -> usize {
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

fn has_prompt(text: &str) -> bool {
    PROMPTS.into_iter().any(|key| text.contains(&format!("\"{key}\"")))
}

/// A document without prompts. What is none stays as it is.
fn page<'t>(text: &'t str, count: &mut usize) -> Cow<'t, str> {
    let Ok(mut page) = serde_json::from_str::<Value>(text) else { return Cow::Borrowed(text) };
    let found = without_prompts(&mut page);
    *count += found;
    if found == 0 { Cow::Borrowed(text) } else { Cow::Owned(page.to_string()) }
}

fn without_prompts(page: &mut Value) -> usize {
    match page {
        Value::Object(fields) => fields
            .iter_mut()
            .map(|(key, value)| {
                if PROMPTS.contains(&&**key) && (value.is_string() || value.is_array() || value.is_object()) {
                    *value = REMOVED.into();
                    return 1;
                }
                without_prompts(value)
            })
            .sum(),
        Value::Array(items) => items.iter_mut().map(without_prompts).sum(),
        _ => 0,
    }
}

/// A line of settings without its value, where that is a secret.
fn setting<'l>(line: &'l str, count: &mut usize) -> Cow<'l, str> {
    let Some((name, value)) = line.split_once(" = ") else { return Cow::Borrowed(line) };
    let is_secret = NAMES.into_iter().any(|word| name.contains(word)) && !name.ends_with("file");
    if !is_secret || value.starts_with("\"\"") {
        return Cow::Borrowed(line);
    }
    *count += 1;
    Cow::Owned(format!("{name} = \"{REMOVED}\""))
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
mod tests {
    use super::*;

    fn removed(name: &'static str, text: &str) -> (String, usize) {
        let secrets = Secrets { tokens: vec!["s3cret-token".to_owned()] };
        let mut file = File { name, text: text.to_owned() };
        let count = secrets.remove(&mut file);
        (file.text, count)
    }

    #[test]
    fn what_gives_access_does_not_stay() {
        for (text, left) in [
            ("a s3cret-token b", "a [removed] b"),
            ("Authorization: Bearer abcdef123456, x", "Authorization: Bearer [removed], x"),
            ("BEARER abcdefghij", "BEARER [removed]"),
            ("basic dXNlcjpwYXNz=", "basic [removed]"),
            ("to http://me:word@host:80/x", "to http://[removed]@host:80/x"),
        ] {
            assert_eq!(removed("a.txt", text), (left.to_owned(), 1), "{text}");
        }
        for text in ["the bearer of it", "http://host/a@b", "mail a@b", "Größe bearer ü"] {
            assert_eq!(removed("a.txt", text), (text.to_owned(), 0), "{text}");
        }
    }

    #[test]
    fn settings_keep_where_a_secret_lies_and_not_what_it_is() {
        let (text, count) =
            removed("a.toml", "token_file = \"/a\"\napi_key = \"k\"\nmore = 1\ntoken = \"\"\n");
        assert_eq!(text, "token_file = \"/a\"\napi_key = \"[removed]\"\nmore = 1\ntoken = \"\"\n");
        assert_eq!(count, 1);
    }

    #[test]
    fn a_prompt_on_a_page_does_not_stay() {
        let (text, count) =
            removed("a.json", r#"{"a":[{"prompt":"hello","prompt_tokens":3}],"messages":[{"role":"x"}]}"#);
        assert_eq!(count, 2);
        assert!(
            !text.contains("hello") && !text.contains("role") && text.contains("\"prompt_tokens\":3"),
            "{text}"
        );
        let as_it_is = r#"{"a":  {"prompt_tokens":3}}"#;
        assert_eq!(removed("a.json", as_it_is), (as_it_is.to_owned(), 0));
    }
}
