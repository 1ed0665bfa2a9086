//! The proxies: how each is started, with which settings, and what it costs.

use std::{
    fmt::{self, Display, Formatter, Write as _},
    net::SocketAddr,
    path::Path,
    process::Command,
};

use anyhow::Context as _;
use warmlane_xtask::workspace;

use super::{
    Args, cost,
    process::on_proxy_core,
    running::{Running, free_address},
};

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Kind {
    /// This router
    Warmlane,
    /// nginx
    Nginx,
    /// haproxy
    Haproxy,
    /// sglang-router
    Sglang,
}

/// What it is to proxy: some have other settings for streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    Requests,
    Streams,
}

/// A running proxy; it ends when this is dropped.
pub(super) struct Contender {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    running: Running,
}

// === Kind ===

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Warmlane, Self::Nginx, Self::Haproxy, Self::Sglang];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Warmlane => "warmlane",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Sglang => "sglang-router",
        }
    }

    pub(super) fn program(self, args: &Args) -> Option<&Path> {
        match self {
            Self::Warmlane => Some(&args.router),
            Self::Nginx => args.nginx.as_deref(),
            Self::Haproxy => args.haproxy.as_deref(),
            Self::Sglang => args.sglang.as_deref(),
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === Contender ===

impl Contender {
    pub(super) async fn start(
        kind: Kind,
        program: &Path,
        traffic: Traffic,
        engines: &[SocketAddr],
    ) -> anyhow::Result<Self> {
        // Two of a kind may run at once, with pools of different sizes.
        let folder =
            workspace::target().join("bench-proxy").join(format!("{}-{}", kind.name(), engines.len()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let address = free_address()?;
        let mut command = on_proxy_core(program);
        match kind {
            Kind::Warmlane => {
                warmlane(&mut command, address, engines);
                command.args(["--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
            }
            Kind::Nginx => nginx(&mut command, &folder, address, engines)?,
            Kind::Haproxy => haproxy(&mut command, &folder, traffic, address, engines)?,
            Kind::Sglang => sglang(&mut command, address, free_address()?, engines),
        }
        let running = Running::start(kind.name(), command, &folder, address).await?;
        Ok(Self { kind, address, running })
    }

    pub(super) fn cpu_seconds(&self) -> f64 {
        cost::cpu_seconds(self.running.id())
    }

    pub(super) fn resident_mb(&self) -> f64 {
        cost::resident_mb(self.running.id())
    }
}

fn list(engines: &[SocketAddr], each: impl Fn(usize, &SocketAddr) -> String) -> String {
    engines.iter().enumerate().fold(String::new(), |mut text, (number, engine)| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", each(number, engine));
        text
    })
}

/// This router, but for its ports for metrics and admin.
pub(crate) fn warmlane(command: &mut Command, address: SocketAddr, engines: &[SocketAddr]) {
    let names: Vec<String> = engines.iter().map(ToString::to_string).collect();
    command.args(["--strategy", "PREFIX_CACHE", "--workers", "1", "--endpoint", &names.join(",")]);
    command.args(["--aware", &address.to_string()]);
    command.args(["--plain", "127.0.0.1:0"]);
}

pub(crate) fn nginx(
    command: &mut Command,
    folder: &Path,
    address: SocketAddr,
    engines: &[SocketAddr],
) -> anyhow::Result<()> {
    let servers = list(engines, |_, engine| format!("        server {engine};\n"));
    let dir = folder.display();
    let text = format!(
        "worker_processes 1;\ndaemon off;\npid {dir}/pid;\nerror_log {dir}/error.log warn;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n    access_log off;\n    keepalive_requests 1000000000;\n    client_max_body_size 0;\n    client_body_buffer_size 1m;\n\
         \x20   client_body_temp_path {dir}/body;\n    proxy_temp_path {dir}/proxy;\n    fastcgi_temp_path {dir}/f;\n    uwsgi_temp_path {dir}/u;\n    scgi_temp_path {dir}/s;\n\
         \x20   upstream engines {{\n        least_conn;\n{servers}        keepalive 512;\n        keepalive_requests 1000000000;\n    }}\n\
         \x20   server {{\n        listen {address};\n        location / {{\n            proxy_pass http://engines;\n            proxy_http_version 1.1;\n            proxy_set_header Connection \"\";\n            proxy_buffering off;\n        }}\n    }}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text)?;
    command.arg("-c").arg(file).arg("-p").arg(folder);
    Ok(())
}

fn haproxy(
    command: &mut Command,
    folder: &Path,
    traffic: Traffic,
    address: SocketAddr,
    engines: &[SocketAddr],
) -> anyhow::Result<()> {
    let servers = list(engines, |number, engine| format!("    server e{number} {engine}\n"));
    // With it bodies cost more, without it chunks wait for 45 ms and longer: each where it is at its best.
    let delay = if traffic == Traffic::Streams { "    option http-no-delay\n" } else { "" };
    let text = format!(
        "global\n    nbthread 1\n    maxconn 8192\ndefaults\n    mode http\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n\
         \x20   http-reuse always\n{delay}frontend front\n    bind {address}\n    default_backend engines\n\
         backend engines\n    balance leastconn\n{servers}"
    );
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, text)?;
    command.arg("-f").arg(file).arg("-db");
    Ok(())
}

fn sglang(command: &mut Command, address: SocketAddr, prometheus: SocketAddr, engines: &[SocketAddr]) {
    command.args(["-m", "sglang_router.launch_router", "--policy", "cache_aware", "--host", "127.0.0.1"]);
    // Its own metrics port has a default that only one of them can have.
    command.args(["--prometheus-port", &prometheus.port().to_string()]);
    command.args(["--port", &address.port().to_string(), "--log-level", "warn", "--worker-urls"]);
    command.args(engines.iter().map(|engine| format!("http://{engine}")));
}
