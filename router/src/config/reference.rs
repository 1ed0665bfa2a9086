//! The table of all settings as a page of the documentation, made from the rows that also make flags and help.

use std::fmt::Write;

use super::{
    flags,
    keys::{KEYS, Key},
};

const HEAD: &str = "# Configuration

Made from the router's table of settings; a test keeps it so. Sources, later ones winning: defaults, the TOML file named by
`--config`, environment variables, flags. `warmlane-router --check` validates and prints the effective settings. Durations
are written like `250ms`, `5s`, `1h`; sizes like `64MiB` or plain bytes.

```toml
endpoints = [\"10.0.0.11:8000\", \"10.0.0.12:8000\"]
strategy = \"PREFIX_CACHE\"

[listen]
aware = \"0.0.0.0:8081\"

[[models]]
name = \"chat\"
criticality = \"Sheddable\"
targets = [{ name = \"travel-helper-v1\", weight = 9 }, { name = \"travel-helper-v2\", weight = 1 }]
```
";

/// The page.
pub fn page() -> String {
    let (mut page, mut group) = (HEAD.to_owned(), "");
    for key in KEYS {
        if key.group != group {
            group = key.group;
            // Writing to a string cannot fail.
            let _ = write!(
                page,
                "\n## {group}\n\n| key | flag | environment | default | what |\n|---|---|---|---|---|\n"
            );
        }
        page.push_str(&row(key));
    }
    page
}

fn row(key: &Key) -> String {
    let default = match flags::defaults(key) {
        None => "none".to_owned(),
        Some((usual, None)) => format!("`{usual}`"),
        Some((usual, Some(prefix))) => format!("`{usual}`, with PREFIX_CACHE `{prefix}`"),
    };
    let cells = [
        format!("`{}`", key.path),
        format!("`--{} {}`", key.flag, key.value),
        format!("`{}`", key.variable()),
        default,
        key.help.to_owned(),
    ];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}
