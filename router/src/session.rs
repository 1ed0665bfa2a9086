//! How a client declares a session, in order of precedence: a configured header (`x-session-id`), the cookie
//! `warmlane-session`, and in the body `session_id`, `prompt_cache_key`, or `previous_response_id`.
//!
//! A response's id is made from the request's id, so a response is its own session: the request that follows
//! it names `previous_response_id`.

use warmlane_engine::body::{Api, RequestBody};

use crate::{config::Headers, http1::RequestHead, world::World};

/// Name of the session cookie.
pub const COOKIE: &str = "warmlane-session";

/// What vLLM puts before a request's id to name its response.
const RESPONSE_PREFIX: &[u8] = b"resp_";

/// Keys under which a request's endpoint is remembered. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The session it belongs to.
    pub session: u64,
    /// The session its response begins.
    pub response: u64,
}

// === Keys ===

impl Keys {
    /// Reads the keys from head and body.
    pub fn of(
        world: &World,
        headers: &Headers,
        head: &RequestHead,
        bytes: &[u8],
        body: &RequestBody,
        api: Api,
        request_id: &[u8],
    ) -> Self {
        let declared = from_head(headers, head, bytes)
            .or(body.session_id.as_deref().map(str::as_bytes))
            .or(body.prompt_cache_key.as_deref().map(str::as_bytes));
        let session = match (declared, body.previous_response_id.as_deref()) {
            (Some(session), _) => self::declared(world, session),
            (None, Some(previous)) => hash(world, b"response", bare(previous.as_bytes())),
            (None, None) => 0,
        };
        let response = if api == Api::Responses { hash(world, b"response", bare(request_id)) } else { 0 };
        Self { session, response }
    }
}

fn from_head<'b>(headers: &Headers, head: &RequestHead, bytes: &'b [u8]) -> Option<&'b [u8]> {
    let named = headers.session.iter().find_map(|name| head.header(bytes, name));
    named.or_else(|| head.header(bytes, "cookie").and_then(cookie)).filter(|value| !value.is_empty())
}

/// The session cookie's value in a `Cookie` header.
pub fn cookie(header: &[u8]) -> Option<&[u8]> {
    header.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
}

/// The key of a session that a client declares by this value.
pub fn declared(world: &World, value: &[u8]) -> u64 {
    hash(world, b"session", value)
}

fn bare(id: &[u8]) -> &[u8] {
    id.strip_prefix(RESPONSE_PREFIX).unwrap_or(id)
}

/// Kinds are kept apart, so that no session header can name somebody's response.
fn hash(world: &World, kind: &[u8], value: &[u8]) -> u64 {
    (world.hash(kind) ^ world.hash(value)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(cookie(b"a=b; warmlane-session=xyz; c=d"), Some(&b"xyz"[..]));
        assert_eq!(cookie(b"warmlane-session=xyz"), Some(&b"xyz"[..]));
        assert_eq!(cookie(b"warmlane-sessions=xyz; my-warmlane-session=1"), None);
        assert_eq!(cookie(b"warmlane-session="), None);
    }
}
