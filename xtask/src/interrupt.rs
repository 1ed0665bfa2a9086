//! Ctrl-C and SIGTERM, seen as a flag that every waiting loop asks for.
//!
//! Not a handler that cleans up: the loop returns an error, and guards undo what they own on the way out.
//! A second signal ends the process at once, for a person who will not wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Starts watching; call once, before the first child is started.
pub fn watch() -> anyhow::Result<()> {
    let asked = ASKED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Order matters: the exit is armed by the flag that the line after it sets.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(asked))?;
        signal_hook::flag::register(signal, Arc::clone(asked))?;
    }
    Ok(())
}

/// Whether someone asked this process to end.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// An error once someone asked this process to end.
pub fn checkpoint() -> anyhow::Result<()> {
    anyhow::ensure!(!asked(), "interrupted");
    Ok(())
}
