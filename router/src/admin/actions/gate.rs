//! Who may change what the router does. Pure: the token's file is read by who asks.
//!
//! A browser on the operator's machine reaches loopback for any page. Its pages have another origin, or a name that leads here
//! and is not ours, and none has the token: each of the three alone keeps them out.

use std::{fmt, net::IpAddr, net::SocketAddr};

use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HOST, HeaderName, ORIGIN},
};

use super::{ActionError, token::Token};

const ROOT: u32 = 0;
const SCHEME: &str = "bearer ";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Caller {
    /// Over TCP.
    Address(SocketAddr),
    /// Over the Unix socket, as the kernel says.
    User(u32),
}

/// What a port asks of those who would change something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate<'g> {
    /// Names besides `localhost` by which the port may be called.
    pub(super) hosts: &'g [String],
    /// The router's own user.
    pub(super) own: u32,
}

// === Gate ===

impl Gate<'_> {
    /// Whether this request is let in; `token` has the one that counts, or `None` where there is none.
    pub(super) fn admit(
        self,
        caller: Caller,
        headers: &HeaderMap,
        token: impl FnOnce() -> Result<Option<Token>, ActionError>,
    ) -> Result<(), ActionError> {
        refuse_foreign_origin(headers)?;
        match caller {
            Caller::User(user) if user == ROOT || user == self.own => return Ok(()),
            // No browser comes this way, and there is no name to be called by.
            Caller::User(_) => {}
            Caller::Address(_) => self.refuse_foreign_host(headers)?,
        }
        let token = token()?.ok_or(ActionError::NoToken)?;
        let is_right = shown(headers).is_some_and(|shown| token.is(shown));
        if is_right { Ok(()) } else { Err(ActionError::WrongToken) }
    }

    fn refuse_foreign_host(self, headers: &HeaderMap) -> Result<(), ActionError> {
        let host = one(headers, &HOST).unwrap_or_default();
        let name = host_of(host);
        let is_ours = |ours: &str| name.eq_ignore_ascii_case(ours);
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let known = is_ours("localhost")
            || address.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|host| is_ours(host));
        if known { Ok(()) } else { Err(ActionError::ForeignHost(host.to_owned())) }
    }
}

/// Whoever asks, and whatever for: a page of another site has no business here.
pub(super) fn refuse_foreign_origin(headers: &HeaderMap) -> Result<(), ActionError> {
    if !headers.contains_key(ORIGIN) {
        return Ok(());
    }
    let origin = one(headers, &ORIGIN).unwrap_or_default();
    let own = one(headers, &HOST).filter(|host| !host.is_empty());
    let is_own = own.is_some_and(|host| {
        origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    });
    if is_own { Ok(()) } else { Err(ActionError::ForeignOrigin(origin.to_owned())) }
}

/// A header that is there once.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    if all.next().is_some() { None } else { first.to_str().ok() }
}

/// Without the port.
fn host_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let text = one(headers, &AUTHORIZATION)?;
    let (scheme, shown) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| shown.trim_ascii().as_bytes())
}

// === Caller ===

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::User(user) => write!(f, "uid {user}"),
        }
    }
}

#[cfg(test)]
mod tests;
