//! What templates expect of Python and find otherwise in our Jinja.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// How deep a value may nest to be written as JSON.
const DEPTH: usize = 150;

/// How `json.dumps` lays out what it writes.
#[derive(Debug)]
struct Layout {
    ascii: bool,
    sorted: bool,
    indent: Option<String>,
    between_items: String,
    after_key: String,
}

/// Strings and mappings are sequences too: they have a length and can be indexed.
pub(super) fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String)
}

/// Truth values are numbers.
pub(super) fn is_number(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
}

/// `json.dumps`, as transformers hands it to templates: nothing is escaped for HTML.
#[expect(clippy::needless_pass_by_value, reason = "filters take their options by value")]
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let layout = Layout::of(&options)?;
    options.assert_all_used()?;
    let mut out = String::new();
    layout.write(value, 0, &mut out)?;
    Ok(out)
}

// === Layout ===

impl Layout {
    fn of(options: &Kwargs) -> Result<Self, Error> {
        let indent = match options.get::<Option<Value>>("indent")?.filter(|indent| !indent.is_none()) {
            None => None,
            Some(indent) => Some(match indent.as_str() {
                Some(text) => text.to_owned(),
                None => " ".repeat(usize::try_from(indent)?.min(64)),
            }),
        };
        let separators = options.get::<Option<Value>>("separators")?.filter(|pair| !pair.is_none());
        let separator = |index: usize, default: &str| match &separators {
            None => Ok(default.to_owned()),
            Some(pair) => pair.get_item_by_index(index).map(|item| item.to_string()),
        };
        Ok(Self {
            ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
            sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
            between_items: separator(0, if indent.is_some() { "," } else { ", " })?,
            after_key: separator(1, ": ")?,
            indent,
        })
    }

    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "the value nests too deep for JSON"));
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => number(value, out),
            ValueKind::String => self.string(value.as_str().unwrap_or_default(), out),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.items(('[', ']'), &items, depth, out, |item, out| self.write(item, depth + 1, out))?;
            }
            ValueKind::Map => {
                let mut pairs: Vec<(Value, Value)> = Vec::new();
                for key in value.try_iter()? {
                    let of_key = value.get_item(&key)?;
                    pairs.push((key, of_key));
                }
                if self.sorted {
                    pairs.sort_by(|one, other| one.0.cmp(&other.0));
                }
                self.items(('{', '}'), &pairs, depth, out, |(key, value), out| {
                    self.string(&key_text(key), out);
                    out.push_str(&self.after_key);
                    self.write(value, depth + 1, out)
                })?;
            }
            _ => return Err(Error::new(ErrorKind::InvalidOperation, "the value is none that JSON knows")),
        }
        Ok(())
    }

    fn items<T>(
        &self,
        (open, close): (char, char),
        items: &[T],
        depth: usize,
        out: &mut String,
        mut write: impl FnMut(&T, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(&self.between_items);
            }
            self.line(depth + 1, out);
            write(item, out)?;
        }
        if !items.is_empty() {
            self.line(depth, out);
        }
        out.push(close);
        Ok(())
    }

    fn line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(indent.as_str(), depth));
        }
    }

    fn string(&self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\0'..' ' => escaped(character, out),
                ' '..='~' => out.push(character),
                _ if self.ascii => escaped(character, out),
                _ => out.push(character),
            }
        }
        out.push('"');
    }
}

/// A key as JSON has it: always a string.
fn key_text(key: &Value) -> String {
    match key.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => key.is_true().to_string(),
        ValueKind::Number => {
            let mut text = String::new();
            number(key, &mut text);
            text
        }
        _ => key.to_string(),
    }
}

fn escaped(character: char, out: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a string does not fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

fn number(value: &Value, out: &mut String) {
    out.push_str(&float_text(value).unwrap_or_else(|| value.to_string()));
}

/// How Python writes a number, if it is a float.
pub(super) fn float_text(value: &Value) -> Option<String> {
    let is_float = value.kind() == ValueKind::Number && !value.is_integer();
    is_float.then(|| f64::try_from(value.clone()).ok()).flatten().map(float)
}

/// As JSON and `repr` have it: the shortest digits that read back the same, with an exponent from 1e16 on and below 1e-4.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = number.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (number, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123456789.125, "123456789.125"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(float(number), text);
        }
    }
}
