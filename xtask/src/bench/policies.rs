//! `bench policies`: what the picker's choices are worth on simulated clusters, beside random and least request.
//!
//! Virtual time: the figures do not depend on this machine or on what else it does.

use anyhow::Context as _;
use serde::Deserialize;

use super::Bar;
use crate::{step, workspace};

#[derive(Deserialize)]
struct Found {
    bars: Vec<Bar>,
}

pub(super) fn run() -> anyhow::Result<Vec<Bar>> {
    let file = workspace::target().join("policies.json");
    let mut command = workspace::cargo(["run", "--locked", "--release", "--package", "warmlane-sim"]);
    step::shown(command.args(["--bin", "warmlane-policies", "--", "--json"]).arg(&file))?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let found: Found = serde_json::from_str(&text)
        .with_context(|| format!("{} has another shape than warmlane-policies writes", file.display()))?;
    Ok(found.bars)
}
