//! The TOML file: sections and keys become texts for the table of settings, with the line of each.

use std::path::Path;

use toml::{
    Spanned, Table,
    de::{DeTable, DeValue, Error},
};

use super::{
    ConfigError, Origin,
    keys::{self, KEYS, Key},
    load::{Setting, Settings},
    text::Form,
};

/// Settings of a file's text.
pub(super) fn read(text: &str, path: &Path) -> Result<Settings, ConfigError> {
    let file = File { text, path };
    let table = DeTable::parse(text).map_err(|error| file.syntax(&error))?;
    let mut settings = Settings::new();
    file.walk(table.get_ref(), "", &mut settings)?;
    Ok(settings)
}

struct File<'f> {
    text: &'f str,
    path: &'f Path,
}

// === File ===

impl File<'_> {
    fn walk(&self, table: &DeTable<'_>, section: &str, settings: &mut Settings) -> Result<(), ConfigError> {
        for (name, value) in table {
            let path = if section.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{section}.{}", name.get_ref())
            };
            let origin = self.origin(name.span().start);
            if let Some(key) = keys::find(&path) {
                let text = self.text_of(key, value, &origin)?;
                settings.insert(key.path, Setting { text, origin });
            } else if let (DeValue::Table(inner), true) = (value.get_ref(), is_section(&path)) {
                self.walk(inner, &path, settings)?;
            } else {
                let nearest = match value.get_ref() {
                    _ if is_section(&path) => format!("{path}.{}", first_of(&path)),
                    DeValue::Table(_) => keys::nearest_section(&path).to_owned(),
                    _ => keys::nearest(&path).to_owned(),
                };
                return Err(ConfigError::UnknownKey { key: path, origin, nearest });
            }
        }
        Ok(())
    }

    fn text_of(
        &self,
        key: &'static Key,
        value: &Spanned<DeValue<'_>>,
        origin: &Origin,
    ) -> Result<String, ConfigError> {
        let text = match (key.form, value.get_ref()) {
            (Form::Toml, DeValue::Array(_)) => self.again(key.path),
            (Form::List, DeValue::Array(items)) => {
                let items: Option<Vec<String>> = items.iter().map(|item| scalar(item.get_ref())).collect();
                items.map(|items| items.join(","))
            }
            (Form::Toml, _) => None,
            (_, value) => scalar(value),
        };
        text.ok_or_else(|| ConfigError::Value {
            key: key.path,
            value: self.text.get(value.span()).unwrap_or_default().to_owned(),
            origin: origin.clone(),
            why: format!("this setting takes one value of the form {}", key.value),
        })
    }

    /// A value as inline TOML, whatever way it is written in the file.
    fn again(&self, name: &str) -> Option<String> {
        let table: Table = toml::from_str(self.text).ok()?;
        table.get(name).map(ToString::to_string)
    }

    fn origin(&self, at: usize) -> Origin {
        Origin::File { path: self.path.to_owned(), line: self.line(at) }
    }

    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn syntax(&self, error: &Error) -> ConfigError {
        let line = error.span().map_or(1, |span| self.line(span.start));
        ConfigError::Syntax { path: self.path.to_owned(), line, why: error.message().to_owned() }
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i128::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.place().0 == path)
}

fn first_of(section: &str) -> &'static str {
    KEYS.iter().find(|key| key.place().0 == section).map_or("", |key| key.place().1)
}
