//! The Prometheus text format, as far as a scanner needs it: lines, names, labels, values.
//!
//! It is not a validator: what it cannot read it reports as unreadable, line by line. A label
//! value may hold any character, escaped quotes and braces too, so labels are walked, never
//! searched. Label values are returned as they stand on the page; [`unescape`] undoes the
//! escapes where they matter.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3};

/// One sample of a family: its labels and its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    /// The labels.
    pub(super) labels: Labels<'a>,
    /// The value, which may be any float.
    pub(super) value: f64,
}

/// The text between the braces of a sample, known to be well-formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels<'a>(&'a str);

/// The sample lines of a page, without their line ends. Comments and empty lines are left out.
pub(super) fn lines(page: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = page;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            if !matches!(line.first(), None | Some(b'#')) {
                return Some(line);
            }
        }
        None
    })
}

/// The name that begins a sample line.
pub(super) fn name(line: &[u8]) -> &[u8] {
    let end = memchr3(b'{', b' ', b'\t', line).unwrap_or(line.len());
    &line[..end]
}

/// Reads what follows the name; `None` when it is garbled.
pub(super) fn sample(after_name: &[u8]) -> Option<Sample<'_>> {
    let text = std::str::from_utf8(after_name).ok()?.trim_ascii();
    let (labels, value) = match text.strip_prefix('{') {
        Some(inside) => {
            let end = Pairs { rest: inside }.end()?;
            (Labels(&inside[..end]), &inside[end + 1..])
        }
        None => (Labels::default(), text),
    };
    // A timestamp may follow the value.
    let value = value.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { labels, value })
}

/// Undoes the escapes of a label value: `\\`, `\"` and `\n`.
pub(super) fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(char) = rest.next() {
        plain.push(match char {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some(escaped) => escaped,
                None => '\\',
            },
            char => char,
        });
    }
    Cow::Owned(plain)
}

/// Walks `name="value"` pairs up to the closing brace or the end of the text.
struct Pairs<'a> {
    rest: &'a str,
}

// === Labels ===

impl<'a> Labels<'a> {
    /// The value of a label, escapes left in.
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        let mut pairs = Pairs { rest: self.0 };
        while let Some(pair) = pairs.pair() {
            if pair.0 == name {
                return Some(pair.1);
            }
        }
        None
    }
}

// === Pairs ===

impl<'a> Pairs<'a> {
    /// Offset of the closing brace; `None` when the pairs are not well-formed up to it.
    fn end(mut self) -> Option<usize> {
        let whole = self.rest.len();
        while self.pair().is_some() {}
        let rest = self.rest.trim_ascii_start();
        rest.starts_with('}').then(|| whole - rest.len())
    }

    /// The next pair, with the comma after it. Nothing is consumed when it is not well-formed.
    fn pair(&mut self) -> Option<(&'a str, &'a str)> {
        let equals = memchr(b'=', self.rest.as_bytes())?;
        let name = self.rest[..equals].trim_ascii();
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let quoted = self.rest[equals + 1..].trim_ascii_start().strip_prefix('"')?;
        let end = closing_quote(quoted.as_bytes())?;
        let after = quoted[end + 1..].trim_ascii_start();
        // Between two pairs a comma must stand; after the last one it may.
        self.rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.is_empty() || after.starts_with('}') => after,
            None => return None,
        };
        Some((name, &quoted[..end]))
    }
}

/// Offset of the first quote that no backslash escapes.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        from = at + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_may_have_no_labels_a_timestamp_and_spaces() {
        assert_eq!(sample(b" 3.5 1700000000000\r").unwrap().value, 3.5);
        assert_eq!(sample(b"{} 2").unwrap().value, 2.0);
        let spaced = sample(b"{ a = \"1\" , b=\"2\", } 7").unwrap();
        assert_eq!((spaced.labels.get("a"), spaced.labels.get("b")), (Some("1"), Some("2")));
        assert_eq!(spaced.value, 7.0);
    }

    #[test]
    fn braces_commas_and_escaped_quotes_in_a_label_value_do_not_end_it() {
        let sample = sample(br#"{a="}, b=\"no\" \\",b="yes"} 1"#).unwrap();
        assert_eq!(sample.labels.get("b"), Some("yes"));
        assert_eq!(unescape(sample.labels.get("a").unwrap()), r#"}, b="no" \"#);
    }

    #[test]
    fn garbled_samples_are_not_read() {
        let garbled: [&[u8]; 9] = [
            b"",
            b" ",
            b"{a=\"1\" 2",
            b"{a=\"1} 2",
            b"{a=1} 2",
            b"{a=\"1\"b=\"2\"} 2",
            b"{a=\"1\"}",
            b" x",
            b"{a=\"\xff\"} 1",
        ];
        for line in garbled {
            assert_eq!(sample(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn an_escaped_newline_becomes_a_newline() {
        assert_eq!(unescape(r"a\nb"), "a\nb");
    }
}
