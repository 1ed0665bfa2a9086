//! The two pickers: how each is started, and what it costs.

use std::{
    fmt::{self, Display, Formatter},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use warmlane_xtask::{step, workspace};

use super::{Args, chats::Chats, load::Connection};
use crate::proxy::{
    cost,
    process::{Process, on_proxy_core},
    running::free_address,
};

/// Which picker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// This router
    Warmlane,
    /// One that picks nothing
    Noop,
}

/// A running picker; it ends when this is dropped.
pub(super) struct Picker {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    process: Process,
}

/// One that is not up after this is given up.
const PATIENCE: Duration = Duration::from_secs(30);

// === Kind ===

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Warmlane, Self::Noop];
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warmlane => "warmlane",
            Self::Noop => "no-op",
        })
    }
}

// === Picker ===

impl Picker {
    /// Starts one and waits until it picks.
    pub(super) async fn start(kind: Kind, args: &Args, engines: &[SocketAddr]) -> anyhow::Result<Self> {
        let folder = workspace::target().join("bench-ext-proc");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let address = free_address()?;
        let mut command = match (kind, &args.router) {
            (Kind::Warmlane, Some(program)) => {
                let mut command = on_proxy_core(program);
                warmlane(&mut command, address, engines);
                command
            }
            // Without a router two of the same are compared.
            (Kind::Warmlane, None) | (Kind::Noop, _) => {
                let mut command = on_proxy_core(&std::env::current_exe()?);
                command.args(["noop", &address.to_string()]);
                command
            }
        };
        let log = folder.join(format!("{kind}.log"));
        let out = std::fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let process = Process::start(&mut command).with_context(|| kind.to_string())?;
        let mut picker = Self { kind, address, process };
        picker.wait(log).await?;
        Ok(picker)
    }

    pub(super) fn cpu_seconds(&self) -> f64 {
        cost::cpu_seconds(self.process.id())
    }

    pub(super) fn resident_mb(&self) -> f64 {
        cost::resident_mb(self.process.id())
    }

    pub(super) fn peak_mb(&self) -> f64 {
        cost::peak_mb(self.process.id())
    }

    /// Waits until a request is sent somewhere.
    async fn wait(&mut self, log: PathBuf) -> anyhow::Result<()> {
        let (deadline, chats) = (Instant::now() + PATIENCE, Chats::new(1024));
        loop {
            // The load runs on this very thread, and so do the engines.
            let probe = async { Connection::open(self.address).await?.request(&chats.next()).await };
            let Err(error) = probe.await else { return Ok(()) };
            anyhow::ensure!(
                self.process.ended()?.is_none() && Instant::now() < deadline,
                "{} does not pick: {error:#}; the end of its log:\n{}",
                self.kind,
                step::tail(&log, 15)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn warmlane(command: &mut Command, address: SocketAddr, engines: &[SocketAddr]) {
    let names: Vec<String> = engines.iter().map(ToString::to_string).collect();
    command.args(["--strategy", "PREFIX_CACHE", "--workers", "1", "--endpoint", &names.join(",")]);
    command.args(["--ext-proc", &address.to_string(), "--ext-proc-tls", "off"]);
    for listener in ["--plain", "--aware", "--metrics", "--admin"] {
        command.args([listener, "127.0.0.1:0"]);
    }
}
