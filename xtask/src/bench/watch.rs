//! `bench watch`: what a router's view of a cluster costs, and how soon it follows what changes there.

use std::ffi::OsString;

use super::{Bar, measured};

pub(super) fn run(options: &[OsString]) -> anyhow::Result<Vec<Bar>> {
    measured::bars("watch", measured::program("warmlane-clusters", &["router"])?, options)
}
