//! What is written down is true: the chart's stages, the README's commands and keys.

use std::{fs, path::PathBuf};

use warmlane_api::admin::{self, openapi};
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

/// `WARMLANE_BLESS=1 cargo test -p warmlane-tests --test written` writes the page anew.
#[test]
fn the_page_of_settings_is_the_table_of_settings() {
    let page = warmlane_router::config::reference::page();
    if std::env::var_os("WARMLANE_BLESS").is_some() {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md"));
        fs::write(path, &page).expect("docs/configuration.md can be written");
    }
    assert_eq!(root("docs/configuration.md"), page, "run with WARMLANE_BLESS=1 to write it anew");
}

/// Labels of families that this page has no rows of: they take a cluster, the kernel lane, an agent or another model's name. Unit
/// tests of the router have them.
const WITHOUT_ROWS: [(&str, &str); 6] = [
    ("inference_extension_model_rewrite_decisions", "model_name, target_model"),
    ("llm_d_epp_model_rewrite_decisions", "model_name, target_model"),
    ("warmlane_cluster_source_up", "namespace, resource"),
    ("warmlane_extension_hook_duration_seconds", "hook"),
    ("warmlane_lane_handovers", "reason"),
    ("warmlane_node_silence_seconds", "agent"),
];

/// `WARMLANE_BLESS=1 cargo test -p warmlane-tests --test written` writes the files anew.
#[test]
fn the_descriptions_of_the_admin_ports_are_what_their_types_say() {
    let ports = [("router", openapi::router()), ("agent", openapi::agent())];
    for (name, described) in ports {
        let (file, text) = (format!("docs/openapi-{name}.json"), admin::text(&described));
        if std::env::var_os("WARMLANE_BLESS").is_some() {
            let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(&file);
            fs::write(path, &text).expect("docs can be written");
        }
        assert!(root(&file) == text, "{file} is old: run with WARMLANE_BLESS=1 to write it anew");
    }
}

/// One family of metrics, as a page describes it.
fn family(page: &str, name: &str) -> String {
    let described = |what: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("# {what} {name} ")));
        line.unwrap_or_else(|| panic!("{name} has no {what}")).trim_end_matches('.').to_owned()
    };
    let kind = described("TYPE");
    let shown = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
    let mut labels: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with(name) && !line.starts_with('#'))
        .filter(|line| line[name.len()..].trim_start_matches(['_']).starts_with(['{', 't', 'b', 's', 'c']))
        .filter_map(|line| Some(line.split_once('{')?.1.split_once('}')?.0))
        .flat_map(|labels| labels.split("\","))
        .filter_map(|label| Some(label.split_once('=')?.0))
        .filter(|label| *label != "le")
        .collect();
    labels.extend(WITHOUT_ROWS.iter().filter(|(of, _)| *of == name).map(|(_, label)| label));
    labels.sort_unstable();
    labels.dedup();
    format!("| `{shown}` | {kind} | {} | {} |\n", labels.join(", "), described("HELP"))
}

/// Everything that a page has families of.
fn families(page: &str, of: impl Fn(&str) -> bool) -> String {
    let names =
        page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).map(|(name, _)| name);
    names.filter(|name| of(name)).map(|name| family(page, name)).collect()
}

/// `WARMLANE_BLESS=1 cargo test -p warmlane-tests --test written` writes the page anew.
#[test]
fn the_page_of_metrics_lists_what_a_router_has() {
    let said = [warmlane_tests::picker::Said::default()];
    let picker = warmlane_tests::picker::TestPicker::with(&said, |config| {
        // Nobody's: what is said of agents is that it does not answer.
        config.agents = vec!["127.0.0.1:9".into()];
    });
    let router = &picker.router;
    assert_eq!(router.aware().post("/v1/completions", r#"{"model":"m","prompt":"x"}"#).status, 200);
    assert_eq!(router.aware().post("/v1/completions", r#"{"model":"nobody's","prompt":"x"}"#).status, 404);
    warmlane_tests::eventually("it is counted", || {
        router.metric("inference_objective_request_duration_seconds_count") >= 1.0
    });
    let page = router.metrics().get("/metrics").text();
    let head = "| name | kind | labels | what |\n|---|---|---|---|\n";
    let own = families(&page, |name| name.starts_with("warmlane_"));
    let upstream = families(&page, |name| !name.starts_with("warmlane_"));
    let text = format!(
        "# Metrics of the router\n\nWhat `/metrics` on port 9090 has, in OpenMetrics text. Written by a test from a page. An agent's\nare in [AGENT.md](AGENT.md).\n\nEach router has a page of its own: add counters up, and of gauges by `endpoint` \
         (a replica's address) or `pool` take `max` or `min`. Alerts that are ready are in\n[deploy/alerts](../deploy/alerts/warmlane.yaml), \
         explained in [runbooks.md](runbooks.md); what a `reason` of failed requests means stands in [errors.md](errors.md). \
         One of your own:\n\n```promql\nsum by (reason) (rate(warmlane_request_errors_total{{listener=\"aware\"}}[5m])) > 1\n```\n\n{head}{own}\n## Under the names of other pickers\n\nSo that dashboards made for the \
         endpoint picker of the Gateway API Inference Extension (`inference_*`) or of llm-d (`llm_d_epp_*`) work. Values\nare this router's own. A \
         model that no replica lists and no rule names is `unknown`; beyond 256 models and targets on a thread all are `other`. \
         Requests\nthat were shed, and those of the plain listener, are not among them.\n\n{head}{upstream}"
    );
    if std::env::var_os("WARMLANE_BLESS").is_some() {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"));
        fs::write(path, &text).expect("docs/metrics.md can be written");
    }
    assert_eq!(root("docs/metrics.md"), text, "run with WARMLANE_BLESS=1 to write it anew");
}

/// The name by which a heading is linked to.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/errors.md",
        "docs/debugging.md",
        "docs/metrics.md",
        "docs/tracing.md",
        "docs/BENCHMARKS.md",
        "docs/ENVOY.md",
        "docs/gateways.md",
        "docs/cli.md",
        "deploy/envoy/README.md",
    ];
    for page in pages {
        let folder = PathBuf::from(page);
        let folder = folder.parent().map_or_else(String::new, |f| format!("{}/", f.display()));
        for link in root(page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.starts_with("http") && !link.starts_with('#') {
                let (file, section) = link.split_once('#').unwrap_or((link, ""));
                let target = if folder == "/" { file.to_owned() } else { format!("{folder}{file}") };
                // Not every one is text.
                let there = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(&target).exists();
                let has_section = || {
                    let text = root(&target);
                    text.lines().filter(|line| line.starts_with('#')).map(anchor).any(|name| name == section)
                };
                assert!(there && (section.is_empty() || has_section()), "{page} links to {link}");
            }
        }
    }
}

/// Manifests that pages name are there.
#[test]
fn every_path_into_deploy_leads_somewhere() {
    let mut seen = 0;
    for page in
        ["README.md", "docs/install.md", "docs/load-test.md", "docs/runbooks.md", "docs/troubleshooting.md"]
    {
        let text = root(page);
        let is_path = |c: char| c.is_alphanumeric() || "./-_".contains(c);
        for word in text.split(|c: char| !(is_path(c) || c == '*' || c == '$')) {
            // Of one with a variable, what stands before it.
            let fixed = word.split(['*', '$']).next().unwrap_or_default().trim_end_matches(['.', '/']);
            if fixed.starts_with("deploy/") {
                let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(fixed);
                assert!(path.exists(), "{page} names {word}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}
