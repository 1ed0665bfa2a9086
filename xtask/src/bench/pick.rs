//! `bench pick`: what one choice costs, and what reading a request body costs.

use super::{Bar, criterion};

/// Nanoseconds in a microsecond.
const US: f64 = 1_000.0;

pub(super) fn run() -> anyhow::Result<Vec<Bar>> {
    criterion::run("warmlane-picker", "pick", "pick/(8|256|1000)_endpoints")?;
    criterion::run("warmlane-engine", "body", "body/(completion|chat)-400k")?;
    let pick = |function| criterion::median_ns("pick", function).map(|ns| ns / US);
    let read = |function| criterion::gigabytes_per_second("body", function);
    Ok(vec![
        Bar::under("pick among 8 endpoints, us", pick("8_endpoints")?, 5.0),
        Bar::under("pick among 256 endpoints, 1 KB prompt, us", pick("256_endpoints_1_kb")?, 5.0),
        Bar::under("pick among 1,000 endpoints, us", pick("1000_endpoints")?, 40.0),
        Bar::at_least("read and hash a 400 KB completion, GB/s", read("completion-400k")?, 1.5),
        Bar::at_least("read and hash a 400 KB chat, GB/s", read("chat-400k")?, 1.5),
    ])
}
