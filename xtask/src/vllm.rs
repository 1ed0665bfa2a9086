//! `cargo xtask vllm`: real vLLM engines (CPU build) with a tiny model, for tests and trials on one machine.
//!
//! Not the simulated engine: that is `warmlane-sim`. The types here are public so that suites can start engines too:
//! [`Install::ensure`] once, then [`Fleet::start`]; dropping the fleet ends its engines.

mod engine;
mod fleet;
mod http;
mod install;

use std::time::Duration;

pub use engine::{Engine, Ports};
pub use fleet::Fleet;
pub use install::Install;

use crate::interrupt;

/// Install and serve real vLLM engines on this machine
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Install vLLM 0.32 (CPU build) and make a tiny model with two LoRA adapters
    ///
    /// Goes into target/vllm, or where WARMLANE_VLLM_DIR points: about 6 GB and one to three minutes, once. Nothing is
    /// downloaded but Python packages; the model has random weights and is made here. An install that was cut short
    /// is noticed and done again.
    Install,
    /// Serve engines in the foreground until Ctrl-C
    ///
    /// Each takes about 2.7 GB of memory and 90 s to start on two cores; two at once are realistic on a laptop. Every
    /// engine serves `/model/qwen` and the adapters `travel-helper-v1` and `travel-helper-v2` on 127.0.0.1.
    Serve(Serve),
    /// End engines that `serve` or a test left running
    Stop,
    /// Say what is installed and which engines run
    Status,
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// HTTP port of the first engine; the next ones take the ports after it
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Port where the first engine publishes KV events; each engine takes two (events and replay)
    #[arg(long, value_name = "PORT")]
    kv_events: Option<u16>,
    /// How many engines
    #[arg(long, default_value_t = 1)]
    count: u16,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Install => {
            let install = Install::ensure()?;
            println!("vLLM is in {}; next: cargo xtask vllm serve", install.dir().display());
            Ok(())
        }
        Command::Serve(args) => serve(args),
        Command::Stop => fleet::stop(&Install::dir_in_use()),
        Command::Status => fleet::status(&Install::dir_in_use()),
    }
}

fn serve(args: &Serve) -> anyhow::Result<()> {
    let install = Install::ensure()?;
    let ports = (0..args.count)
        .map(|i| Ports { http: args.port + i, kv_events: args.kv_events.map(|kv| kv + 2 * i) });
    let mut fleet = Fleet::start(&install, ports)?;
    fleet.wait_until_ready()?;
    for engine in fleet.engines() {
        println!("ready: {}   log: {}", engine.address(), engine.log().display());
    }
    let first = fleet.engines().first().map(Engine::address).unwrap_or_default();
    println!("try: curl http://{first}/v1/models      end: Ctrl-C");
    while !interrupt::asked() {
        fleet.check()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("stopping {} engine(s)", args.count);
    Ok(())
}
