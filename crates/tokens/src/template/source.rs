//! Reading a template's source for what running it does not tell.
//!
//! Two things: `{% generation %}` blocks, which mark what the model said and are no business of ours, become scopes; and
//! the format of contents is found as vLLM finds it: a template that loops over the content of a message takes lists of
//! parts, any other takes text.

mod format;

use std::borrow::Cow;

pub(crate) use format::Format;

/// A tag or an expression of a template: `{% ... %}` or `{{ ... }}`.
#[derive(Debug)]
struct Tag<'a> {
    /// Whether it is `{% ... %}`.
    statement: bool,
    words: Vec<Word<'a>>,
}

/// A name, a string with its quotes, a number, or one other character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word<'a> {
    at: usize,
    text: &'a str,
}

/// The source with nothing in it that our Jinja does not know.
pub(super) fn plain(source: &str) -> String {
    let mut plain = source.to_owned();
    for tag in tags(source).iter().rev().filter(|tag| tag.statement) {
        let [word] = tag.words[..] else { continue };
        let known = match word.text {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => continue,
        };
        plain.replace_range(word.at..word.at + word.text.len(), known);
    }
    plain
}

/// The tags of a template, comments and raw text left out.
fn tags(source: &str) -> Vec<Tag<'_>> {
    let (mut tags, mut at) = (Vec::new(), 0);
    while let Some(open) = source[at..].find('{').map(|offset| at + offset) {
        let rest = &source[open..];
        at = if rest.starts_with("{#") {
            rest.find("#}").map_or(source.len(), |end| open + end + 2)
        } else if rest.starts_with("{%") || rest.starts_with("{{") {
            let (tag, end) = tag(source, open);
            let raw = tag.statement && matches!(tag.words[..], [Word { text: "raw", .. }]);
            tags.push(tag);
            let skipped = if raw { source[end..].find("endraw").unwrap_or(source.len() - end) } else { 0 };
            end + skipped
        } else {
            open + 1
        };
    }
    tags
}

/// The tag that opens at `open`, and where it ends.
fn tag(source: &str, open: usize) -> (Tag<'_>, usize) {
    let statement = source[open..].starts_with("{%");
    let close = if statement { "%}" } else { "}}" };
    let mut tag = Tag { statement, words: Vec::new() };
    let mut at = open + 2;
    // A brace that is still open is a mapping's, and so is the one that closes it.
    let mut braces = 0_usize;
    while let Some(first) = source[at..].chars().next() {
        if braces == 0 && source[at..].starts_with(close) {
            if tag.words.last().is_some_and(|word| matches!(word.text, "-" | "+") && word.at + 1 == at) {
                tag.words.pop();
            }
            return (tag, at + 2);
        }
        let text = word(&source[at..], first);
        braces = match first {
            '{' => braces + 1,
            '}' => braces.saturating_sub(1),
            _ => braces,
        };
        let control = at == open + 2 && matches!(first, '-' | '+');
        if !first.is_whitespace() && !control {
            tag.words.push(Word { at, text });
        }
        at += text.len();
    }
    (tag, source.len())
}

fn word(rest: &str, first: char) -> &str {
    let length = match first {
        '"' | '\'' => quoted(rest, first),
        _ if first.is_alphanumeric() || first == '_' => {
            rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len())
        }
        _ => first.len_utf8(),
    };
    &rest[..length]
}

/// Length of the string at the head of `rest`, quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if !escaped && character == quote {
            return at + 1;
        }
        escaped = !escaped && character == '\\';
    }
    rest.len()
}

// === Word ===

impl Word<'_> {
    /// What a string says, if it is one without escapes.
    fn quoted(&self) -> Option<Cow<'_, str>> {
        let inner = self.text.strip_prefix(['"', '\''])?;
        Some(Cow::Borrowed(inner.strip_suffix(['"', '\''])?))
    }

    fn is_name(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}
