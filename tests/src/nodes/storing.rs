//! KV events: 50,000 blocks a second from eight engines that hold 100,000 each. What taking them in costs the agent, what it
//! costs the router that is told of them, and the agent's memory.

use std::{
    convert::Infallible,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rmp::encode::{ByteBuf, ValueWriteError, write_array_len, write_f64, write_nil, write_str, write_uint};
use tokio::time::{MissedTickBehavior, interval, sleep};
use zeromq::{PubSocket, Socket as _, SocketSend as _, ZmqMessage};

use super::{
    Args,
    engines::Engines,
    figures::{Figures, Node, What},
    programs::{self, Router},
};
use crate::proxy::running::free_address;

const ENGINES: usize = 8;
/// Blocks that each holds.
const HELD: u64 = 100_000;
/// Of all engines, in a second; as many go.
const STORED: u64 = 50_000;
/// One engine's frame: a step that ends the prompts of a few requests.
const STEP: Duration = Duration::from_millis(20);
const PER_STEP: u64 = STORED / ENGINES as u64 * STEP.as_millis() as u64 / 1_000;
/// Blocks of a prompt, and tokens of a block.
const PROMPT: u64 = 25;
const BLOCK: u64 = 16;
/// How long CPU is looked at.
const COUNTED: Duration = Duration::from_secs(10);
/// Whatever is not there by then does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writing to memory does not fail.
type Written = Result<(), ValueWriteError<Infallible>>;

/// An engine's events.
struct Publisher {
    socket: PubSocket,
    address: SocketAddr,
    number: u64,
    frames: u64,
    /// Blocks stored, and removed, so far: they are numbered, and go in the order in which they came.
    stored: u64,
    removed: u64,
}

pub(super) async fn measure(args: &Args, figures: &mut Figures) -> anyhow::Result<()> {
    let engines = Engines::start(ENGINES).await?;
    let mut publishers = Vec::new();
    for number in 0..ENGINES as u64 {
        publishers.push(Publisher::start(number).await?);
    }
    let events: Vec<SocketAddr> = publishers.iter().map(|publisher| publisher.address).collect();
    let (agent, address) = programs::agent(&args.agent, &engines.addresses, &events)?;
    let mut router =
        Router::start(&args.router, &engines.addresses, &[address], &["--strategy", "PREFIX_CACHE"]).await?;
    fill(&mut publishers, &mut router).await?;
    let cpu = |router: &Router| (agent.cpu_seconds(), router.program.cpu_seconds());
    let quiet = cpu(&router);
    sleep(COUNTED).await;
    let before = cpu(&router);
    let (began, blocks) = (Instant::now(), store(&mut publishers).await?);
    let (after, seconds) = (cpu(&router), began.elapsed().as_secs_f64());
    let rate = blocks as f64 / seconds;
    anyhow::ensure!(rate > 0.9 * STORED as f64, "this machine stored only {rate:.0} blocks a second");
    let share = |quiet: f64, before: f64, after: f64| {
        100.0 * ((after - before) / seconds - (before - quiet) / COUNTED.as_secs_f64())
    };
    figures.add(What::StoringAgent, Node, share(quiet.0, before.0, after.0));
    figures.add(What::StoringRouter, Node, share(quiet.1, before.1, after.1));
    figures.add(What::StoredMemory, Node, agent.resident_mb());
    settled(&publishers, &mut router).await
}

/// Stores until each engine holds what it is to hold, and the router knows.
async fn fill(publishers: &mut [Publisher], router: &mut Router) -> anyhow::Result<()> {
    // Whoever has not subscribed yet does not hear: small frames until all are heard.
    let until = Instant::now() + PATIENCE;
    while known(router).await?.contains(&0) {
        anyhow::ensure!(Instant::now() < until, "events do not reach the router");
        for publisher in publishers.iter_mut() {
            publisher.step(1, 0).await?;
        }
        sleep(STEP).await;
    }
    for publisher in publishers.iter_mut() {
        publisher.step(0, publisher.stored).await?;
    }
    while publishers[0].held() < HELD {
        for publisher in publishers.iter_mut() {
            publisher.step(PER_STEP * 4, 0).await?;
        }
        sleep(STEP).await;
    }
    settled(publishers, router).await
}

/// Goes on at the rate; how many blocks were stored.
async fn store(publishers: &mut [Publisher]) -> anyhow::Result<u64> {
    let stored = |publishers: &[Publisher]| publishers.iter().map(|publisher| publisher.stored).sum::<u64>();
    let (before, began) = (stored(publishers), Instant::now());
    let mut beat = interval(STEP);
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while began.elapsed() < COUNTED {
        beat.tick().await;
        for publisher in publishers.iter_mut() {
            publisher.step(PER_STEP, PER_STEP).await?;
        }
    }
    Ok(stored(publishers) - before)
}

/// Waits until the router holds of each engine what that one holds.
async fn settled(publishers: &[Publisher], router: &mut Router) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    let held: Vec<u64> = publishers.iter().map(Publisher::held).collect();
    loop {
        let known = known(router).await?;
        if known == held {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < until,
            "the router knows of {known:?} blocks, engines hold {held:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// How many blocks the router knows of each engine.
async fn known(router: &mut Router) -> anyhow::Result<Vec<u64>> {
    let page = router.get("/debug/agents").await?;
    let rows = page["agents"][0]["kv"].as_array().cloned().unwrap_or_default();
    let mut known: Vec<u64> = rows.iter().map(|row| row["blocks"].as_u64().unwrap_or(0)).collect();
    known.resize(ENGINES, 0);
    Ok(known)
}

// === Publisher ===

impl Publisher {
    async fn start(number: u64) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut socket = PubSocket::new();
        socket.bind(&format!("tcp://{address}")).await?;
        Ok(Self { socket, address, number, frames: 0, stored: 0, removed: 0 })
    }

    fn held(&self) -> u64 {
        self.stored - self.removed
    }

    /// A step of the engine: so many blocks come, and so many go.
    async fn step(&mut self, come: u64, go: u64) -> anyhow::Result<()> {
        let payload = self.payload(come, go)?;
        let mut message = ZmqMessage::from(Vec::new());
        message.push_back(self.frames.to_be_bytes().to_vec().into());
        message.push_back(payload.into());
        self.frames += 1;
        Ok(self.socket.send(message).await?)
    }

    fn payload(&mut self, come: u64, go: u64) -> Result<Vec<u8>, ValueWriteError<Infallible>> {
        let mut out = ByteBuf::new();
        let prompts = come.div_ceil(PROMPT);
        write_array_len(&mut out, 3)?;
        write_f64(&mut out, 0.0)?;
        write_array_len(&mut out, (prompts + u64::from(go > 0)) as u32)?;
        for first in (0..come).step_by(PROMPT as usize) {
            self.stored(&mut out, PROMPT.min(come - first))?;
        }
        if go > 0 {
            write_array_len(&mut out, 3)?;
            write_str(&mut out, "BlockRemoved")?;
            hashes(&mut out, self.number, self.removed, go)?;
            write_str(&mut out, "GPU")?;
            self.removed += go;
        }
        write_uint(&mut out, 0)?;
        Ok(out.into_vec())
    }

    /// A prompt's blocks, as vLLM 0.17 writes them.
    fn stored(&mut self, out: &mut ByteBuf, count: u64) -> Written {
        write_array_len(out, 7)?;
        write_str(out, "BlockStored")?;
        hashes(out, self.number, self.stored, count)?;
        nil(out)?;
        write_array_len(out, (count * BLOCK) as u32)?;
        for token in 0..count * BLOCK {
            // Prompts differ in their first token, and with it in all blocks.
            write_uint(out, if token == 0 { self.stored } else { 1_000 + token * 371 })?;
        }
        write_uint(out, BLOCK)?;
        nil(out)?;
        write_str(out, "GPU")?;
        self.stored += count;
        Ok(())
    }
}

/// The engine's hashes of blocks with these numbers.
fn hashes(out: &mut ByteBuf, engine: u64, first: u64, count: u64) -> Written {
    write_array_len(out, count as u32)?;
    for block in first..first + count {
        write_uint(out, fastrand::Rng::with_seed(engine << 48 | block).u64(..))?;
    }
    Ok(())
}

fn nil(out: &mut ByteBuf) -> Written {
    write_nil(out).map_err(ValueWriteError::InvalidMarkerWrite)
}
