//! `bench ext-proc`: what asking the router's endpoint picker costs, beside a picker that picks nothing, in one run.

use std::ffi::OsString;

use super::{Bar, measured};

pub(super) fn run(options: &[OsString]) -> anyhow::Result<Vec<Bar>> {
    measured::bars("ext-proc", measured::program("warmlane-pickers", &["router"])?, options)
}
