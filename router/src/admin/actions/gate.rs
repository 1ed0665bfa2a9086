//! Who may ask, and who may change what the router does. Pure: the token's file is read by who asks.
//!
//! A browser on the operator's machine reaches loopback for any page. Its pages have another origin, or a name that leads here
//! and is not ours, and none has the token: each of the three alone keeps them out.

use std::{fmt, net::SocketAddr};

use hyper::{HeaderMap, header::AUTHORIZATION};
use warmlane_api::admin::foreign;

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
        self.refuse_foreign_host(caller, headers)?;
        if matches!(caller, Caller::User(user) if user == ROOT || user == self.own) {
            return Ok(());
        }
        let token = token()?.ok_or(ActionError::NoToken)?;
        match shown(headers) {
            Some(shown) if token.is(shown) => Ok(()),
            Some(_) => Err(ActionError::WrongToken),
            None => Err(ActionError::NoTokenShown),
        }
    }

    /// A name that is somebody else's may have been led here.
    pub(super) fn refuse_foreign_host(self, caller: Caller, headers: &HeaderMap) -> Result<(), ActionError> {
        match caller {
            // No browser comes this way, and there is no name to be called by.
            Caller::User(_) => Ok(()),
            Caller::Address(_) => {
                foreign::host(headers, self.hosts).map_or(Ok(()), |host| Err(ActionError::ForeignHost(host)))
            }
        }
    }
}

/// Whoever asks, and whatever for: a page of another site has no business here.
pub(super) fn refuse_foreign_origin(headers: &HeaderMap) -> Result<(), ActionError> {
    foreign::origin(headers).map_or(Ok(()), |origin| Err(ActionError::ForeignOrigin(origin)))
}

fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let text = foreign::one(headers, &AUTHORIZATION)?;
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
