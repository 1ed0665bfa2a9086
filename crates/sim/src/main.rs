//! `warmlane-sim`: a simulated vLLM engine on one address.

use std::{io::Write, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use warmlane_sim::{
    model::{self, LoadTimes, Profile},
    server::{self, Addresses, Options, Stop},
};

/// A simulated vLLM engine: the HTTP interface, metrics and timing of a GPU replica, without a GPU.
///
/// Answers are filler words. Times follow a profile computed from data sheets.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Address to listen on; port 0 takes a free one, which is printed.
    #[arg(long, env = "WARMLANE_SIM_LISTEN", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Name of the base model.
    #[arg(long, env = "WARMLANE_SIM_MODEL", default_value = "/model/qwen")]
    model: String,
    /// Names of LoRA adapters.
    #[arg(long, env = "WARMLANE_SIM_LORA", value_delimiter = ',')]
    lora: Vec<String>,
    /// Card: a10 or l20.
    #[arg(long, env = "WARMLANE_SIM_PROFILE", default_value = "a10", value_parser = profile)]
    profile: Profile,
    /// Engine seconds per wall second.
    #[arg(long, env = "WARMLANE_SIM_TIME_SCALE", default_value_t = 1.0)]
    time_scale: f64,
    /// Tokens the KV cache holds (default: the profile's).
    #[arg(long, env = "WARMLANE_SIM_KV_TOKENS")]
    kv_tokens: Option<u32>,
    /// Tokens per KV block.
    #[arg(long, env = "WARMLANE_SIM_BLOCK_SIZE", default_value_t = 16)]
    block_size: u32,
    /// Longest sequence, prompt and output together.
    #[arg(long, env = "WARMLANE_SIM_MAX_MODEL_LEN", default_value_t = 8192)]
    max_model_len: u32,
    /// Requests that run at once.
    #[arg(long, env = "WARMLANE_SIM_MAX_NUM_SEQS", default_value_t = 256)]
    max_num_seqs: u32,
    /// Tokens computed in one step.
    #[arg(long, env = "WARMLANE_SIM_MAX_NUM_BATCHED_TOKENS", default_value_t = 2048)]
    max_num_batched_tokens: u32,
    /// Adapters that run at once.
    #[arg(long, env = "WARMLANE_SIM_MAX_LORAS", default_value_t = 2)]
    max_loras: u32,
    /// Adapters kept in host memory.
    #[arg(long, env = "WARMLANE_SIM_MAX_CPU_LORAS", default_value_t = 4)]
    max_cpu_loras: u32,
    /// Turn the prefix cache off.
    #[arg(long, env = "WARMLANE_SIM_NO_PREFIX_CACHING")]
    no_prefix_caching: bool,
    /// Seconds an idle connection stays open.
    #[arg(long, env = "WARMLANE_SIM_KEEP_ALIVE", default_value_t = 5.0)]
    keep_alive: f64,
    /// Seed of response ids and of the length of answers that may end by themselves.
    #[arg(long, env = "WARMLANE_SIM_SEED", default_value_t = 0)]
    seed: u64,
    /// Address to publish KV events on (ZMQ); replays are on the next port. Port 0 takes a free pair, which is printed.
    #[arg(long, env = "WARMLANE_SIM_KV_EVENTS", value_name = "ADDRESS")]
    kv_events: Option<SocketAddr>,
    /// How KV events are written: map (vLLM 0.32) or array (vLLM 0.17).
    #[arg(long, env = "WARMLANE_SIM_KV_EVENTS_FORMAT", default_value = "map", value_name = "FORMAT")]
    kv_events_format: server::KvFormat,
    /// Misbehave on purpose: hang, hang-mid-stream, reset, reset-mid-stream, close-mid-body, wrong-length,
    /// error-500-on-shutdown, error-503, error-event, error-mid-stream, slow, garbage-metrics, stale-metrics, no-metrics,
    /// asleep, refuse. While it runs: POST /sim/fault with {"modes": ["hang"], "share": 0.1}
    #[arg(long, env = "WARMLANE_SIM_FAULT", value_delimiter = ',', value_name = "MODE[,...]")]
    fault: Vec<server::Mode>,
    /// Share of the requests that a fault strikes.
    #[arg(long, env = "WARMLANE_SIM_FAULT_SHARE", default_value_t = 1.0)]
    fault_share: f64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warmlane-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let options = Flags::parse().options()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be watched")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be watched")?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            Stop::Terminate
        };
        server::serve(options, announce, stop).await?;
        Ok(())
    })
}

// === Flags ===

impl Flags {
    fn options(self) -> anyhow::Result<Options> {
        let keep_alive = Duration::try_from_secs_f64(self.keep_alive).context("--keep-alive")?;
        Ok(Options {
            listen: self.listen,
            model: self.model,
            adapters: self.lora.into_iter().filter(|name| !name.is_empty()).collect(),
            profile: self.profile,
            engine: model::Options {
                block_size: self.block_size,
                max_num_seqs: self.max_num_seqs,
                max_num_batched_tokens: self.max_num_batched_tokens,
                max_model_len: self.max_model_len,
                max_loras: self.max_loras,
                max_cpu_loras: self.max_cpu_loras,
                prefix_caching: !self.no_prefix_caching,
                kv_tokens: self.kv_tokens,
                load_times: LoadTimes::default(),
            },
            time_scale: self.time_scale,
            seed: self.seed,
            keep_alive,
            troubles: server::Troubles { modes: self.fault, share: self.fault_share },
            kv_events: self
                .kv_events
                .map(|listen| server::KvEvents { listen, format: self.kv_events_format }),
        })
    }
}

fn profile(name: &str) -> Result<Profile, String> {
    Profile::named(name).ok_or_else(|| "known profiles are a10 and l20".to_owned())
}

/// Scripts wait for this line; a closed stdout is theirs to close.
fn announce(addresses: Addresses) {
    let kv_events = addresses.kv_events.map(|address| format!(" kv-events={address}")).unwrap_or_default();
    let mut out = std::io::stdout();
    let _ = writeln!(out, "listening {}{kv_events}", addresses.http).and_then(|()| out.flush());
}
