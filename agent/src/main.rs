//! `warmlane-agent`: reads the flags, starts the agent, and stops it on SIGTERM or SIGINT.
//!
//! Standard output carries one line, the addresses it listens on; all else goes to standard error.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tracing_subscriber::EnvFilter;
use warmlane_agent::{app::Agent, config::Config};

/// The flags are wrong, as with most Unix programs.
const MISUSED: u8 = 2;
/// How often is looked whether the agent still works.
const LOOK: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let config = Config::parse();
    if let Err(error) = config.check() {
        eprintln!("warmlane-agent: {error}");
        return ExitCode::from(MISUSED);
    }
    if let Err(error) = start_log(&config) {
        eprintln!("warmlane-agent: --log-level: {error}");
        return ExitCode::from(MISUSED);
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warmlane-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(config: &Config) -> Result<(), tracing_subscriber::filter::ParseError> {
    let mut filter = EnvFilter::builder().parse(&config.log_level)?;
    if !config.log_level.contains("kube_client") {
        // It has a line for each try that fails and each watch that ends; what that means is said once, by our own lines.
        filter = filter.add_directive("kube_client=off".parse()?);
    }
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if config.log_json {
        lines.json().init();
    } else {
        lines.with_ansi(io::stderr().is_terminal()).init();
    }
    Ok(())
}

fn run(config: Config) -> anyhow::Result<()> {
    let (engines, kube) = (config.engines.len(), config.kube);
    let node = config.node.clone();
    let agent = Agent::start(config)?;
    tracing::info!(node, engines, kube, "the agent runs");
    // Nobody may be reading it: that is no reason to stop.
    let (node, metrics, admin) = (agent.listen, agent.metrics, agent.admin);
    let _ = writeln!(io::stdout(), "listening node={node} metrics={metrics} admin={admin}");
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let ended = async {
            while !agent.has_ended() {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            _ = terminate.recv() => tracing::info!("stops on SIGTERM"),
            _ = interrupt.recv() => tracing::info!("stops on SIGINT"),
            () = ended => anyhow::bail!("it cannot go on; the log says why"),
        }
        Ok(())
    })
}
