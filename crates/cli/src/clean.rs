//! Text that others wrote, made harmless for a terminal.
//!
//! A name may hold anything. What could move the cursor, change colours, answer to the terminal's own input, reverse the order of
//! what follows or hide does not pass: it is shown as an escape. Pure.

use std::{borrow::Cow, fmt::Write as _};

/// The same with `\u{..}` for what must not reach a terminal, line ends too.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hostile(c) {
            clean.extend(c.escape_unicode());
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// The form of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The escapes mean the characters: it holds the same as before.
    Json,
    /// The same between double quotes. A name without quotes gets the escapes as its text.
    Yaml,
}

/// A document, in which only strings can hold such a character: the same with the form's escapes for it. Line ends stay, they
/// are the form's own.
pub fn escape(document: &str, form: Form) -> Cow<'_, str> {
    let is_hostile = |c| c != '\n' && is_hostile(c);
    if !document.chars().any(is_hostile) {
        return Cow::Borrowed(document);
    }
    let mut escaped = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if !is_hostile(c) {
            escaped.push(c);
            continue;
        }
        // Writing to a string does not fail.
        let _ = match (form, u16::try_from(u32::from(c))) {
            (_, Ok(code)) => write!(escaped, "\\u{code:04x}"),
            (Form::Yaml, Err(_)) => write!(escaped, "\\U{:08x}", u32::from(c)),
            (Form::Json, Err(_)) => {
                c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(escaped, "\\u{unit:04x}"))
            }
        };
    }
    Cow::Owned(escaped)
}

fn is_hostile(c: char) -> bool {
    // All of C0, DEL and C1; ESC and CSI are among them.
    c.is_control()
        || matches!(
            c,
            // No width, or joins what it stands between.
            '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}'
            // Marks, embeddings, overrides and isolates of direction.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Ends of lines and paragraphs.
            | '\u{2028}' | '\u{2029}'
            // Shaping, annotations and tags, none of which is seen.
            | '\u{206a}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_passes() {
        let cases = [
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("a\r\nb\tc\u{8}\u{7f}\0", "a\\u{d}\\u{a}b\\u{9}c\\u{8}\\u{7f}\\u{0}"),
            ("\u{202e}drowssap", "\\u{202e}drowssap"),
            ("\u{2066}\u{2069}\u{61c}\u{200b}", "\\u{2066}\\u{2069}\\u{61c}\\u{200b}"),
            ("\u{e0041}", "\\u{e0041}"),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn names_in_any_script_stay_as_they_are() {
        for name in ["qwen3-32b", "Größe", "模型", "модель", "نموذج", "🚀"] {
            assert_eq!(clean(name), name);
            assert!(matches!(clean(name), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn an_escaped_document_means_the_same() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{9b}1m", "\u{e0041}", "plain\n", "\u{1b}"] });
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        let escaped = escape(&text, Form::Json);
        assert!(!escaped.chars().any(|c| c != '\n' && is_hostile(c)), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).expect("JSON"), value);
    }
}
