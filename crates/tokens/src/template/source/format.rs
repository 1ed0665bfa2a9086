//! How a template takes contents, by the loops in it; the same rules as vLLM's, on words instead of a syntax tree.

use std::collections::BTreeSet;

use super::{Tag, Word, tags};

/// How a template takes the content of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As one text.
    Text,
    /// As a list of parts.
    Parts,
}

/// A macro: its name, its parameters, and the loops in it (by the word that they go over).
#[derive(Debug, Default)]
struct Macro<'a> {
    name: &'a str,
    parameters: Vec<&'a str>,
    loops: Vec<&'a str>,
}

// === Format ===

impl Format {
    pub(crate) fn of(source: &str) -> Self {
        let tags = tags(source);
        let messages = message_names(&tags);
        let over_content = |words: &[Word]| messages.iter().any(|name| reaches(words, name, Some("content")));
        let loops = || tags.iter().filter_map(|tag| loop_of(tag));
        let (macros, outside) = macros(&tags);
        let parts = loops().any(|(_, over)| over_content(over))
            || outside.contains(&"content")
            || macros.iter().any(|found| found.takes_content(&tags, &over_content));
        if parts { Self::Parts } else { Self::Text }
    }
}

// === Macro ===

impl Macro<'_> {
    /// Whether a loop in it goes over a parameter that some call gives the content of a message.
    fn takes_content(&self, tags: &[Tag], over_content: &impl Fn(&[Word]) -> bool) -> bool {
        tags.iter().flat_map(|tag| calls(&tag.words, self.name)).any(|arguments| {
            arguments.iter().enumerate().any(|(index, argument)| {
                let (parameter, value) = match argument {
                    [name, equals, value @ ..] if equals.text == "=" => (Some(name.text), value),
                    value => (self.parameters.get(index).copied(), *value),
                };
                parameter.is_some_and(|parameter| self.loops.contains(&parameter)) && over_content(value)
            })
        })
    }
}

/// Names that a message goes by: the variables of loops over the messages, or over what was set to them.
fn message_names<'a>(tags: &[Tag<'a>]) -> BTreeSet<&'a str> {
    let mut lists = BTreeSet::from(["messages"]);
    loop {
        let before = lists.len();
        for tag in tags.iter().filter(|tag| tag.statement) {
            if let [set, name, equals, value @ ..] = &tag.words[..]
                && (set.text, equals.text) == ("set", "=")
                && lists.iter().any(|list| reaches(value, list, None))
            {
                lists.insert(name.text);
            }
        }
        if lists.len() == before {
            break;
        }
    }
    let of_messages = |over: &[Word]| lists.iter().any(|list| reaches(over, list, None));
    tags.iter()
        .filter_map(|tag| loop_of(tag))
        .filter(|(_, over)| of_messages(over))
        .map(|(name, _)| name)
        .collect()
}

/// The variable of a loop and what the loop goes over.
fn loop_of<'a, 't>(tag: &'t Tag<'a>) -> Option<(&'a str, &'t [Word<'a>])> {
    match &tag.words[..] {
        [word, name, within, over @ ..] if tag.statement && (word.text, within.text) == ("for", "in") => {
            Some((name.text, over))
        }
        _ => None,
    }
}

/// The macros of a template, and the plain names that loops outside of them go over.
fn macros<'a>(tags: &[Tag<'a>]) -> (Vec<Macro<'a>>, Vec<&'a str>) {
    let (mut macros, mut outside, mut open) = (Vec::new(), Vec::new(), None::<Macro>);
    for tag in tags.iter().filter(|tag| tag.statement) {
        match &tag.words[..] {
            [word, name, parenthesis, rest @ ..] if (word.text, parenthesis.text) == ("macro", "(") => {
                let parameters =
                    split(rest).iter().filter_map(|words| words.first()).map(|word| word.text).collect();
                open = Some(Macro { name: name.text, parameters, loops: Vec::new() });
            }
            [word, ..] if word.text == "endmacro" => macros.extend(open.take()),
            _ => {
                if let Some((_, [over, end @ ..])) = loop_of(tag)
                    && over.is_name()
                    && end.first().is_none_or(|word| matches!(word.text, "if" | "recursive"))
                {
                    open.as_mut().map_or(&mut outside, |open| &mut open.loops).push(over.text);
                }
            }
        }
    }
    (macros, outside)
}

/// The arguments of each call of a macro.
fn calls<'a, 't>(words: &'t [Word<'a>], name: &str) -> Vec<Vec<&'t [Word<'a>]>> {
    let called = |pair: &[Word]| pair[0].text == name && pair[1].text == "(";
    let starts = words.windows(2).enumerate().filter(|(_, pair)| called(pair)).map(|(at, _)| at + 2);
    starts.map(|start| split(&words[start..])).collect()
}

/// Cuts words at the commas before the parenthesis that closes them.
fn split<'a, 't>(words: &'t [Word<'a>]) -> Vec<&'t [Word<'a>]> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, word) in words.iter().enumerate() {
        match word.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => {
                parts.push(&words[start..at]);
                return parts;
            }
            ")" | "]" | "}" => depth -= 1,
            "," if depth == 0 => {
                parts.push(&words[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&words[start..]);
    parts
}

/// Whether an expression is a variable, or a field of it, or slices, filters and tests of that.
fn reaches(words: &[Word], variable: &str, field: Option<&str>) -> bool {
    let [first, rest @ ..] = words else { return false };
    if first.text != variable {
        return false;
    }
    let mut rest = match (field, rest) {
        (None, rest) => rest,
        (Some(field), [dot, name, rest @ ..]) if dot.text == "." && name.text == field => rest,
        (Some(field), [open, name, close, rest @ ..])
            if (open.text, close.text) == ("[", "]") && name.quoted().as_deref() == Some(field) =>
        {
            rest
        }
        _ => return false,
    };
    loop {
        rest = match rest {
            [] => return true,
            [word, ..] if matches!(word.text, "if" | "recursive") => return !has_else(rest),
            [pipe, name, after @ ..] if pipe.text == "|" && name.is_name() => arguments(after),
            [is, name, after @ ..] if is.text == "is" && name.text != "not" && name.is_name() => {
                arguments(after)
            }
            [open, inner @ ..] if open.text == "[" => match slice(inner) {
                Some(after) => after,
                None => return false,
            },
            _ => return false,
        };
    }
}

/// Whether an `if` is a choice between two values, and not the condition of a loop.
fn has_else(words: &[Word]) -> bool {
    words.iter().any(|word| word.text == "else")
}

/// What follows the arguments of a filter or test, if it has any.
fn arguments<'a, 't>(words: &'t [Word<'a>]) -> &'t [Word<'a>] {
    match words {
        [open, inner @ ..] if open.text == "(" => closed(inner).map_or(&[], |(_, after)| after),
        _ => words,
    }
}

/// What follows a slice whose bracket is open; `None` where it is an index instead.
fn slice<'a, 't>(words: &'t [Word<'a>]) -> Option<&'t [Word<'a>]> {
    let (inner, after) = closed(words)?;
    inner.iter().any(|word| word.text == ":").then_some(after)
}

/// What lies before the bracket that closes an open one, and what behind it.
fn closed<'a, 't>(words: &'t [Word<'a>]) -> Option<(&'t [Word<'a>], &'t [Word<'a>])> {
    let mut depth = 0_i32;
    for (at, word) in words.iter().enumerate() {
        match word.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return Some((&words[..at], &words[at + 1..])),
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_over_contents_tells_that_parts_are_taken() {
        for (source, format) in [
            ("{% for m in messages %}{{ m['content'] }}{% endfor %}", Format::Text),
            (
                "{% for m in messages %}{% for c in m['content'] %}{{ c.text }}{% endfor %}{% endfor %}",
                Format::Parts,
            ),
            (
                "{%- for m in messages -%}{%- for c in m.content | list -%}{%- endfor -%}{%- endfor -%}",
                Format::Parts,
            ),
            (
                "{% set rest = messages[1:] %}{% for m in rest %}{% for c in m.content %}{% endfor %}{% endfor %}",
                Format::Parts,
            ),
            (
                "{% set one = messages[0] %}{% for m in one %}{% for c in m.content %}{% endfor %}{% endfor %}",
                Format::Text,
            ),
            (
                "{# {% for c in content %} #}{% for m in messages %}{% set content = m.content %}{% endfor %}",
                Format::Text,
            ),
            (
                "{% for m in messages %}{% set content = m.content %}{% for c in content %}{% endfor %}{% endfor %}",
                Format::Parts,
            ),
            (
                "{% macro f(content) %}{% for c in content %}{% endfor %}{% endmacro %}{{ f(x) }}",
                Format::Text,
            ),
            (
                "{% macro f(a, b) %}{% for c in b %}{% endfor %}{% endmacro %}{% for m in messages %}{{ f([1, 2], m.content) }}{% endfor %}",
                Format::Parts,
            ),
            (
                "{% macro f(a, b) %}{% for c in a %}{% endfor %}{% endmacro %}{% for m in messages %}{{ f(1, b=m.content) }}{% endfor %}",
                Format::Text,
            ),
            ("{% for t in tools %}{% for c in t.content %}{% endfor %}{% endfor %}", Format::Text),
            (
                "{% for m in messages %}{{ {'a': {'b': '%}'}}['a'] }}{% for c in m['content'] if c %}{% endfor %}{% endfor %}",
                Format::Parts,
            ),
        ] {
            assert_eq!(Format::of(source), format, "{source}");
        }
    }

    #[test]
    fn sources_that_end_early_are_read_to_their_end() {
        for source in
            ["{%", "{{ 'a", "{% for m in messages", "{#", "{% raw %}{% x", "{", "{% macro f( %}{{ f( }}"]
        {
            assert_eq!(Format::of(source), Format::Text, "{source}");
        }
    }
}
