//! Lists of `host:port`.

use std::collections::HashSet;

use super::{Fault, require};

/// Each is one, and none is there twice.
pub(super) fn addresses(key: &'static str, all: &[String]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for address in all {
        let why = format!(
            "{address:?} is not HOST:PORT, such as 10.0.0.1:8000, gpu-a:8000 or [fd00::1]:8000; no http://"
        );
        require(is_host_and_port(address), key, why)?;
        require(seen.insert(address), key, format!("{address} is there twice"))?;
    }
    Ok(())
}

/// A host is an address or a name; an IPv6 address stands in brackets.
fn is_host_and_port(text: &str) -> bool {
    if text.parse::<std::net::SocketAddr>().is_ok_and(|address| address.port() != 0) {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let named = host.len() <= 253 && host.trim_end_matches('.').split('.').all(label);
    // Digits and dots only would be an IPv4 address, and that was not one.
    let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    named && !numeric && port.parse::<u16>().is_ok_and(|port| port != 0)
}
