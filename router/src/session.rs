//! How a client declares a session, in order of precedence: a configured header (`x-session-id`), the cookie
//! `warmlane-session`, and in the body `session_id`, `prompt_cache_key`, or `previous_response_id`.
//!
//! A response is a session of its own: the request that follows it names it by `previous_response_id`. Engines
//! make these ids themselves, so they are read off the first bytes of the response ([`remember`]).

use warmlane_engine::body::RequestBody;
use warmlane_picker::Slot;

use crate::{config::Headers, world::World};

/// Name of the session cookie.
pub const COOKIE: &str = "warmlane-session";

/// Where a response's own id begins, in a JSON body and in the first event of a stream alike.
const RESPONSE_ID: &[u8] = b"\"id\":\"resp_";

/// Longest response id that is remembered.
const MAX_RESPONSE_ID: usize = 128;

/// The key of the session that a request belongs to; 0 when it declares none. `header` gives the value of a request header
/// by its name in lower case.
pub fn key<'a>(
    world: &World,
    headers: &Headers,
    header: impl Fn(&str) -> Option<&'a [u8]>,
    body: &'a RequestBody,
) -> u64 {
    let text = |key: &'a Option<String>| key.as_deref().map(str::as_bytes);
    let named = from_head(headers, header);
    let declared_here = named.or_else(|| text(&body.session_id)).or_else(|| text(&body.prompt_cache_key));
    match (declared_here, text(&body.previous_response_id)) {
        (Some(value), _) => declared(world, value),
        (None, Some(previous)) => response(world, previous),
        (None, None) => 0,
    }
}

/// Remembers where a response is made whose first bytes these are: a request that continues it will name its id.
pub fn remember(world: &World, first_bytes: &[u8], slot: Slot) {
    if let Some(id) = response_id(first_bytes) {
        world.pins.pin(response(world, id), slot, world.now());
    }
}

/// The id of a response whose first bytes these are: `resp_...`.
fn response_id(first_bytes: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(first_bytes, RESPONSE_ID)? + RESPONSE_ID.len() - b"resp_".len();
    let id = &first_bytes[at..];
    let end = memchr::memchr(b'"', &id[..id.len().min(MAX_RESPONSE_ID)])?;
    Some(&id[..end])
}

/// The key of a session that a client declares by this value.
pub fn declared(world: &World, value: &[u8]) -> u64 {
    hash(world, b"session", value)
}

/// The key of the session that a response with this id begins.
pub fn response(world: &World, id: &[u8]) -> u64 {
    hash(world, b"response", id)
}

fn from_head<'a>(headers: &Headers, header: impl Fn(&str) -> Option<&'a [u8]>) -> Option<&'a [u8]> {
    let named = headers.session.iter().find_map(|name| header(name));
    named.or_else(|| header("cookie").and_then(cookie)).filter(|value| !value.is_empty())
}

/// The session cookie's value in a `Cookie` header.
pub fn cookie(header: &[u8]) -> Option<&[u8]> {
    header.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
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

    #[test]
    fn the_id_of_a_response_is_read_off_its_first_bytes() {
        let whole = br#"{"id":"resp_9f","created_at":1,"object":"response""#;
        assert_eq!(response_id(whole), Some(&b"resp_9f"[..]));
        let event = b"event: response.created\ndata: {\"response\":{\"id\":\"resp_0a\",\"created_at\":2";
        assert_eq!(response_id(event), Some(&b"resp_0a"[..]));
        assert_eq!(response_id(br#"{"id":"resp_cut"#), None);
        assert_eq!(response_id(br#"{"id":"chatcmpl-1"}"#), None);
    }
}
