//! How a listener shows who it is, as people write it.

use std::{fmt, str::FromStr};

use warmlane_tls::Pair;

/// How a listener shows who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Not: it speaks without TLS.
    #[default]
    Off,
    /// By a certificate made at start, which encrypts and proves nothing.
    SelfSigned,
    /// By a certificate from files.
    Files(Pair),
}

// === Identity ===

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::SelfSigned => f.write_str("self-signed"),
            Self::Files(pair) => pair.fmt(f),
        }
    }
}

impl FromStr for Identity {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "self-signed" => Ok(Self::SelfSigned),
            _ => text.parse().map(Self::Files).map_err(
                |_| "write off, self-signed, or the PEM files of a certificate and its key: CERT,KEY",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_half_a_pair_is_refused() {
        for text in ["off", "self-signed", "/a/tls.crt,/a/tls.key"] {
            assert_eq!(text.parse::<Identity>().map(|identity| identity.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "on", "/a/tls.crt", "/a/tls.crt,", ",/a/tls.key"] {
            assert!(text.parse::<Identity>().expect_err(text).contains("CERT,KEY"));
        }
    }
}
