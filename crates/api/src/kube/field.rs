//! One field of a JSON object and its place, so that whatever is wrong with it can be said with its name.

use std::fmt;

use serde_json::Value;

use super::{Invalid, Labels};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Field<'v> {
    place: String,
    value: &'v Value,
}

// === Field ===

impl<'v> Field<'v> {
    pub(super) fn root(place: &str, value: &'v Value) -> Self {
        Self { place: place.to_owned(), value }
    }

    /// The field below, if there is one; `null` is none.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Self { place: format!("{}.{key}", self.place), value })
    }

    pub(super) fn need(&self, key: &str) -> Result<Self, Invalid> {
        self.get(key).ok_or_else(|| Invalid::new(format!("{}.{key}", self.place), "it is missing"))
    }

    pub(super) fn text(&self) -> Result<String, Invalid> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.invalid("it is no text"))
    }

    /// Text that is not empty.
    pub(super) fn filled(&self) -> Result<String, Invalid> {
        let text = self.text()?;
        if text.is_empty() { Err(self.invalid("it is empty")) } else { Ok(text) }
    }

    pub(super) fn number(&self, least: i64, most: i64) -> Result<i64, Invalid> {
        let number = self.value.as_i64().filter(|number| (least..=most).contains(number));
        number
            .ok_or_else(|| self.invalid(format!("{} is no whole number from {least} to {most}", self.value)))
    }

    pub(super) fn port(&self) -> Result<u16, Invalid> {
        let port = self.value.as_i64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        port.ok_or_else(|| self.invalid(format!("{} is no port: ports are 1 to 65535", self.value)))
    }

    pub(super) fn list(&self) -> Result<Vec<Self>, Invalid> {
        let list = self.value.as_array().ok_or_else(|| self.invalid("it is no list"))?;
        let item = |(at, value)| Self { place: format!("{}[{at}]", self.place), value };
        Ok(list.iter().enumerate().map(item).collect())
    }

    /// Labels, at least one: none would select every pod of the namespace.
    pub(super) fn labels(&self) -> Result<Labels, Invalid> {
        let table = self.value.as_object().ok_or_else(|| self.invalid("it is no table of labels"))?;
        if table.is_empty() {
            return Err(self.invalid("it is empty and would select every pod: name at least one label"));
        }
        let label = |key: &String| Ok((key.clone(), self.need(key)?.text()?));
        table.keys().map(label).collect()
    }

    pub(super) fn invalid(&self, why: impl fmt::Display) -> Invalid {
        Invalid::new(self.place.clone(), why)
    }
}
