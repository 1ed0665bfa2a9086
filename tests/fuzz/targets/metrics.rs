//! Metrics pages and lists of models: none breaks its reader.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warmlane_engine::{metrics, models::ModelList};

fuzz_target!(|bytes: &[u8]| {
    let _ = metrics::scan(bytes);
    let _ = ModelList::parse(bytes);
});
