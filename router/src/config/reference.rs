//! The table of all settings as a page of the documentation, made from the rows that also make flags and help.

use std::fmt::Write;

use super::{Config, keys::KEYS};

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
    let defaults = Config::default();
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
        let (default, help) = ((key.get)(&defaults), key.help.replace('|', "\\|"));
        let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
        let _ = writeln!(
            page,
            "| `{}` | `--{}` | `{}` | {default} | {help} |",
            key.path,
            key.flag,
            key.variable()
        );
    }
    page
}
