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
    let is_off = level.trim() == "off";
    for (library, directive) in QUIET {
        if !is_off && !names(level, library) {
            filter = filter.add_directive(directive.parse().unwrap_or_default());
        }
    }
    Ok(filter)
}

/// Whether a filter says something of this library, or of a part of it.
fn names(filter: &str, library: &str) -> bool {
    filter.split(',').any(|directive| {
        let target = directive.trim().split(['=', '[']).next().unwrap_or_default();
        target.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
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
        let filter = filter(level)?;
        // Held while it is replaced: of two who change it at once, the one who is told last has changed it last.
        let mut now = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        (self.replace)(filter)?;
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
        assert!(!filters[1].contains("h2"), "off is off: {filters:?}");
    }

    #[test]
    fn a_library_is_named_by_its_whole_name_or_a_part_of_it_and_by_no_other() {
        for (level, is_quiet) in [
            ("info", true),
            ("info,h2=debug", false),
            ("info,h2::proto=debug", false),
            ("info,h2[connection]=debug", false),
            ("info,warmlane_router::http1::h2x=debug", true),
            ("info,mesh2=debug", true),
            ("info,warmlane_router::front::http2=debug", true),
        ] {
            let filter = filter(level).expect(level).to_string();
            assert_eq!(filter.contains("h2=error"), is_quiet, "{level}: {filter}");
        }
    }

    #[test]
    fn whoever_changes_the_level_last_is_the_one_that_it_is_said_to_be_of() {
        let held = Arc::new(Mutex::new(None::<LogLevel>));
        let (probe, seen) = (held.clone(), Arc::new(Mutex::new(Vec::new())));
        let noted = seen.clone();
        let level = LogLevel::new("info", move |filter| {
            // Nobody else can be between the change and its being written down.
            let level = probe.lock().unwrap().clone().expect("it was put here");
            noted.lock().unwrap().push((filter.to_string(), level.level.try_lock().is_err()));
            Ok(())
        });
        *held.lock().unwrap() = Some(level.clone());
        assert_eq!(level.set("warn"), Ok("info".to_owned()));
        assert!(seen.lock().unwrap().iter().all(|(_, is_held)| *is_held), "{seen:?}");
    }
}
