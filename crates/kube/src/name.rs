//! Names of objects.

use std::{fmt, str::FromStr};

/// How many names a list has before it only counts.
const NAMED: usize = 3;

/// Namespace and name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

/// Of a pool.
pub type PoolName = ObjectName;

// === ObjectName ===

impl ObjectName {
    /// Puts the two together.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ObjectName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The characters of DNS names, of which both are made.
        let is_name = |part: &str| {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
            !part.is_empty() && part.chars().all(allowed)
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(Self::new(namespace, name)),
            _ => Err("write NAMESPACE/NAME, such as default/qwen"),
        }
    }
}

/// The first names of a list and how many more there are.
pub fn listed(names: &[&ObjectName]) -> String {
    let first: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    let more = names.len().saturating_sub(NAMED);
    if more == 0 { first.join(", ") } else { format!("{} and {more} more", first.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_with_its_namespace() {
        let name: ObjectName = "default/qwen".parse().expect("name");
        assert_eq!((name.to_string().as_str(), name.name.as_str()), ("default/qwen", "qwen"));
        for wrong in ["qwen", "/qwen", "default/", "a/b/c", "Default/qwen", "a b/c"] {
            assert!(wrong.parse::<ObjectName>().is_err(), "{wrong}");
        }
    }
}
