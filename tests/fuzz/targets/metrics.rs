//! Metrics pages: no page breaks the scanner, and shares and counts it tells are numbers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warmlane_engine::{metrics, models::ModelList};

fuzz_target!(|bytes: &[u8]| {
    let _ = metrics::scan(bytes);
    let _ = ModelList::parse(bytes);
});
