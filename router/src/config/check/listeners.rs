//! Where the router listens: on an address each, and with a certificate where it speaks TLS.

use std::time::Duration;

use super::{Config, Fault, require};
use crate::tls::Identity;

/// What fits into the system's address, with its end.
const MAX_SOCKET_BYTES: usize = 107;

pub(super) fn listeners(config: &Config) -> Result<(), Fault> {
    let listen = &config.listen;
    let all = [
        ("listen.plain", listen.plain),
        ("listen.aware", listen.aware),
        ("listen.plain_tls", listen.plain_tls),
        ("listen.aware_tls", listen.aware_tls),
        ("listen.metrics", Some(listen.metrics)),
        ("listen.admin", Some(listen.admin)),
        ("listen.grpc_health", listen.grpc_health),
        ("listen.ext_proc", listen.ext_proc),
        ("listen.extension", listen.extension),
    ];
    let all: Vec<_> = all.into_iter().filter_map(|(key, address)| Some((key, address?))).collect();
    let why = "no listener is left for requests: give one of --plain, --aware, --ext-proc and --extension-server an address";
    require(listen.takes_requests() || listen.extension.is_some(), "listen.aware", why)?;
    for (at, (key, address)) in all.iter().enumerate() {
        let twin = all[..at].iter().find(|(_, other)| other == address && address.port() != 0);
        let why =
            twin.map(|(other, _)| format!("{other} has the same address; give each listener its own port"));
        require(twin.is_none(), key, why.unwrap_or_default())?;
    }
    Ok(())
}

pub(super) fn admin(config: &Config) -> Result<(), Fault> {
    let admin = &config.admin;
    let why = format!("is longer than the {MAX_SOCKET_BYTES} bytes that a Unix socket's path may have");
    let length = admin.socket.as_os_str().len();
    require(length <= MAX_SOCKET_BYTES, "listen.admin_socket", why)?;
    let is_name = |host: &String| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ['-', '.', '_'].contains(&c);
        !host.is_empty() && host.chars().all(allowed)
    };
    let why =
        "write names alone, such as router.example.com: no scheme, no port; addresses need not be named";
    require(admin.hosts.iter().all(is_name), "admin.hosts", why)
}

pub(super) fn tls(config: &Config) -> Result<(), Fault> {
    let (tls, listens) = (&config.tls, config.listen.has_tls());
    for (key, file) in [("tls.certificate", &tls.certificate), ("tls.key", &tls.key)] {
        let is_set = !file.as_os_str().is_empty();
        let why = "name a PEM file: --plain-tls and --aware-tls need a certificate and its key";
        require(is_set || !listens, key, why)?;
        let why = "no listener uses it: give --aware-tls or --plain-tls an address, or leave it out";
        require(listens || !is_set, key, why)?;
    }
    let why = "no listener uses it: give --ext-proc an address, or leave it out";
    let is_used = config.listen.ext_proc.is_some() || config.ext_proc.tls == Identity::Off;
    require(is_used, "ext_proc.tls", why)?;
    let why = "must be 100ms to 1d";
    let range = Duration::from_millis(100)..=Duration::from_secs(86_400);
    require(range.contains(&tls.reload_interval), "tls.reload_interval", why)
}
