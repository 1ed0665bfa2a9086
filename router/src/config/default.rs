//! The values that hold where nobody set anything, and the configuration that tests start from.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{
    Config, Headers, Kube, Lane, LaneMode, Limits, Listen, Log, Prefix, RemoteLane, Scrape, Timeouts, Tracing,
};
use crate::{kernel, tls::TlsFiles};

const MIB: u64 = 1 << 20;
const MINUTE: u64 = 60;

// === Config ===

impl Config {
    /// Defaults for these replicas, with every listener on a free port of 127.0.0.1 and one data-plane thread:
    /// what a test starts from.
    pub fn for_endpoints(endpoints: Vec<String>) -> Self {
        let listen = Listen {
            plain: Some(local(0)),
            aware: Some(local(0)),
            metrics: local(0),
            admin: local(0),
            ..Listen::default()
        };
        Self { endpoints, listen, workers: 1, ..Self::default() }
    }
}

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

// === Sections ===

impl Default for Kube {
    fn default() -> Self {
        Self {
            pools: Vec::new(),
            config: PathBuf::new(),
            lease: "warmlane-system/warmlane-router".to_owned(),
            agents: "warmlane-system/warmlane-agent".to_owned(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            plain: Some(local(8080)),
            aware: Some(local(8081)),
            plain_tls: None,
            aware_tls: None,
            metrics: local(9090),
            admin: local(9091),
            grpc_health: None,
            ext_proc: None,
            extension: None,
        }
    }
}

impl Default for TlsFiles {
    fn default() -> Self {
        Self { certificate: PathBuf::new(), key: PathBuf::new(), reload_interval: Duration::from_secs(10) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 64 * MIB,
            body_budget: 1_024 * MIB,
            head: 64 * 1_024,
            headers: 128,
            connections: 16_384,
            streams: 128,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(60 * MINUTE),
            stream_idle: Duration::from_secs(5 * MINUTE),
            connect: Duration::from_secs(2),
            client_head: Duration::from_secs(10),
            client_body_idle: Duration::from_secs(30),
            client_body: Duration::from_secs(10 * MINUTE),
            client_idle: Duration::from_secs(75),
            upstream_idle: Duration::from_secs(3),
            shutdown_delay: Duration::from_secs(3),
            drain: Duration::from_secs(30),
        }
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self { endpoint: true, session: vec!["x-session-id".to_owned()], set_session_cookie: false }
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self {
            block_bytes: 64,
            index_bytes: 256 * MIB,
            sessions: 65_536,
            session_lifetime: Duration::from_secs(30 * MINUTE),
            groups: 1_024,
            group_blocks: 16,
            group_requests: 8,
            group_window: Duration::from_secs(MINUTE),
            tokenizer_wait: Duration::from_millis(20),
        }
    }
}

impl Default for Lane {
    fn default() -> Self {
        let (object, cgroup) = (PathBuf::new(), PathBuf::new());
        Self {
            mode: LaneMode::default(),
            remote: RemoteLane::default(),
            object,
            cgroup,
            budget: kernel::Settings::QUEUE_LIMIT,
        }
    }
}

impl Default for Scrape {
    fn default() -> Self {
        Self {
            min_interval: Duration::from_millis(50),
            max_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            rate: 2_000,
        }
    }
}

impl Default for Tracing {
    fn default() -> Self {
        Self { endpoint: String::new(), sample: 1.0, service_name: "warmlane-router".to_owned() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), json: false, access: false, decisions: 1_024 }
    }
}
