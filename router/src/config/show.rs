//! The effective configuration as a TOML file that would bring it about, with the source of each setting that
//! is not a default.

use std::fmt;

use super::{
    Config, Origin,
    keys::{self, KEYS, Key},
    text::Form,
};

impl Config {
    /// The lines of those that somebody set.
    pub fn changed(&self) -> String {
        let mut text = String::new();
        for (path, origin) in &self.origins.0 {
            if let Some(key) = keys::find(path) {
                text += &self.line(path, key, origin);
            }
        }
        text
    }

    /// A setting by this name, and who set it.
    fn line(&self, name: &str, key: &Key, origin: &Origin) -> String {
        let line = format!("{name} = {}", literal(key.form, &(key.get)(self)));
        match origin {
            Origin::Default => format!("{line}\n"),
            origin => format!("{line:<40} # {origin}\n"),
        }
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys without a section must come first in TOML.
        let (top, sectioned): (Vec<&Key>, Vec<&Key>) = KEYS.iter().partition(|key| key.place().0.is_empty());
        let mut open = "";
        for key in top.into_iter().chain(sectioned) {
            let (section, name) = key.place();
            if section != open {
                writeln!(f, "\n[{section}]")?;
                open = section;
            }
            f.write_str(&self.line(name, key, &self.origins.of(key.path)))?;
        }
        Ok(())
    }
}

fn literal(form: Form, text: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match form {
        Form::Bare | Form::Toml => text.to_owned(),
        Form::Size if text.parse::<u64>().is_ok() => text.to_owned(),
        Form::Size | Form::Quoted => quoted(text),
        Form::List => {
            let items: Vec<String> = text.split(',').filter(|item| !item.is_empty()).map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
    }
}
