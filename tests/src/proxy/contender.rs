//! The proxies: how each is started, with which settings, and what it costs.

use std::{
    fmt::{self, Display, Formatter, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use warmlane_xtask::{step, workspace};

use super::{
    Args, cost,
    process::{Process, on_proxy_core},
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
    process: Process,
}

/// A proxy that is not up after this is given up. sglang-router imports Python modules for many seconds.
const PATIENCE: Duration = Duration::from_secs(60);

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
            Kind::Warmlane => warmlane(&mut command, address, engines),
            Kind::Nginx => nginx(&mut command, &folder, address, engines)?,
            Kind::Haproxy => haproxy(&mut command, &folder, traffic, address, engines)?,
            Kind::Sglang => sglang(&mut command, address, free_address()?, engines),
        }
        let log = folder.join("log");
        let out = std::fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let process = Process::start(&mut command).with_context(|| kind.name())?;
        let mut contender = Self { kind, address, process };
        contender.wait(&log).await?;
        Ok(contender)
    }

    pub(super) fn cpu_seconds(&self) -> f64 {
        cost::cpu_seconds(self.process.id())
    }

    pub(super) fn resident_mb(&self) -> f64 {
        cost::resident_mb(self.process.id())
    }

    /// Waits until a request goes through.
    async fn wait(&mut self, log: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // A real prompt: sglang-router refuses others before it asks an engine.
        let body = r#"{"model":"m","max_tokens":1,"prompt":"hi"}"#;
        let request = format!(
            "POST /v1/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        loop {
            // Engines run on this very thread, so it must not block.
            if probe(self.address, &request).await {
                return Ok(());
            }
            let ended = self.process.ended()?;
            anyhow::ensure!(
                ended.is_none() && Instant::now() < deadline,
                "{} does not answer; the end of its log:\n{}",
                self.kind.name(),
                step::tail(log, 15)
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn probe(address: SocketAddr, request: &str) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let attempt = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(answer.starts_with(b"HTTP/1.1 200"))
    };
    tokio::time::timeout(Duration::from_secs(2), attempt).await.ok().flatten().unwrap_or(false)
}

/// A port that nobody has now. Another process could take it until the proxy does; then the proxy says so.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn list(engines: &[SocketAddr], each: impl Fn(usize, &SocketAddr) -> String) -> String {
    engines.iter().enumerate().fold(String::new(), |mut text, (number, engine)| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", each(number, engine));
        text
    })
}

fn warmlane(command: &mut Command, address: SocketAddr, engines: &[SocketAddr]) {
    let names: Vec<String> = engines.iter().map(ToString::to_string).collect();
    command.args(["--strategy", "PREFIX_CACHE", "--workers", "1", "--endpoint", &names.join(",")]);
    command.args(["--aware", &address.to_string()]);
    command.args(["--plain", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
}

fn nginx(
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
