//! Clients that do not read: what the kernel holds for them, whether their pod is at rest meanwhile, and whether all comes as
//! it was sent once they read. Few of them, whose buffers fill up; and many, for whom a machine may not have as much TCP
//! memory as it may take in all (`net.ipv4.tcp_mem`).
//!
//! Pods of three makes, since each meets a full socket in another way: two event loops in Python that are told of room by
//! level, and one that is told by edges, to which an edge that is lost is lost for good.

mod body;
pub(super) mod edge;

use std::{
    collections::VecDeque,
    fmt::{self, Display, Formatter},
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use warmlane_xtask::workspace;

use super::{
    Args,
    figures::{Figures, Side, What},
    router::{Kind, Router},
};
use crate::proxy::{
    cost,
    engine::answer,
    measure::progress,
    process::{Process, on_core},
    running::{free_address, page},
    stream::Pace,
};
use body::Check;

/// What the pod is made of. It sends when as many streams as there will be have been asked for: where the memory is taken by the
/// first ones, no more can connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Make {
    Asyncio,
    Uvloop,
    Edge,
}

/// What each of them reads in the end, at least; and twice of what the kernel holds for it.
const READ: u64 = 4 << 20;
/// Memory that moves by less than a hundredth for three seconds has settled.
const LOOKS: usize = 6;
const LOOK: Duration = Duration::from_millis(500);
/// Patience with whatever should come by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a blocked pod is looked at.
const BLOCKED: Duration = Duration::from_secs(3);
/// Bytes of a page, everywhere that this runs.
const PAGE: u64 = 4_096;
const SCRIPT: &str = include_str!("memory/pod.py");

// === Make ===

impl Make {
    pub(super) const ALL: [Self; 3] = [Self::Asyncio, Self::Uvloop, Self::Edge];

    /// The program, if it is there.
    fn command(self, args: &Args, address: SocketAddr, streams: usize) -> anyhow::Result<Option<Command>> {
        let core = cost::last_core()?;
        if self == Self::Edge {
            let mut command = on_core(core, &std::env::current_exe()?);
            command.args(["edge", &address.to_string(), &streams.to_string()]);
            return Ok(Some(command));
        }
        let Some(python) = &args.uvloop else { return Ok(None) };
        let script = workspace::target().join("bench-lane").join("pod.py");
        fs::create_dir_all(script.parent().unwrap_or(Path::new("")))?;
        fs::write(&script, SCRIPT)?;
        let mut command = on_core(core, python);
        let said = ["GET /metrics", "GET /v1/models", "GET ", "POST /v1/completions "];
        let said = said.map(|request| (request, answer(request.as_bytes())));
        command.arg(script).args([&self.to_string(), &address.ip().to_string(), &address.port().to_string()]);
        command.args([&streams.to_string(), &serde_json::to_string(&said)?]);
        Ok(Some(command))
    }
}

impl Display for Make {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asyncio => "asyncio",
            Self::Uvloop => "uvloop",
            Self::Edge => "edge-triggered",
        })
    }
}

/// Every make, by both ways, once: nothing of it is a matter of chance.
pub(super) async fn all(args: &Args, figures: &mut Figures) -> anyhow::Result<()> {
    let bar = progress("clients that do not read", Make::ALL.len() * args.unread.len() * Kind::OURS.len());
    for make in Make::ALL {
        for &clients in &args.unread {
            for kind in Kind::OURS {
                let what = || format!("{make} pod, {clients} clients, {kind}");
                bar.set_message(what());
                let told = measure(args, (make, clients), kind, figures).await.with_context(what)?;
                if let Some(told) = told {
                    bar.suspend(|| eprintln!("{}: {told}", what()));
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Measures one; what went wrong in it, if anything did.
async fn measure(
    args: &Args,
    (make, count): (Make, usize),
    kind: Kind,
    figures: &mut Figures,
) -> anyhow::Result<Option<String>> {
    let address = free_address()?;
    let Some(mut command) = make.command(args, address, count)? else { return Ok(None) };
    let pod = Process::start(command.stdin(Stdio::null()))?;
    answers(address).await?;
    let router = Router::start(kind, args, address).await?;
    let before = held()?;
    let clients = ask(router.address, count).await?;
    let held = settled().await?;
    let spent = cost::cpu_seconds(pod.id());
    sleep(BLOCKED).await;
    let spent = cost::cpu_seconds(pod.id()) - spent;
    let carried = router.carried().await?;
    anyhow::ensure!(
        kind == Kind::Copy || (carried.bytes > 0.0 && carried.without_room > 0.0),
        "nothing took the kernel lane until there was no room: {carried:?}"
    );
    let began = Instant::now();
    let held_for_each = held.saturating_sub(before) / count as u64;
    let failures = read(clients, READ.max(2 * held_for_each)).await;
    let mut add = |side, value| figures.add(What::Memory(make, count, side), kind, value);
    add(Side::Held, held_for_each as f64 / 1024.0);
    add(Side::OfLimit, held as f64 / limit()? as f64 * 100.0);
    add(Side::Blocked, spent / BLOCKED.as_secs_f64() * 100.0);
    add(Side::Caught, began.elapsed().as_secs_f64());
    add(Side::Failed, failures.len() as f64);
    let Some(first) = failures.first() else { return Ok(None) };
    let counted = router.handovers().await.unwrap_or_default();
    Ok(Some(format!("{} clients failed, the first one: {first:#}; {counted}", failures.len())))
}

async fn answers(address: SocketAddr) -> anyhow::Result<()> {
    let began = Instant::now();
    while let Err(error) = page(address, "/v1/models").await {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the pod does not answer: {error:#}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// All clients, each with its request sent.
async fn ask(address: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let request = Pace { tokens: 1, beat: Duration::ZERO, size: 0 }.request(1_000);
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = TcpStream::connect(address).await?;
        client.write_all(&request).await?;
        clients.push(client);
    }
    Ok(clients)
}

/// The kernel's TCP memory, in bytes, of all sockets of this machine.
fn held() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    pages(&text).map(|pages| pages * PAGE).context("/proc/net/sockstat has no TCP memory")
}

fn pages(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP: "))?;
    line.split(' ').skip_while(|word| *word != "mem").nth(1)?.parse().ok()
}

/// The same once it moves no more.
async fn settled() -> anyhow::Result<u64> {
    let (began, mut last) = (Instant::now(), VecDeque::new());
    loop {
        anyhow::ensure!(began.elapsed() < PATIENCE, "TCP memory does not settle: {last:?}");
        sleep(LOOK).await;
        last.push_back(held()?);
        if last.len() > LOOKS {
            last.pop_front();
            let most = last.iter().copied().max().unwrap_or_default();
            let least = last.iter().copied().min().unwrap_or_default();
            if most - least <= most / 100 {
                return Ok(most);
            }
        }
    }
}

/// The most that this machine may hold.
fn limit() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/tcp_mem")?;
    let most = text.split_whitespace().nth(2).and_then(|pages| pages.parse::<u64>().ok());
    most.map(|pages| pages * PAGE).context("tcp_mem has no third number")
}

/// Everybody reads; what those met who did not find what was sent.
async fn read(clients: Vec<TcpStream>, bytes: u64) -> Vec<anyhow::Error> {
    let mut reading = JoinSet::new();
    for mut client in clients {
        reading.spawn_local(async move {
            let (mut check, mut buffer) = (Check::default(), vec![0; 64 * 1024]);
            while check.passed() < bytes {
                let read = timeout(PATIENCE, client.read(&mut buffer)).await;
                let length = read.with_context(|| format!("nothing came behind {}", check.passed()))??;
                anyhow::ensure!(length > 0, "cut behind {}", check.passed());
                check.feed(&buffer[..length])?;
            }
            anyhow::Ok(())
        });
    }
    let mut failures = Vec::new();
    while let Some(client) = reading.join_next().await {
        failures.extend(client.map_err(anyhow::Error::from).and_then(|read| read).err());
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_tcp_is_read_and_not_that_of_udp() {
        let text = "sockets: used 99\nTCP: inuse 5 orphan 0 tw 2 alloc 7 mem 12\nUDP: inuse 1 mem 3\n";
        assert_eq!(pages(text), Some(12));
        assert_eq!(pages("UDP: inuse 1 mem 3\n"), None);
    }
}
