//! Where parts of a JSON text lie in its canonical text: white space outside strings dropped, escapes decoded.
//!
//! Lengths only: nothing is written out. [`warmlane_engine::body`] says what the canonical text is.

/// Walks a JSON text once, from its head to its end.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    json: &'a str,
    /// Bytes walked.
    at: usize,
    /// What they come to.
    length: usize,
    in_string: bool,
}

/// Length of a whole JSON text.
pub(crate) fn len(json: &str) -> usize {
    Walk::new(json).to(json.len())
}

/// Length of a section: that of its value without the byte that closes it.
pub(crate) fn section_len(json: &str) -> usize {
    len(json) - usize::from(json.ends_with(['"', ']', '}']))
}

// === Walk ===

impl<'a> Walk<'a> {
    pub(crate) fn new(json: &'a str) -> Self {
        Self { json, at: 0, length: 0, in_string: false }
    }

    /// Canonical offset of a part of the text, which must not lie before one that was asked for earlier.
    ///
    /// `part` is a slice of the text itself: values that were parsed in place, and are known by where they are.
    pub(crate) fn offset_of(&mut self, part: &str) -> usize {
        let offset = (part.as_ptr() as usize).saturating_sub(self.json.as_ptr() as usize);
        self.to(offset)
    }

    /// Walks to an offset of the text: canonical length of what lies before it.
    fn to(&mut self, offset: usize) -> usize {
        let bytes = self.json.as_bytes();
        let end = offset.min(bytes.len());
        while self.at < end {
            let byte = bytes[self.at];
            let (taken, decoded) = match byte {
                b'\\' if self.in_string => escape(&bytes[self.at..]),
                b' ' | b'\n' | b'\r' | b'\t' if !self.in_string => (1, 0),
                _ => (1, 1),
            };
            self.in_string ^= byte == b'"';
            self.at += taken;
            self.length += decoded;
        }
        self.length
    }
}

/// How long the escape at the head of `bytes` is, and how long the character that it stands for.
fn escape(bytes: &[u8]) -> (usize, usize) {
    let Some(unit) = unit(bytes) else { return (2, 1) };
    match unit {
        0..0x80 => (6, 1),
        0x80..0x800 => (6, 2),
        0xd800..0xdc00
            if bytes.get(6..).and_then(self::unit).is_some_and(|low| (0xdc00..0xe000).contains(&low)) =>
        {
            (12, 4)
        }
        // Half a surrogate pair becomes U+FFFD, which takes three bytes too.
        _ => (6, 3),
    }
}

fn unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(br"\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_decoded_text_without_white_space() {
        for (json, length) in [
            (r#" { "a" : [ 1 , "x y" ] } "#, r#"{"a":[1,"x y"]}"#.len()),
            (r#""\n\u000a\u00e9\u20ac\ud83d\ude00\"\\""#, 2 + 1 + 1 + 2 + 3 + 4 + 1 + 1),
            (r#""\ud83d\n\ud83d\u0041""#, 2 + 3 + 1 + 3 + 1),
            (r#""\\" "#, 3),
        ] {
            assert_eq!(len(json), length, "{json}");
        }
        assert_eq!((section_len("[1, 2]"), section_len("12"), section_len(r#""a""#)), (4, 2, 2));
    }

    #[test]
    fn parts_are_found_where_they_lie() {
        let json = r#"[ {"r\u0065" : "ab\nc" } ]"#;
        let mut walk = Walk::new(json);
        let part = &json[json.find("ab").expect("a part")..];
        assert_eq!(walk.offset_of(part), r#"[{"re":""#.len());
        assert_eq!(walk.offset_of(&json[json.len()..]), "[{\"re\":\"ab\nc\"}]".len());
    }
}
