//! Several engines that start together and end together; also what is left of them from earlier runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::Pid;

use super::{Engine, Install, Ports, engine, http};
use crate::progress::Progress;
use crate::{interrupt, step};

/// What one engine takes of memory, and what the rest of the machine should keep.
const ENGINE_MB: u64 = 2_700;
const SPARE_MB: u64 = 500;
/// Ninety seconds on two idle cores; four minutes were seen while others compiled.
const START_LIMIT: Duration = Duration::from_secs(900);

/// Engines that end when the value is dropped.
#[derive(Debug)]
pub struct Fleet {
    engines: Vec<Engine>,
}

impl Fleet {
    /// Starts one engine for each of the ports, without waiting for them.
    pub fn start(install: &Install, ports: impl IntoIterator<Item = Ports>) -> anyhow::Result<Self> {
        let ports: Vec<Ports> = ports.into_iter().collect();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        enough_memory(&meminfo, ports.len())?;
        let engines = ports.into_iter().map(|ports| Engine::start(install, ports));
        Ok(Self { engines: engines.collect::<anyhow::Result<_>>()? })
    }

    /// Starts `count` engines on free ports, publishing KV events.
    pub fn start_anywhere(install: &Install, count: usize) -> anyhow::Result<Self> {
        let ports: Vec<Ports> =
            (0..count).map(|_| Ports::free_with_events()).collect::<anyhow::Result<_>>()?;
        Self::start(install, ports)
    }

    /// Waits until every engine answers; shows progress.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        self.wait_with(Progress::start(&format!("start {} engine(s)", self.engines.len())))
    }

    /// The same without a word.
    pub(crate) fn wait_silently(&mut self) -> anyhow::Result<()> {
        self.wait_with(Progress::silent("start engines"))
    }

    fn wait_with(&mut self, mut progress: Progress) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        for engine in &mut self.engines {
            while !engine.is_ready()? {
                interrupt::checkpoint()?;
                let said = || format!("{}: {}", engine.address(), step::last_line(engine.log()));
                anyhow::ensure!(Instant::now() < deadline, "no answer after {START_LIMIT:?}; {}", said());
                progress.tick(said);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        progress.finish("ready");
        Ok(())
    }

    /// The engines, in the order of their ports.
    pub fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// Their addresses, separated by commas, as `warmlane-router --endpoint` takes them.
    pub fn addresses(&self) -> String {
        self.engines.iter().map(Engine::address).collect::<Vec<_>>().join(",")
    }

    /// Where they publish KV events, separated by commas.
    pub fn kv_events(&self) -> String {
        self.engines.iter().filter_map(Engine::kv_events).collect::<Vec<_>>().join(",")
    }

    /// An error once one of them has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.engines.iter_mut().try_for_each(Engine::check)
    }
}

fn enough_memory(meminfo: &str, engines: usize) -> anyhow::Result<()> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    // Without a figure nobody is stopped: the kernel will tell by itself.
    let Some(free) = kib.map(|kib| kib / 1024) else { return Ok(()) };
    let wanted = ENGINE_MB * engines as u64 + SPARE_MB;
    anyhow::ensure!(
        free >= wanted,
        "{engines} engine(s) take {wanted} MB of memory and {free} MB are free: close something, or start fewer"
    );
    Ok(())
}

/// Ends every engine that was started from this folder and still runs.
pub(super) fn stop(dir: &Path) -> anyhow::Result<()> {
    let found = recorded(dir)?;
    for left in &found {
        engine::end_group(left.group, || !is_engine(left.group, left.port));
        std::fs::remove_file(&left.record).ok();
        println!("stopped the engine on port {}", left.port);
    }
    if found.is_empty() {
        println!("no engine runs");
    }
    Ok(())
}

/// Says what is installed and what runs.
pub(super) fn status(dir: &Path) -> anyhow::Result<()> {
    let state =
        if Install::at(dir).is_complete() { "installed" } else { "not installed (cargo xtask vllm install)" };
    println!("{}: {state}", dir.display());
    for left in recorded(dir)? {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, left.port));
        let state = if http::answers(address, "/health") { "ready" } else { "starting or stuck" };
        println!(
            "{address}: {state}, process {}, log {}/logs/engine-{}.log",
            left.group,
            dir.display(),
            left.port
        );
    }
    Ok(())
}

/// An engine that a record names and that still runs.
struct Left {
    port: u16,
    group: Pid,
    record: PathBuf,
}

fn recorded(dir: &Path) -> anyhow::Result<Vec<Left>> {
    let run = dir.join("run");
    if !run.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&run).with_context(|| format!("cannot read {}", run.display()))? {
        let record = entry?.path();
        let port = record.file_name().and_then(|name| name.to_str()?.parse().ok());
        let text = std::fs::read_to_string(&record).unwrap_or_default();
        let group = text.trim().parse().ok().and_then(Pid::from_raw);
        let (Some(port), Some(group)) = (port, group) else { continue };
        if is_engine(group, port) {
            found.push(Left { port, group, record });
        } else {
            // Its process is gone, or the number belongs to someone else by now.
            std::fs::remove_file(&record).ok();
        }
    }
    Ok(found)
}

/// Whether the process is still the engine of that port: numbers are used again, and strangers must not be ended.
fn is_engine(group: Pid, port: u16) -> bool {
    let line = std::fs::read(format!("/proc/{}/cmdline", group.as_raw_nonzero())).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    words.windows(2).any(|pair| pair[0] == b"--port" && pair[1] == port.to_string().as_bytes())
        && words.iter().any(|word| word.ends_with(b"/vllm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_that_do_not_fit_into_memory_are_refused_with_both_figures() {
        let meminfo = "MemTotal: 8000000 kB\nMemAvailable:    4096000 kB\n";
        assert!(enough_memory(meminfo, 1).is_ok());
        let said = enough_memory(meminfo, 2).unwrap_err().to_string();
        assert!(said.contains("5900 MB") && said.contains("4000 MB"), "{said}");
    }

    #[test]
    fn a_record_whose_process_is_someone_else_is_dropped_not_ended() {
        let dir = tempfile::tempdir().unwrap();
        let record = engine::record(dir.path(), 8000);
        std::fs::create_dir_all(record.parent().unwrap()).unwrap();
        std::fs::write(&record, std::process::id().to_string()).unwrap();
        assert!(recorded(dir.path()).unwrap().is_empty());
        assert!(!record.exists());
    }
}
