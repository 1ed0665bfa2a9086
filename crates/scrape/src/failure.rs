//! Why an engine could not be talked to, with the likely cause for whoever reads the log.

use std::{fmt, io};

/// Why an endpoint could not be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing listens.
    Refused,
    /// No way to its address.
    NoRoute,
    /// Its name has no address.
    Unresolved,
    /// No answer in time, or no connection.
    TimedOut,
    /// It takes connections, and answers nothing in time.
    Mute,
    /// The connection broke.
    Broken,
    /// It answers with this status where 200 is due.
    Status(u16),
    /// Its answer is larger than any engine's.
    TooLarge(usize),
}

// === Failure ===

impl Failure {
    /// Whether one such failure is proof enough: nothing can be served over a connection that is refused.
    pub fn is_final(self) -> bool {
        match self {
            Self::Refused | Self::NoRoute => true,
            Self::Unresolved
            | Self::TimedOut
            | Self::Mute
            | Self::Broken
            | Self::Status(_)
            | Self::TooLarge(_) => false,
        }
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::NoRoute,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Broken,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => {
                f.write_str("connection refused: is the engine running and listening on this port?")
            }
            Self::NoRoute => {
                f.write_str("no route to its address: is its node up, does a network policy forbid it?")
            }
            Self::Unresolved => {
                f.write_str("its host name has no address: is the name right, does DNS answer?")
            }
            Self::TimedOut => f.write_str("no answer in time: is it overloaded, stuck or cut off?"),
            Self::Mute => {
                f.write_str("it takes connections and answers nothing in time: is it overloaded, or stuck?")
            }
            Self::Broken => f.write_str("the connection broke before an answer"),
            Self::TooLarge(bytes) => {
                write!(f, "it answers with more than {bytes} bytes: is this an engine's port?")
            }
            Self::Status(status) => write!(f, "it answers {status} to /health"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_the_likely_cause() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(Failure::from(&refused), Failure::Refused);
        assert_eq!(Failure::from(&io::Error::from(io::ErrorKind::ConnectionReset)), Failure::Broken);
        assert!(Failure::Refused.to_string().contains("is the engine running"));
    }
}
