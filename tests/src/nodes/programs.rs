//! The agent and the router as processes.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use warmlane_xtask::{step, workspace};

use crate::{
    proxy::{
        cost,
        process::{Process, on_proxy_core},
        running::free_address,
    },
    wire::find,
};

/// One that is not up after this is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program, killed when dropped.
pub(crate) struct Program {
    process: Process,
    name: &'static str,
    log: std::path::PathBuf,
}

/// A router, and a connection to its admin port.
pub(crate) struct Router {
    pub(crate) program: Program,
    pub(crate) ext_proc: SocketAddr,
    admin: SocketAddr,
    connection: Option<TcpStream>,
}

// === Program ===

impl Program {
    fn start(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        let folder = workspace::target().join("bench-programs");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        Ok(Self { process: Process::start(command).context(name)?, name, log })
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        cost::cpu_seconds(self.process.id())
    }

    pub(crate) fn resident_mb(&self) -> f64 {
        cost::resident_mb(self.process.id())
    }

    /// The most memory that it had so far.
    pub(crate) fn peak_mb(&self) -> f64 {
        cost::peak_mb(self.process.id())
    }

    pub(crate) fn said(&self) -> String {
        format!("{}; the end of its log:\n{}", self.name, step::tail(&self.log, 15))
    }
}

/// An agent over these engines, which may publish KV events; where routers dial.
pub(crate) fn agent(
    program: &Path,
    engines: &[SocketAddr],
    events: &[SocketAddr],
) -> anyhow::Result<(Program, SocketAddr)> {
    let listen = free_address()?;
    let mut command = on_proxy_core(program);
    command.args(["--node", "bench", "--engine", &list(engines), "--listen", &listen.to_string()]);
    command.args([
        "--metrics",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--nvml-lib",
        "none",
        "--kubelet-socket",
        "none",
    ]);
    if !events.is_empty() {
        command.args(["--kv-events", &list(events)]);
    }
    Ok((Program::start("agent", &mut command)?, listen))
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

// === Router ===

impl Router {
    /// One over these endpoints that follows these agents; waits until it follows all and holds all endpoints for ready.
    pub(crate) async fn start(
        program: &Path,
        endpoints: &[SocketAddr],
        agents: &[SocketAddr],
        options: &[&str],
    ) -> anyhow::Result<Self> {
        let named = ["--endpoint".to_owned(), list(endpoints), "--agent".to_owned(), list(agents)];
        let options = options.iter().map(|word| (*word).to_owned());
        let mut router = Self::spawn(program, named.into_iter().chain(options))?;
        let until = Instant::now() + PATIENCE;
        while !router.is_ready().await.unwrap_or(false) {
            anyhow::ensure!(Instant::now() < until, "not ready: {}", router.program.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(router)
    }

    /// One with these options, and ports of this machine's own; whether it is ready is the caller's to find out.
    pub(crate) fn spawn(program: &Path, options: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (admin, ext_proc) = (free_address()?, free_address()?);
        let mut command = on_proxy_core(program);
        command.args(["--workers", "1", "--admin", &admin.to_string(), "--ext-proc", &ext_proc.to_string()]);
        for listener in ["--plain", "--aware", "--metrics"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        let program = Program::start("router", command.args(options))?;
        Ok(Self { program, ext_proc, admin, connection: None })
    }

    async fn is_ready(&mut self) -> anyhow::Result<bool> {
        let agents = self.get("/debug/agents").await?;
        let follows =
            agents["agents"].as_array().is_some_and(|all| all.iter().all(|a| a["connected"] == true));
        let endpoints = self.get("/debug/endpoints").await?;
        Ok(follows
            && endpoints["endpoints"].as_array().is_some_and(|all| all.iter().all(|e| e["ready"] == true)))
    }

    /// Its admin port.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A page of the admin port.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        if let Some(kept) = self.connection.take() {
            // One that was idle for long is closed by the router.
            if let Ok(page) = self.ask(kept, path).await {
                return Ok(page);
            }
        }
        let fresh = TcpStream::connect(self.admin).await?;
        self.ask(fresh, path).await
    }

    async fn ask(&mut self, mut stream: TcpStream, path: &str) -> anyhow::Result<Value> {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::with_capacity(16 << 10);
        let body_at = loop {
            if let Some(at) = find(&answer, b"\r\n\r\n") {
                break at + 4;
            }
            anyhow::ensure!(stream.read_buf(&mut answer).await? > 0, "the admin port closed");
        };
        let head = String::from_utf8_lossy(&answer[..body_at]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("no content-length")?.trim().parse()?;
        while answer.len() < body_at + length {
            anyhow::ensure!(stream.read_buf(&mut answer).await? > 0, "the admin port closed");
        }
        self.connection = Some(stream);
        Ok(serde_json::from_slice(&answer[body_at..])?)
    }
}
