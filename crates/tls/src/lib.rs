//! One end of a TLS connection, made of PEM files and made anew when they change.
//!
//! Private keys are read here and nowhere else. Who shows what and trusts whom is for those to say who use it: the names of their
//! settings stand in [`File`], for messages. Nothing here opens a connection, waits, counts or logs.

#![forbid(unsafe_code)]

mod ends;
mod error;
mod failed;
mod kept;
mod pair;
mod pem;

pub use ends::{Client, Server};
pub use error::TlsError;
pub use failed::Failed;
pub use kept::{End, Kept};
pub use pair::Pair;
pub use pem::{File, Pem};

/// ALPN's name for HTTP/2.
pub const H2: &[u8] = b"h2";
/// ALPN's name for HTTP/1.1.
pub const HTTP11: &[u8] = b"http/1.1";
