//! Where an admin port is, as people write it: `HOST:PORT`, `http://HOST:PORT` or `unix:PATH`. Pure.

use std::{fmt, path::PathBuf, str::FromStr};

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`.
    Tcp(String),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// No port.
    #[error("there is no port in it: write HOST:PORT, [IPV6]:PORT or unix:PATH")]
    Port,
    /// What should be one is none.
    #[error("its port is no number from 1 to 65535: write HOST:PORT, [IPV6]:PORT or unix:PATH")]
    NoNumber,
    /// No host, or one with characters that no host has.
    #[error("there is no host in it: write HOST:PORT, [IPV6]:PORT or unix:PATH")]
    Host,
    /// `https`, or anything else before `://`.
    #[error("admin ports speak plain HTTP: write http://HOST:PORT or HOST:PORT")]
    Scheme,
    /// `unix:` alone.
    #[error("there is no path in it: write unix:/run/warmlane/admin.sock, for instance")]
    Path,
    /// Something stands after the port.
    #[error("a path has no meaning here, each command knows its own: write HOST:PORT")]
    Page,
}

// === Address ===

impl Address {
    /// Another port of the same machine.
    pub fn beside(&self, port: u16) -> Option<Self> {
        match self {
            Self::Tcp(address) => {
                let (host, _) = address.rsplit_once(':')?;
                Some(Self::Tcp(format!("{host}:{port}")))
            }
            Self::Unix(_) => Some(Self::Tcp(format!("127.0.0.1:{port}"))),
        }
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(NoAddress::Path) } else { Ok(Self::Unix(path.into())) };
        }
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest.strip_suffix('/').unwrap_or(rest),
            Some(_) => return Err(NoAddress::Scheme),
            None => text,
        };
        if rest.contains('/') {
            return Err(NoAddress::Page);
        }
        let (host, port) = rest.rsplit_once(':').ok_or(NoAddress::Port)?;
        // A bare IPv6 address ends with what looks like a port.
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let inner = if bracketed { &host[1..host.len() - 1] } else { host };
        if inner.contains(':') && !bracketed {
            return Err(NoAddress::Port);
        }
        let of_host =
            |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || (bracketed && ":%".contains(c));
        if inner.is_empty() || !inner.chars().all(of_host) {
            return Err(NoAddress::Host);
        }
        match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Self::Tcp(format!("{host}:{port}"))),
            _ if port.is_empty() => Err(NoAddress::Port),
            _ => Err(NoAddress::NoNumber),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_to_write_an_address() {
        let tcp = |text: &str| Ok(Address::Tcp(text.to_owned()));
        let cases = [
            ("127.0.0.1:9091", tcp("127.0.0.1:9091")),
            ("http://router.llm.svc:9091", tcp("router.llm.svc:9091")),
            ("http://localhost:9091/", tcp("localhost:9091")),
            ("[::1]:9091", tcp("[::1]:9091")),
            ("unix:/run/admin.sock", Ok(Address::Unix("/run/admin.sock".into()))),
            ("unix:///run/admin.sock", Ok(Address::Unix("/run/admin.sock".into()))),
            ("unix:admin.sock", Ok(Address::Unix("admin.sock".into()))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        let cases = [
            ("localhost", NoAddress::Port),
            ("localhost:", NoAddress::Port),
            ("localhost:0", NoAddress::NoNumber),
            ("localhost:99999", NoAddress::NoNumber),
            ("::1", NoAddress::Port),
            ("::1:9091", NoAddress::Port),
            (":9091", NoAddress::Host),
            ("a b:9091", NoAddress::Host),
            ("a\r\nx:1", NoAddress::Host),
            ("https://localhost:9091", NoAddress::Scheme),
            ("http://localhost:9091/debug/pins", NoAddress::Page),
            ("unix:", NoAddress::Path),
            ("", NoAddress::Port),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Address>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn an_address_is_shown_as_it_can_be_written() {
        for text in ["127.0.0.1:9091", "[::1]:9091", "unix:/run/admin.sock"] {
            assert_eq!(text.parse::<Address>().expect("an address").to_string(), text);
        }
    }
}
