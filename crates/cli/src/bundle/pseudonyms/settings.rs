//! Names in a router's settings, as it prints them. Pure.

use super::place::{Kind, Place, place};

/// Each with what it is of, by the key that it stands at. A list may go on in the next line.
pub(super) fn names(text: &str) -> Vec<(Kind, &str)> {
    // The section, or the setting that a table stands at.
    let (mut above, mut key, mut names) = ("", "", Vec::new());
    let mut is_section = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let section = line.strip_prefix('[').and_then(|line| line.split(']').next());
        if let Some(name) = section.filter(|name| !name.contains('"')) {
            (above, is_section) = (name.trim_matches(['[', ' ']), true);
            continue;
        }
        let setting = line.split_once(" = ").map(|(name, _)| name);
        above = setting.filter(|name| !is_section && !name.contains(['{', '"'])).unwrap_or(above);
        // What is quoted is every second part.
        for (number, part) in line.split('"').enumerate() {
            match number % 2 {
                0 => key = key_before(part).unwrap_or(key),
                _ => names.extend(name(key, above, part)),
            }
        }
    }
    names
}

/// The key of a text that stands behind this: of `name = `, of `name = [` where a list of texts begins, of `[{ name = `.
fn key_before(part: &str) -> Option<&str> {
    let before = part.trim_end_matches(['[', '{', ' ']).strip_suffix('=')?;
    before.rsplit(['{', ',', ' ']).find(|word| !word.is_empty())
}

fn name<'t>(key: &str, above: &str, text: &'t str) -> Option<(Kind, &'t str)> {
    match (key, text.split_once('=')) {
        // Of a model and where it lies.
        ("tokenizers", Some((model, _))) => Some((Kind::Model, model)),
        (_, Some(_)) => None,
        (_, None) => match place(key, above) {
            // A path is no host.
            Place::Name(kind) if !text.starts_with('/') => Some((kind, text)),
            _ => None,
        },
    }
}
