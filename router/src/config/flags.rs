//! The command line, and the help that explains it. Built from the table of settings.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource, value_parser};
use warmlane_picker::{Profile, Strategy};

use super::{
    Config, ConfigError, Origin,
    keys::{KEYS, Key},
    load::{Setting, Settings},
    text::Form,
};

/// The flag that names the configuration file.
pub(super) const CONFIG: &str = "config";
const CHECK: &str = "check";
const SETUP: &str = "Setup";

const ABOUT: &str = "Picks the best LLM replica for each request and relays its tokens.";

const EXPLAINED: &str = "\
Settings come from defaults, the file, the environment and flags; later ones win.
  file         [limits] body = \"64MiB\"     the name after each flag's help, in its [section]
  environment  WARMLANE_BODY_LIMIT=64MiB   the flag in capitals, with _ for -
  flag         --body-limit 64MiB
BYTES are a number or have a unit (64MiB, 10MB); TIME has one (250ms, 5s, 1m30s, 1h).

Examples:
  Route to two replicas, all other settings at their defaults:
    warmlane-router --endpoint 10.0.0.1:8000,10.0.0.2:8000
  Send repeated prompts to the replica that holds them, listen on every address:
    warmlane-router --endpoint gpu-a:8000,gpu-b:8000 --strategy PREFIX_CACHE --aware 0.0.0.0:8081
  Check a file and see what it comes to:
    warmlane-router --config warmlane.toml --check

Then:
  curl http://127.0.0.1:8081/v1/models          what the replicas serve
  curl http://127.0.0.1:9090/readyz             whether requests can be served
  curl http://127.0.0.1:9091/debug/endpoints    what is known of each replica
  curl http://127.0.0.1:9091/debug/pins         which sessions and prompt prefixes stay where
  warmlane status                               what is wrong, on one screen";

/// What the command line says.
pub(super) struct Given {
    pub(super) settings: Settings,
    pub(super) config_file: Option<PathBuf>,
    pub(super) check_only: bool,
}

/// Reads the command line.
pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Given, ConfigError> {
    let matches = command().try_get_matches_from(args)?;
    let settings = KEYS.iter().filter_map(|key| Some((key.path, setting(key, &matches)?))).collect();
    Ok(Given {
        settings,
        config_file: matches.get_one::<PathBuf>(CONFIG).cloned(),
        check_only: matches.get_flag(CHECK),
    })
}

fn setting(key: &Key, matches: &ArgMatches) -> Option<Setting> {
    if matches.value_source(key.flag) != Some(ValueSource::CommandLine) {
        return None;
    }
    let texts: Vec<&str> = matches.get_many::<String>(key.flag)?.map(String::as_str).collect();
    Some(Setting { text: texts.join(","), origin: Origin::Flag(key.flag) })
}

/// The command, for parsing and for help.
pub(super) fn command() -> Command {
    let file = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .help("TOML file with settings")
        .value_parser(value_parser!(PathBuf))
        .help_heading(SETUP);
    let check = Arg::new(CHECK)
        .long(CHECK)
        .help("Check the settings, print what they come to, and exit")
        .action(ArgAction::SetTrue)
        .help_heading(SETUP);
    Command::new("warmlane-router")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(EXPLAINED)
        .max_term_width(110)
        .args([file, check])
        .args(KEYS.iter().map(arg))
}

fn arg(key: &Key) -> Arg {
    let arg = Arg::new(key.flag)
        .long(key.flag)
        .value_name(key.value)
        .help(format!("{} [{}{}]", key.help, key.path, default(key)))
        .help_heading(key.group);
    match key.form {
        Form::List => arg.action(ArgAction::Append),
        Form::Bare if key.value == "BOOL" => arg.num_args(0..=1).default_missing_value("true"),
        // Taken as a value, so that it is refused by a text that says what to write.
        Form::Bare | Form::Size => arg.allow_negative_numbers(true),
        Form::Quoted | Form::Toml => arg,
    }
}

/// The default as people write it.
fn default(key: &Key) -> String {
    match defaults(key) {
        None => String::new(),
        Some((usual, None)) => format!("; default {usual}"),
        Some((usual, Some(prefix))) => format!("; default {usual}, with PREFIX_CACHE {prefix}"),
    }
}

/// What holds where nobody set it, if anything does; and what holds with PREFIX_CACHE where that is something else.
pub(super) fn defaults(key: &Key) -> Option<(String, Option<String>)> {
    let of = |strategy| (key.get)(&Config { profile: Profile::of(strategy), ..Config::default() });
    let (usual, prefix) = (of(Strategy::Default), of(Strategy::PrefixCache));
    let is_two = matches!(key.form, Form::Bare | Form::Quoted) && usual != prefix && key.path != "strategy";
    (!matches!(usual.as_str(), "" | "[]")).then_some((usual, is_two.then_some(prefix)))
}
