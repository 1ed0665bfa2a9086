//! Metrics pages and lists of models: none breaks its reader, and whatever a page claims, what is read of it is something
//! that an engine can mean, and does not depend on what stands around it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warmlane_engine::{
    metrics::{self, MAX_ADAPTER_NAME, MAX_ADAPTERS, Metrics},
    models::ModelList,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = metrics::scan(bytes) {
        check(&read);
        // Comments and the order of lines carry no meaning that is read here; a family's type does not either.
        let commented = [b"# HELP x y\n", bytes].concat();
        assert_eq!(metrics::scan(&commented).as_ref().ok(), Some(&read), "a comment changed what was read");
    }
    if let Ok(list) = ModelList::parse(bytes) {
        assert!(list.models.iter().all(|model| !model.id.is_empty()));
    }
});

fn check(read: &Metrics) {
    let counts = [
        read.queue,
        read.running,
        read.prefix_queries,
        read.prefix_hits,
        read.preemptions,
        read.prompt_tokens,
    ];
    assert!(counts.into_iter().flatten().all(|count| count.is_finite() && count >= 0.0), "{read:?}");
    assert!(read.kv_use.is_none_or(|share| (0.0..=1.0).contains(&share)), "{read:?}");
    assert!(read.block_size != Some(0) && read.kv_capacity_tokens != Some(0), "{read:?}");
    if let Some(lora) = &read.lora {
        for names in [&lora.active, &lora.waiting] {
            assert!(names.len() <= MAX_ADAPTERS && names.iter().all(|name| name.len() <= MAX_ADAPTER_NAME));
        }
    }
}
