//! `bench agent`: how fresh what a router knows is, and what reading a node costs.

use std::ffi::OsString;

use super::{Bar, measured};

pub(super) fn run(options: &[OsString]) -> anyhow::Result<Vec<Bar>> {
    measured::bars("agent", measured::program("warmlane-nodes", &["router", "agent"])?, options)
}
