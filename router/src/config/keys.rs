//! The table of settings.

use super::{
    Config,
    text::{Form, Refusal},
};

mod table;

pub(super) use table::KEYS;

/// One setting.
pub(super) struct Key {
    /// Its name in the file, with its section: `limits.body`.
    pub(super) path: &'static str,
    /// Its flag without the dashes. The environment variable follows from it.
    pub(super) flag: &'static str,
    /// What stands for its value in the help.
    pub(super) value: &'static str,
    /// Where it stands in the help.
    pub(super) group: &'static str,
    pub(super) help: &'static str,
    pub(super) form: Form,
    pub(super) get: fn(&Config) -> String,
    pub(super) set: fn(&mut Config, &str) -> Result<(), Refusal>,
}

/// The setting with this name in the file.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The setting whose name is most like `text`, which may be a name in the file or a flag's. Last parts count by
/// themselves too, since a wrong section is as likely as a typing error.
pub(super) fn nearest(text: &str) -> &'static str {
    let end = text.rsplit('.').next().unwrap_or(text);
    let like = |key: &Key| {
        let whole = strsim::jaro_winkler(text, key.path);
        let flag = strsim::jaro_winkler(&end.replace('_', "-"), key.flag);
        let part = strsim::jaro_winkler(end, key.place().1);
        // A little less for parts, so that a whole name that fits wins.
        whole.max(0.995 * flag).max(0.99 * part)
    };
    KEYS.iter().max_by(|a, b| like(a).total_cmp(&like(b))).map_or("endpoints", |key| key.path)
}

/// The section whose name is most like `text`.
pub(super) fn nearest_section(text: &str) -> &'static str {
    let like = |key: &Key| strsim::jaro_winkler(text, key.place().0);
    KEYS.iter().max_by(|a, b| like(a).total_cmp(&like(b))).map_or("limits", |key| key.place().0)
}

// === Key ===

impl Key {
    /// The environment variable of the same meaning.
    pub(super) fn variable(&self) -> String {
        variable(self.flag)
    }

    /// Section and name in the file; the section is empty at the top.
    pub(super) fn place(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }
}

/// The environment variable of a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("WARMLANE_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_flags_are_unique() {
        let paths: HashSet<_> = KEYS.iter().map(|key| key.path).collect();
        let flags: HashSet<_> = KEYS.iter().map(|key| key.flag).collect();
        assert_eq!((paths.len(), flags.len()), (KEYS.len(), KEYS.len()));
        assert!(["config", "check", "help", "version"].iter().all(|taken| !flags.contains(taken)));
    }

    #[test]
    fn every_default_reads_back_as_itself() {
        let mut config = Config::default();
        for key in KEYS {
            let text = (key.get)(&config);
            (key.set)(&mut config, &text).unwrap_or_else(|why| panic!("{}: {text:?}: {why}", key.path));
            assert_eq!((key.get)(&config), text, "{}", key.path);
        }
    }

    #[test]
    fn the_nearest_name_bridges_typing_errors_wrong_sections_and_flag_names() {
        assert_eq!(nearest("limits.bdy"), "limits.body");
        assert_eq!(nearest("timeouts.requst"), "timeouts.request");
        assert_eq!(nearest("limits.stream_idle"), "timeouts.stream_idle");
        assert_eq!(nearest("body_limit"), "limits.body");
        assert_eq!(nearest("endpoint"), "endpoints");
        assert_eq!(nearest("unknown-model"), "unknown_model");
    }
}
