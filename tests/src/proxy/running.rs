//! A proxy's process that answers, whichever proxy it is.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use warmlane_xtask::step;

use super::process::Process;

/// A proxy that is not up after this is given up. sglang-router imports Python modules for many seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// It ends when this is dropped.
pub(crate) struct Running {
    process: Process,
}

// === Running ===

impl Running {
    /// Starts it with its log in `folder`, and waits until a completion goes through.
    pub(crate) async fn start(
        name: &str,
        mut command: Command,
        folder: &Path,
        address: SocketAddr,
    ) -> anyhow::Result<Self> {
        let log = folder.join("log");
        let out = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let process = Process::start(&mut command).with_context(|| name.to_owned())?;
        let mut running = Self { process };
        running.wait(name, address, &log).await?;
        Ok(running)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    async fn wait(&mut self, name: &str, address: SocketAddr, log: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // A real prompt: sglang-router refuses others before it asks an engine.
        let body = r#"{"model":"m","max_tokens":1,"prompt":"hi"}"#;
        let request = format!(
            "POST /v1/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        // Engines may run on this very thread, so it must not block.
        while !ask(address, &request).await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            let ended = self.process.ended()?;
            anyhow::ensure!(
                ended.is_none() && Instant::now() < deadline,
                "{name} does not answer; the end of its log:\n{}",
                step::tail(log, 15)
            );
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

/// What a page's answer says, head and all.
pub(crate) async fn page(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    ask(address, &request).await.with_context(|| format!("cannot read {path} at {address}"))
}

/// What one request that closes its connection is answered with, within two seconds.
async fn ask(address: SocketAddr, request: &str) -> anyhow::Result<String> {
    let attempt = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    timeout(Duration::from_secs(2), attempt).await?
}

/// A port that nobody has now. Another process could take it until the proxy does; then the proxy says so.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
