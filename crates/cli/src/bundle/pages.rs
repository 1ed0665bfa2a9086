//! What is asked for, by which name it is kept, and where metrics are. Pure.

use std::net::IpAddr;

use crate::{address::Address, error::Side};

/// One page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// In the archive.
    pub(super) name: &'static str,
    pub(super) of: Side,
    pub(super) path: &'static str,
}

/// The router's settings.
pub(super) const CONFIG: &str = "router/config.toml";
/// Who is not ready says why, with 503.
pub(super) const READY: &str = "/readyz";
pub(super) const ROUTER_METRICS: &str = "router/metrics.txt";
pub(super) const AGENT_METRICS: &str = "agent/metrics.txt";
/// Where an agent's are unless set otherwise; no page of it says so.
pub(super) const AGENT_METRICS_PORT: u16 = 9_011;

/// In the order in which they are asked for: what says most first, in case there is no room for all.
pub(super) const PAGES: [Page; 14] = [
    router("router/router.json", "/debug/router"),
    router("router/ready.txt", READY),
    router(CONFIG, "/debug/config"),
    router("router/endpoints.json", "/debug/endpoints"),
    router("router/agents.json", "/debug/agents"),
    router("router/pools.json", "/debug/pools"),
    router("router/lane.json", "/debug/lane"),
    router("router/decisions.json", "/debug/decisions?limit=1000"),
    router("router/groups.json", "/debug/groups?limit=1000"),
    router("router/pins.json", "/debug/pins?limit=10000"),
    // For `warmlane replay`.
    router("router/decisions.jsonl", "/debug/decisions?format=lines"),
    agent("agent/node.json", "/debug/node"),
    agent("agent/ready.txt", READY),
    agent("agent/health.txt", "/healthz"),
];

const fn router(name: &'static str, path: &'static str) -> Page {
    Page { name, of: Side::Router, path }
}

const fn agent(name: &'static str, path: &'static str) -> Page {
    Page { name, of: Side::Agent, path }
}

/// Where a router's metrics are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// At this port of the machine, or pod, that its admin port is of.
    Beside(u16),
    /// At an address of their own.
    There(Address),
}

/// Where they are, as its settings say.
pub(super) fn metrics(config: &str) -> Option<At> {
    let listen = config.lines().skip_while(|line| line.trim() != "[listen]").skip(1);
    let mut listen = listen.take_while(|line| !line.starts_with('['));
    let value = listen.find_map(|line| line.strip_prefix("metrics = \"")?.split('"').next())?;
    let (host, port) = value.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    match host {
        Some(host) if host.is_loopback() || host.is_unspecified() => Some(At::Beside(port)),
        _ => value.parse().ok().map(At::There),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_where_the_settings_say() {
        let at = |address: &str| {
            metrics(&format!(
                "workers = 2\n\n[listen]\nplain = \"x:1\"\nmetrics = \"{address}\"  # set\n\n[lane]\n"
            ))
        };
        for address in ["0.0.0.0:9090", "[::]:9090", "127.0.0.1:9090"] {
            assert_eq!(at(address), Some(At::Beside(9_090)), "{address}");
        }
        assert_eq!(at("10.0.0.9:9090"), Some(At::There("10.0.0.9:9090".parse().expect("an address"))));
        assert_eq!(at("127.0.0.1:0"), None);
        assert_eq!(metrics("[lane]\nmetrics = \"a:2\"\n"), None);
    }
}
