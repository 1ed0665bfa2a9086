//! What is written down is true: the chart's stages, the README's commands and keys.

use std::{fs, path::PathBuf};

use warmlane_router::stage::Stage;

fn root(name: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_chart_names_the_stages_in_order() {
    let names: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    let chart = names.join(" -> ");
    assert!(root("ARCHITECTURE.md").contains(&chart), "ARCHITECTURE.md lacks {chart:?}");
}

#[test]
fn each_stage_has_a_file_of_its_name_with_a_function_of_its_name() {
    for stage in Stage::ALL {
        let name = stage.name();
        let source = root(&format!("router/src/path/{name}.rs"));
        assert!(source.contains(&format!("fn {name}(")), "router/src/path/{name}.rs has no fn {name}");
        let path = root("router/src/path.rs");
        assert!(path.contains(&format!("{name}::{name}(")), "path.rs does not call {name}");
    }
}

#[test]
fn stages_are_called_in_order() {
    let path = root("router/src/path.rs");
    let order = ["read::read(", "admit::admit(", "pick::pick(", "connect::connect(", "relay::relay("];
    let at: Vec<usize> =
        order.iter().map(|call| path.find(call).unwrap_or_else(|| panic!("no {call}"))).collect();
    assert!(at.is_sorted(), "{at:?}");
}

#[test]
fn metrics_and_access_log_use_the_stage_names() {
    let engine = warmlane_tests::RawEngine::start(warmlane_tests::Behaviour::Answer(
        warmlane_tests::engine::answer("text/plain", b"x"),
    ));
    let router = warmlane_tests::TestRouter::start(&[engine.address()]);
    assert_eq!(router.aware().post("/v1/completions", r#"{"model":"m"}"#).status, 200);
    for stage in Stage::ALL {
        let series = format!("warmlane_stage_duration_seconds_count{{stage=\"{}\"}}", stage.name());
        warmlane_tests::eventually(&series, || router.metric(&series) >= 1.0);
    }
}
