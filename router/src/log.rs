//! The router's own log: how it is written, and how much, which may change while the router runs.

use std::{
    fmt,
    io::{self, IsTerminal as _},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::Level;
use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// Libraries whose lines say what our own say once, or what anybody outside could fill the log with: h2 warns of each hostile
/// connection, and Kubernetes' client of each try that fails. Who names one in a filter has its lines.
const QUIET: [(&str, &str); 2] = [("h2", "h2=error"), ("kube_client", "kube_client=off")];

/// How much is written, and the way to change it.
#[derive(Clone)]
pub struct LogLevel {
    /// As it was set last.
    level: Arc<Mutex<String>>,
    replace: Arc<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
}

/// Begins to write. Once in a process.
pub fn start(log: &Log) -> LogLevel {
    // The level was checked with the other settings.
    let filter = filter(&log.level).unwrap_or_default();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if log.json {
        let lines = lines.json().with_filter_reloading();
        let handle = lines.reload_handle();
        lines.init();
        LogLevel::new(&log.level, move |filter| handle.reload(filter).map_err(|error| error.to_string()))
    } else {
        let lines = lines.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
        let handle = lines.reload_handle();
        lines.init();
        LogLevel::new(&log.level, move |filter| handle.reload(filter).map_err(|error| error.to_string()))
    }
}

/// Reads a filter.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn filter(level: &str) -> Result<EnvFilter, String> {
    let filter = EnvFilter::try_new(level);
    let mut filter = filter.map_err(|error| format!("{error}; write error, warn, info, debug or trace"))?;
    // A bare word that is no level would be taken for a module, and everything else would fall silent.
    let words = level.split(',').map(str::trim);
    let mut bare = words.filter(|word| !word.contains(['=', '[', ':']));
    if let Some(stray) = bare.find(|word| word.parse::<Level>().is_err() && *word != "off") {
        return Err(format!("{stray:?} is no level: write error, warn, info, debug, trace, or MODULE=LEVEL"));
    }
    for (library, directive) in QUIET {
        if !level.contains(library) {
            filter = filter.add_directive(directive.parse().unwrap_or_default());
        }
    }
    Ok(filter)
}

// === LogLevel ===

impl LogLevel {
    pub(crate) fn new(
        level: &str,
        replace: impl Fn(EnvFilter) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { level: Arc::new(Mutex::new(level.to_owned())), replace: Arc::new(replace) }
    }

    /// How much is written.
    pub fn level(&self) -> String {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes so much from now on. What was set before.
    ///
    /// # Errors
    /// Why not; then it stays as it was.
    pub fn set(&self, level: &str) -> Result<String, String> {
        (self.replace)(filter(level)?)?;
        let mut now = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut now, level.to_owned()))
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevel").field("level", &self.level).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_changes_nothing_and_one_that_is_replaces_the_last() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let replaced = seen.clone();
        let level = LogLevel::new("info", move |filter| {
            replaced.lock().unwrap().push(filter.to_string());
            Ok(())
        });
        for wrong in ["loud", "info,warmlane_router=loud", "info,verbose"] {
            level.set(wrong).expect_err(wrong);
        }
        assert!(seen.lock().unwrap().is_empty());
        assert_eq!(level.set("warn,h2=debug"), Ok("info".to_owned()));
        assert_eq!(level.set("off"), Ok("warn,h2=debug".to_owned()));
        let filters = seen.lock().unwrap().clone();
        assert!(filters[0].contains("h2=debug") && filters[0].contains("kube_client=off"), "{filters:?}");
        assert!(filters[1].contains("h2=error"), "{filters:?}");
    }
}
