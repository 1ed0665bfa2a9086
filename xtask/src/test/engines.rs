//! Two real engines that are installed and started behind the other stages.

use std::thread::JoinHandle;

use anyhow::Context as _;

use crate::vllm::{Fleet, Install};

/// Enough to show that a choice between replicas is made, and all that a small machine carries.
const ENGINES: usize = 2;

/// Engines on their way; dropping the value waits for the thread, which gives up on an interrupt.
pub(super) struct Engines {
    thread: Option<JoinHandle<anyhow::Result<(Install, Fleet)>>>,
}

impl Engines {
    /// Begins to install (if need be) and to start them.
    pub(super) fn start() -> Self {
        println!("  {ENGINES} real engines start behind the next stages (their logs: target/vllm/logs)");
        Self { thread: Some(std::thread::spawn(bring_up)) }
    }

    /// The engines, ready to serve.
    pub(super) fn wait(mut self) -> anyhow::Result<(Install, Fleet)> {
        let thread = self.thread.take().context("the engines were waited for before")?;
        if !thread.is_finished() {
            println!("  waiting for the real engines");
        }
        match thread.join() {
            Ok(result) => result.context("the real engines did not start"),
            Err(_) => anyhow::bail!("the thread that starts the engines panicked"),
        }
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bring_up() -> anyhow::Result<(Install, Fleet)> {
    let install = Install::ensure_silently()?;
    let mut fleet = Fleet::start_anywhere(&install, ENGINES)?;
    fleet.wait_silently()?;
    Ok((install, fleet))
}
