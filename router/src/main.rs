//! `warmlane-router`: reads the settings, starts the router, and stops it gently on SIGTERM or SIGINT; a second
//! signal cuts what is still open.
//!
//! Standard output carries one line, the addresses it listens on; all else goes to standard error.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    thread,
};

use anyhow::Context;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};
use warmlane_router::{
    app::{App, Files, Running},
    config::{Config, ConfigError, Listen, ProcessEnvironment},
    lane::Lane,
    log::{self, LogLevel},
};

/// The settings or flags are wrong, as with most Unix programs.
const MISUSED: u8 = 2;

const SIGTERM: &str = "SIGTERM";

/// The two signals that end the process, and the runtime that waits for them.
struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

fn main() -> ExitCode {
    let loaded = match Config::load(env::args_os(), &ProcessEnvironment) {
        Ok(loaded) => loaded,
        // Help and version are answers, not errors: clap knows stream and exit code of each.
        Err(ConfigError::Flags(answer)) => answer.exit(),
        Err(error) => {
            eprintln!("warmlane-router: {error}");
            return ExitCode::from(MISUSED);
        }
    };
    if loaded.check_only {
        loaded.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        if let Err(error) = Files::read(&loaded.config) {
            eprintln!("warmlane-router: {error:#}");
            return ExitCode::from(MISUSED);
        }
        // No error: a router without them copies.
        if let Err(why) = Lane::check(&loaded.config) {
            eprintln!("warning: --lane-object: {why}");
        }
        say(&loaded.config.to_string());
        return ExitCode::SUCCESS;
    }
    let level = log::start(&loaded.config.log);
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    match run(loaded.config, level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warmlane-router: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config, level: LogLevel) -> anyhow::Result<()> {
    tracing::info!("set (for all settings: --check, or /debug/config):\n{}", config.changed());
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let running = App::start_with(config, Some(level))?;
    let Listen { plain, aware, plain_tls, aware_tls, metrics, admin, grpc_health, ext_proc, extension } =
        running.listening;
    let listeners = [
        ("plain", plain),
        ("aware", aware),
        ("metrics", Some(metrics)),
        ("admin", Some(admin)),
        ("plain-tls", plain_tls),
        ("aware-tls", aware_tls),
        ("grpc-health", grpc_health),
        ("ext-proc", ext_proc),
        ("extension-server", extension),
    ];
    let at = listeners.into_iter().filter_map(|(name, at)| at.map(|at| format!(" {name}={at}")));
    say(&format!("listening{}\n", at.collect::<String>()));
    let name = signals.next();
    tracing::info!("{name}: stopping; a second signal cuts what is open");
    // At a terminal nobody has to be told.
    stop(running, signals, name == SIGTERM)
}

fn stop(mut running: Running, mut signals: Signals, announce: bool) -> anyhow::Result<()> {
    let cut = running.cutter();
    // Not joined: it waits for a signal that need not come, and ends with the process.
    let waiting = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let name = signals.next();
        tracing::warn!("{name} again: cutting what is open");
        cut();
    });
    waiting.context("cannot start a thread")?;
    if announce {
        running.announce();
    }
    running.drain();
    Ok(())
}

/// Writes to standard output. Nobody may be reading it: that is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

// === Signals ===

impl Signals {
    fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        drop(inside);
        Ok(Self { runtime, terminate, interrupt })
    }

    /// Waits for the next of them and names it.
    fn next(&mut self) -> &'static str {
        let Self { runtime, terminate, interrupt } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => SIGTERM,
                _ = interrupt.recv() => "SIGINT",
            }
        })
    }
}
