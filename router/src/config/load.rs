//! Merges the sources and makes the checked value.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    ffi::OsString,
    fs,
    path::PathBuf,
};

use super::{
    Config, ConfigError, Origin, check, file, flags,
    keys::{self, KEYS},
};

/// Names of our environment variables begin like this.
const PREFIX: &str = "WARMLANE_";
/// A variable this much like one of ours is taken for a typing error of it.
const SIMILAR: f64 = 0.93;

/// One setting of one source.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// Settings by their name in the file.
pub(super) type Settings = BTreeMap<&'static str, Setting>;

/// Where environment variables come from: the process, or a map in tests.
pub trait Environment {
    /// The value of a variable.
    fn get(&self, name: &str) -> Option<OsString>;

    /// The names of all variables.
    fn names(&self) -> Vec<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessEnvironment;

/// A configuration and what else the command line asked for.
#[derive(Debug)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// Stop after checking it.
    pub check_only: bool,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
}

// === Config ===

impl Config {
    /// Reads defaults, file, environment and flags, later ones winning, and checks the whole. The first
    /// argument is the program's name.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting, its source and what to do.
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
        environment: &dyn Environment,
    ) -> Result<Loaded, ConfigError> {
        let given = flags::read(args)?;
        let mut settings = match config_file(&given, environment)? {
            Some((path, origin)) => read_file(path, origin)?,
            None => Settings::new(),
        };
        settings.extend(read_environment(environment)?);
        settings.extend(given.settings);
        let config = Self::of(settings)?;
        check::check(&config)?;
        let mut warnings = doubtful_variables(environment);
        warnings.extend(check::idle(&config));
        Ok(Loaded { config, check_only: given.check_only, warnings })
    }

    fn of(mut settings: Settings) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for key in KEYS {
            let Some(Setting { text, origin }) = settings.remove(key.path) else { continue };
            if let Err(why) = (key.set)(&mut config, &text) {
                return Err(ConfigError::Value { key: key.path, value: text, origin, why });
            }
            config.origins.0.insert(key.path, origin);
        }
        Ok(config)
    }
}

fn config_file(
    given: &flags::Given,
    environment: &dyn Environment,
) -> Result<Option<(PathBuf, Origin)>, ConfigError> {
    if let Some(path) = &given.config_file {
        return Ok(Some((path.clone(), Origin::Flag(flags::CONFIG))));
    }
    let name = keys::variable(flags::CONFIG);
    let path = environment.get(&name).filter(|path| !path.is_empty());
    Ok(path.map(|path| (path.into(), Origin::Environment(name))))
}

fn read_file(path: PathBuf, origin: Origin) -> Result<Settings, ConfigError> {
    match fs::read_to_string(&path) {
        Ok(text) => file::read(&text, &path),
        Err(source) => Err(ConfigError::Unreadable { path, origin, source }),
    }
}

/// An empty variable counts as not set, as manifests that pass one through have it.
fn read_environment(environment: &dyn Environment) -> Result<Settings, ConfigError> {
    let mut settings = Settings::new();
    for key in KEYS {
        let name = key.variable();
        let Some(value) = environment.get(&name).filter(|value| !value.is_empty()) else { continue };
        let Ok(text) = value.into_string() else { return Err(ConfigError::NotText { name }) };
        settings.insert(key.path, Setting { text, origin: Origin::Environment(name) });
    }
    Ok(settings)
}

/// Variables that look like misspelt ones of ours. Others with our prefix are let pass: a cluster sets
/// `WARMLANE_ROUTER_SERVICE_HOST` and the like by itself.
fn doubtful_variables(environment: &dyn Environment) -> Vec<String> {
    let known: Vec<String> =
        KEYS.iter().map(keys::Key::variable).chain([keys::variable(flags::CONFIG)]).collect();
    let ours =
        environment.names().into_iter().filter(|name| name.starts_with(PREFIX) && !known.contains(name));
    let warn = |name: String| {
        let like = |known: &String| strsim::jaro_winkler(&name[PREFIX.len()..], &known[PREFIX.len()..]);
        let nearest = known.iter().max_by(|a, b| like(a).total_cmp(&like(b)))?;
        (like(nearest) >= SIMILAR)
            .then(|| format!("environment {name} is not ours and ignored; did you mean {nearest}?"))
    };
    ours.filter_map(warn).collect()
}

// === Environment ===

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<OsString> {
        env::var_os(name)
    }

    fn names(&self) -> Vec<String> {
        env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

impl Environment for HashMap<&str, &str> {
    fn get(&self, name: &str) -> Option<OsString> {
        HashMap::get(self, name).map(|value| OsString::from(*value))
    }

    fn names(&self) -> Vec<String> {
        self.keys().map(|name| (*name).to_owned()).collect()
    }
}
