//! Settings that are lists of TOML tables, in the file or as one text.

use toml::{Table, Value};

use super::text::Refusal;

/// Reads a list under `key` with `each`, which gets a value and its place for messages; `example` shows how to write it.
pub(super) fn read<T>(
    key: &str,
    text: &str,
    example: &str,
    each: impl Fn(&Value, &str) -> Result<T, Refusal>,
) -> Result<Vec<T>, Refusal> {
    let table: Table = toml::from_str(&format!("{key} = {text}"))
        .map_err(|error| format!("not a TOML list of tables ({}); write {example}", error.message()))?;
    let all = list(table.get(key), key)?;
    all.iter().enumerate().map(|(at, value)| each(value, &format!("{key}[{at}]"))).collect()
}

/// A value as a table that has no other keys than these.
pub(super) fn table<'v>(value: &'v Value, place: &str, keys: &[&str]) -> Result<&'v Table, Refusal> {
    let table = value.as_table().ok_or_else(|| format!("{place}: write a table, {{ name = \"...\" }}"))?;
    match table.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(table),
        Some(unknown) => Err(format!(
            "unknown key `{place}.{unknown}`; the nearest valid one is `{}`",
            nearest(unknown, keys)
        )),
    }
}

fn nearest<'k>(text: &str, keys: &[&'k str]) -> &'k str {
    let like = |key: &str| strsim::jaro_winkler(text, key);
    keys.iter().max_by(|a, b| like(a).total_cmp(&like(b))).copied().unwrap_or_default()
}

/// A value as a list.
pub(super) fn list<'v>(value: Option<&'v Value>, place: &str) -> Result<&'v [Value], Refusal> {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .ok_or_else(|| format!("{place}: write a list of tables"))
}

/// What a table is called.
pub(super) fn name(table: &Table, place: &str) -> Result<String, Refusal> {
    let name = table.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| format!("{place}.name: write its name, it is missing or empty"))
}
