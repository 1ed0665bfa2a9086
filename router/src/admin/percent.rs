//! Percent signs in paths and queries. Pure.

/// Without them: clients write them for brackets, colons and whatever an id holds. What is not encoded well stays as it is; bytes that are
/// no UTF-8 are replaced.
pub(super) fn decoded(text: &str) -> String {
    let bytes = decoded_bytes(text);
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The same, whatever bytes it comes to.
pub(super) fn decoded_bytes(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|code| *first == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_and_what_is_not_stays() {
        for (text, read) in [
            ("10.0.0.1%3a8000", "10.0.0.1:8000"),
            ("%e2%82%ac", "\u{20ac}"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%+1", "%+1"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decoded(text), read);
        }
    }
}
