//! One real engine: how it is started, whether it is ready, and that it ends with its owner.
//!
//! Invariant: the engine's whole process group is gone once the value is dropped; its log stays.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{Install, http};
use crate::step;

/// The names that requests use, the same as in the sample deployment.
const MODEL: &str = "/model/qwen";
const ADAPTERS: [&str; 2] = ["travel-helper-v1", "travel-helper-v2"];
/// An engine that was asked to end gets this long before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Where one engine listens, always on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The OpenAI API, `/metrics` and `/health`.
    pub http: u16,
    /// KV events, with their replay socket on the next port; none are published without it.
    pub kv_events: Option<u16>,
}

impl Ports {
    /// An HTTP port that is free now, and no KV events.
    pub fn free() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        Ok(Self { http: listener.local_addr()?.port(), kv_events: None })
    }

    /// The same, with two ports in a row for KV events.
    pub fn free_with_events() -> anyhow::Result<Self> {
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let pair = (0..100).find_map(|_| {
            let first = free(0).ok()?;
            let port = first.local_addr().ok()?.port();
            free(port.checked_add(1)?).ok().map(|_| port)
        });
        let kv_events = Some(pair.context("no two free ports in a row")?);
        Ok(Self { kv_events, ..Self::free()? })
    }
}

/// A running engine; ends when it is dropped.
#[derive(Debug)]
pub struct Engine {
    child: Child,
    address: SocketAddr,
    kv_events: Option<u16>,
    log: PathBuf,
    record: PathBuf,
}

impl Engine {
    /// Starts an engine without waiting for it.
    pub fn start(install: &Install, ports: Ports) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.http));
        drop(
            TcpListener::bind(address)
                .with_context(|| format!("{address} is taken: `cargo xtask vllm stop`?"))?,
        );
        let log = install.dir().join("logs").join(format!("engine-{}.log", ports.http));
        let record = record(install.dir(), ports.http);
        for file in [&log, &record] {
            std::fs::create_dir_all(file.parent().unwrap_or(install.dir()))?;
        }
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let both = out.try_clone()?;
        let child = command(install, ports).stdin(Stdio::null()).stdout(out).stderr(both).spawn();
        let child = child.context("cannot start vllm: `cargo xtask vllm install`")?;
        let engine = Self { child, address, kv_events: ports.kv_events, log, record };
        std::fs::write(&engine.record, engine.child.id().to_string())?;
        Ok(engine)
    }

    /// Where it serves HTTP.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where it publishes KV events, if it does.
    pub fn kv_events(&self) -> Option<String> {
        self.kv_events.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string())
    }

    /// The file with everything it printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it answers; an error once it has ended, with the end of its log.
    pub fn is_ready(&mut self) -> anyhow::Result<bool> {
        self.check()?;
        Ok(http::answers(self.address, "/health"))
    }

    /// An error once it has ended, with the end of its log.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            anyhow::bail!("{}\nthe engine on {} ended ({status})", step::tail(&self.log, 30), self.address);
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        end_group(Pid::from_child(&self.child), || !matches!(self.child.try_wait(), Ok(None)));
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.record);
    }
}

/// The file that names the process of the engine on a port, so that `stop` finds what an interrupted run left.
pub(super) fn record(dir: &Path, port: u16) -> PathBuf {
    dir.join("run").join(port.to_string())
}

/// Asks a process group to end, waits until `gone`, and kills what is left.
pub(super) fn end_group(group: Pid, mut gone: impl FnMut() -> bool) {
    let _ = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while !gone() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    // The server may be gone while its workers are not.
    let _ = kill_process_group(group, Signal::KILL);
}

/// `vllm serve` as the sample deployment runs it, sized for a laptop.
fn command(install: &Install, ports: Ports) -> Command {
    let mut vllm = Command::new(install.program("vllm"));
    vllm.arg("serve").arg(install.model());
    vllm.args(["--served-model-name", MODEL, "--host", "127.0.0.1", "--port", &ports.http.to_string()]);
    vllm.args(["--max-model-len", "4096", "--max-num-seqs", "16", "--max-num-batched-tokens", "2048"]);
    // 256 blocks of 32 tokens: small enough that eviction and queueing can be seen with a few requests.
    vllm.args([
        "--dtype",
        "bfloat16",
        "--enforce-eager",
        "--block-size",
        "32",
        "--num-gpu-blocks-override",
        "256",
    ]);
    vllm.args([
        "--enable-prefix-caching",
        "--prefix-caching-hash-algo",
        "sha256_cbor",
        "--enable-prompt-tokens-details",
    ]);
    vllm.args([
        "--enable-lora",
        "--max-loras",
        "2",
        "--max-cpu-loras",
        "4",
        "--max-lora-rank",
        "8",
        "--lora-modules",
    ]);
    vllm.args(ADAPTERS.map(|name| format!("{name}={}", install.adapter(name).display())));
    if let Some(port) = ports.kv_events {
        vllm.arg("--kv-events-config").arg(events(port));
    }
    vllm.envs([
        ("HF_HUB_OFFLINE", "1"),
        ("VLLM_NO_USAGE_STATS", "1"),
        ("DO_NOT_TRACK", "1"),
        ("VLLM_CPU_KVCACHE_SPACE", "1"),
        ("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
        ("OMP_NUM_THREADS", "1"),
    ]);
    // A group of its own, so that its workers end with it and Ctrl-C reaches it through us only.
    vllm.process_group(0);
    vllm
}

fn events(port: u16) -> String {
    serde_json::json!({
        "enable_kv_cache_events": true,
        "publisher": "zmq",
        "topic": "kv-events",
        // To an address without a star vLLM connects, rather than listening there.
        "endpoint": format!("tcp://*:{port}"),
        "replay_endpoint": format!("tcp://127.0.0.1:{}", port + 1),
    })
    .to_string()
}
