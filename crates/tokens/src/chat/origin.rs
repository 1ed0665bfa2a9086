//! Where the parts of a rendered chat come from.
//!
//! The chat rendered with marks shows where its texts go, and what the template writes between them. Both are looked for
//! in the chat as it is; from the first place where that differs (templates may look into a text, and leave parts of it
//! out) nothing is said. Nor is anything said from where the rendering would be another if the conversation went on, or
//! had ended earlier.

use super::conversation::{Conversation, MARK};
use super::{Setting, steady};
use crate::settled::{Segment, Source};

/// How a thought ends that was left in what an assistant says. Templates cut it out once the conversation goes on.
const THOUGHT: &str = "think>";

/// What a template writes, up to a text, and the number of that text.
#[derive(Debug)]
struct Piece<'a> {
    between: &'a str,
    number: usize,
    /// Where the mark ends in the marked rendering.
    end: usize,
}

/// The segments of `text`, which is what the template makes of the conversation, as far as their source is known.
pub(super) fn trace(setting: &Setting, conversation: &Conversation, text: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let marked = conversation.marked(setting.template.format);
    let Ok(shape) = setting.render(&marked, true) else { return segments };
    if conversation.merged {
        return segments;
    }
    let stable = steady::reach(setting, conversation, &marked, &shape);
    let (pieces, rest) = pieces(&shape);
    let parts = conversation.parts();
    let mut at = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let next = pieces.get(index + 1).map_or(rest, |next| next.between);
        let found =
            parts.get(piece.number).filter(|_| piece.end <= stable && text[at..].starts_with(piece.between));
        let Some(&(message, part)) = found else { break };
        if message.role == "assistant" && part.text.contains(THOUGHT) {
            break;
        }
        at += piece.between.len();
        let Some((dropped, shown)) = shown(&part.text, &text[at..], next) else { break };
        let (before, within) = if message.streams {
            (Source::Fixed(part.at - 1), Source::Running(part.at + dropped))
        } else {
            (Source::Fixed(message.end), Source::Fixed(message.end))
        };
        segments.push(Segment { end: at, source: before });
        at += shown.len();
        segments.push(Segment { end: at, source: within });
    }
    segments
}

/// A marked rendering, cut at its marks.
fn pieces(shape: &str) -> (Vec<Piece<'_>>, &str) {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while let Some(open) = shape[at..].find(MARK.0).map(|offset| at + offset) {
        let digits = open + MARK.0.len_utf8();
        let Some(close) = shape[digits..].find(MARK.1).map(|offset| digits + offset) else { break };
        let Ok(number) = shape[digits..close].parse() else { break };
        let end = close + MARK.1.len_utf8();
        pieces.push(Piece { between: &shape[at..open], number, end });
        at = end;
    }
    (pieces, &shape[at..])
}

/// How `part` is shown at the head of `text`: how much of its head was dropped, and the rest. Templates may trim it.
fn shown<'a>(part: &'a str, text: &str, next: &str) -> Option<(usize, &'a str)> {
    let ways = [part, part.trim(), part.trim_start(), part.trim_end()];
    let fits = |way: &&str| text.strip_prefix(*way).is_some_and(|rest| rest.starts_with(next));
    let shown = ways.into_iter().find(fits)?;
    Some((shown.as_ptr() as usize - part.as_ptr() as usize, shown))
}
