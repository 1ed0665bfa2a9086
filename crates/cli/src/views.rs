//! What each command shows: values that are written as a table, JSON or YAML. Pure; no value here knows where it came from.

use std::borrow::Cow;

use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::{
    args::Format,
    clean::{self, escape},
    error::CliError,
    screen::{Screen, Tone},
};

mod agents;
mod changed;
mod decisions;
pub(crate) mod endpoints;
mod explained;
pub(crate) mod gpus;
mod lane;
mod node;
mod pins;
mod pods;
mod pools;
mod replayed;

pub(crate) use decisions::lines;
pub(crate) use endpoints::oldest;
pub use endpoints::{Endpoints, Order};
pub use gpus::Gpus;
pub use node::Cards;
pub use pods::Pods;

/// Something to show.
pub trait View: Serialize {
    /// For people; `wide`: with all that is known.
    fn draw(&self, screen: Screen, wide: bool) -> String;

    /// Whether the answer is yes, where there was a question.
    fn is_yes(&self) -> bool {
        true
    }
}

/// The view in a form, ready to be written.
///
/// # Errors
/// When the form cannot hold it.
pub fn show(view: &impl View, format: Format, screen: Screen) -> Result<String, CliError> {
    match format {
        Format::Table => Ok(view.draw(screen, false)),
        Format::Wide => Ok(view.draw(screen, true)),
        Format::Json => match serde_json::to_string_pretty(view) {
            Ok(json) => Ok(harmless(json + "\n", clean::Form::Json)),
            Err(error) => Err(CliError::Form { form: "JSON", why: error.to_string() }),
        },
        Format::Yaml => yaml(view),
    }
}

/// As JSON on one line.
pub(crate) fn json_line(value: &impl Serialize) -> Result<String, CliError> {
    match serde_json::to_string(value) {
        Ok(json) => Ok(harmless(json + "\n", clean::Form::Json)),
        Err(error) => Err(CliError::Form { form: "JSON", why: error.to_string() }),
    }
}

/// As a YAML document.
pub(crate) fn yaml(value: &impl Serialize) -> Result<String, CliError> {
    // On one line each: a block's own line ends and indents would be one more thing to get right with hostile names.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    match serde_saphyr::to_string_with_options(value, options) {
        Ok(yaml) => Ok(harmless(yaml, clean::Form::Yaml)),
        Err(error) => Err(CliError::Form { form: "YAML", why: error.to_string() }),
    }
}

fn harmless(document: String, form: clean::Form) -> String {
    match escape(&document, form) {
        Cow::Borrowed(_) => document,
        Cow::Owned(escaped) => escaped,
    }
}

/// A text of several lines' length behind a label: on a terminal broken between words, and indented as far as the label is long.
pub(crate) fn hang(screen: Screen, label: &str, tone: Tone, text: &str) -> String {
    let indent = label.width();
    let room = screen.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(1));
    let mut out = screen.paint(Tone::Head, label);
    for (number, line) in broken(text, room).iter().enumerate() {
        if number > 0 {
            out += &" ".repeat(indent);
        }
        out += &(screen.paint(tone, line) + "\n");
    }
    out
}

/// A line for standard error, harmless: on a terminal broken between words, but for commands, which are to be copied.
pub fn complaint(screen: Screen, line: &str) -> String {
    const COMMAND: &str = "    ";
    let line = clean::clean(line);
    if screen.width.is_none() || line.starts_with(COMMAND) {
        return format!("{line}\n");
    }
    let text = line.trim_start_matches(' ');
    let text = text.strip_prefix("warmlane: ").unwrap_or(text);
    hang(screen, &line[..line.len() - text.len()], Tone::Plain, text)
}

/// Lines of at most so many columns, if words allow; a longer word is broken anywhere.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word = word;
        loop {
            let line = lines.last_mut().map_or(0, |line| line.width() + usize::from(!line.is_empty()));
            if line + word.width() <= room {
                break;
            }
            if line > 0 {
                lines.push(String::new());
                continue;
            }
            let (fits, rest) = word.split_at(cut(word, room));
            if rest.is_empty() {
                break;
            }
            lines.last_mut().into_iter().for_each(|line| line.push_str(fits));
            lines.push(String::new());
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

/// Where so many columns end; at least one character further on.
fn cut(word: &str, room: usize) -> usize {
    let ends = word.char_indices().map(|(at, c)| at + c.len_utf8());
    let fits = ends.clone().take_while(|end| word[..*end].width() <= room).last();
    fits.or_else(|| ends.clone().next()).unwrap_or(word.len())
}

#[cfg(test)]
mod tests;
