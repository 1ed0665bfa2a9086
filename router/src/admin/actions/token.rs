//! The token that changes need. Read for each of them, so that another one in the file holds at once; never shown or logged.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use subtle::ConstantTimeEq as _;

/// The longest there is.
const MOST_BYTES: u64 = 4 << 10;
/// A shorter one could be guessed: the port answers some thousand tries a second.
const FEWEST_BYTES: usize = 16;

/// See the module's header.
pub(super) struct Token(Vec<u8>);

// === Token ===

impl Token {
    /// What is in the file, without the white space around it.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let told = |error: io::Error| error.to_string();
        // Opening a pipe would wait for somebody to write.
        if !path.metadata().map_err(told)?.is_file() {
            return Err("it is no file".to_owned());
        }
        let mut text = Vec::new();
        File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text)).map_err(told)?;
        let token = text.trim_ascii();
        match token.len() {
            len if len < FEWEST_BYTES => Err(format!("it has fewer than {FEWEST_BYTES} characters")),
            len if len as u64 > MOST_BYTES => Err(format!("it has more than {MOST_BYTES} characters")),
            _ => Ok(Self(token.to_vec())),
        }
    }

    /// Whether this is it, in a time that does not tell how much of it is right.
    pub(super) fn is(&self, shown: &[u8]) -> bool {
        self.0.ct_eq(shown).into()
    }
}

#[cfg(test)]
impl Token {
    pub(super) fn of(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_what_stands_in_the_file_and_nothing_shorter_longer_or_alike() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("token");
        fs::write(&path, "  0123456789abcdef\n").expect("write");
        let token = Token::read(&path).expect("a token");
        assert!(token.is(b"0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0", " 0123456789abcdef"] {
            assert!(!token.is(wrong.as_bytes()), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn a_file_that_has_none_is_told() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("token");
        let why = || Token::read(&path).expect_err("no token");
        assert!(why().contains("No such file"), "{}", why());
        for (text, word) in
            [(String::new(), "fewer"), ("short\n".into(), "fewer"), ("x".repeat(5_000), "more")]
        {
            fs::write(&path, text).expect("write");
            assert!(why().contains(word), "{}", why());
        }
        let why = Token::read(folder.path()).expect_err("a folder");
        assert_eq!(why, "it is no file");
    }
}
