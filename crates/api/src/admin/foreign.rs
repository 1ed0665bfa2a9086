//! Requests that a page of another site sent, by a browser on somebody's machine: to an admin port on loopback, or by a name that
//! leads there and is not the port's own. Pure.

use std::net::IpAddr;

use http::{
    HeaderMap,
    header::{HOST, HeaderName, ORIGIN},
};

/// The name by which the port was called, where it may be somebody else's: neither an address, nor `localhost`, nor one of
/// these.
pub fn host(headers: &HeaderMap, ours: &[String]) -> Option<String> {
    let called = one(headers, &HOST).unwrap_or_default();
    let name = name_of(called);
    let is = |ours: &str| name.eq_ignore_ascii_case(ours);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let known = is("localhost") || address.parse::<IpAddr>().is_ok() || ours.iter().any(|ours| is(ours));
    (!known).then(|| called.to_owned())
}

/// The page that asks, where it is not the port's own.
pub fn origin(headers: &HeaderMap) -> Option<String> {
    if !headers.contains_key(ORIGIN) {
        return None;
    }
    let origin = one(headers, &ORIGIN).unwrap_or_default();
    let own = one(headers, &HOST).filter(|host| !host.is_empty());
    let is_own = own.is_some_and(|host| {
        origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    });
    (!is_own).then(|| origin.to_owned())
}

/// A header that is there once.
pub fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    if all.next().is_some() { None } else { first.to_str().ok() }
}

/// Without the port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn a_name_that_anybody_could_lead_here_is_foreign() {
        let ours = ["admin.example.com".to_owned()];
        let by = |name: &str| host(&headers(&[("host", name)]), &ours);
        for name in ["localhost", "LOCALHOST:9091", "10.0.0.9:9091", "[::1]:9091", "Admin.example.com:1"] {
            assert_eq!(by(name), None, "{name}");
        }
        for name in [
            "evil.example.com:9091",
            "localhost.evil.example.com",
            "127.0.0.1.evil.example.com",
            "localhost:9091:evil.com",
            "localhost@evil.com",
            "",
            ":9091",
        ] {
            assert_eq!(by(name).as_deref(), Some(name));
        }
        assert!(host(&headers(&[]), &ours).is_some(), "none");
        assert!(host(&headers(&[("host", "localhost"), ("host", "localhost")]), &ours).is_some(), "which?");
    }

    #[test]
    fn a_page_of_another_site_is_foreign_and_the_ports_own_is_not() {
        let from = |page: &str| origin(&headers(&[("host", "127.0.0.1:9091"), ("origin", page)]));
        assert_eq!(from("http://127.0.0.1:9091"), None);
        for page in ["http://evil.example.com", "null", "", "http://127.0.0.1", "https://127.0.0.1:9091"] {
            assert_eq!(from(page).as_deref(), Some(page));
        }
        assert!(origin(&headers(&[("origin", "http://")])).is_some(), "nothing is not its own");
        assert_eq!(origin(&headers(&[("host", "127.0.0.1:9091")])), None, "no page");
    }
}
