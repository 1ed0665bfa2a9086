//! Configuration files: any text is taken or refused with a message, and what is taken is shown as a text that is taken
//! again.

#![no_main]

use std::{ffi::OsString, path::PathBuf};

use libfuzzer_sys::fuzz_target;
use warmlane_router::config::{Config, Environment};

/// No variables.
struct Nothing;

impl Environment for Nothing {
    fn get(&self, _: &str) -> Option<OsString> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

fn load(text: &[u8]) -> Option<Config> {
    let path: PathBuf = std::env::temp_dir().join(format!("warmlane-fuzz-{}.toml", std::process::id()));
    std::fs::write(&path, text).expect("a file in the temporary folder");
    let file = path.clone().into();
    let args = ["warmlane-router".into(), "--endpoint".into(), "h:1".into(), "--config".into(), file];
    let loaded = Config::load(args, &Nothing);
    std::fs::remove_file(&path).expect("it was written");
    match loaded {
        Ok(loaded) => Some(loaded.config),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fuzz_target!(|text: &[u8]| {
    let Some(config) = load(text) else { return };
    let shown = config.to_string();
    let again = load(shown.as_bytes()).expect("what is shown is valid");
    let settings = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()).collect()
    };
    assert_eq!(settings(&again.to_string()), settings(&shown));
});
