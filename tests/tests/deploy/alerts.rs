//! When alerts fire, by promtool's own evaluation of the rules over series that are written down here: what a scrape of a few
//! seconds cannot show, such as what is absent.

use std::{fs, process::Command};

use serde_json::{Value, json};
use warmlane_tests::prometheus::binary;

use super::rendered::SETS;

/// Whether an alert fires with just these labels after half an hour of these series, a sample a minute.
fn fires(series: &[(&str, &str)], alert: &str, labels: &[&str]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, value: &Value| {
        let path = folder.path().join(name);
        // JSON is YAML.
        fs::write(&path, value.to_string()).expect("write");
        path
    };
    let inputs: Vec<Value> =
        series.iter().map(|(series, values)| json!({ "series": series, "values": values })).collect();
    let samples: Vec<Value> =
        labels.iter().map(|labels| json!({ "labels": format!("{{{labels}}}"), "value": 1 })).collect();
    let question =
        format!("sum by (instance, agent, pool) (ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})");
    let case = json!({
        "rule_files": [write("rules.yaml", &SETS["alerts"][0]["spec"])],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": inputs,
            "promql_expr_test": [{ "expr": question, "eval_time": "30m", "exp_samples": samples }],
        }],
    });
    let output =
        Command::new(binary("promtool")).args(["test", "rules"]).arg(write("case.yaml", &case)).output();
    let output = output.expect("promtool runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // What it cannot read is no answer.
    assert!(output.status.success() || said.contains("exp:"), "{said}");
    output.status.success()
}

#[test]
fn an_empty_pool_is_told_of_beside_one_that_has_replicas() {
    let pools = [
        ("warmlane_pool_replicas_ready{instance=\"r\", pool=\"llm/qwen\"}", "1x10 0x20"),
        ("warmlane_pool_replicas_ready{instance=\"r\", pool=\"llm/other\"}", "1x30"),
    ];
    assert!(fires(&pools, "WarmlaneNoReplicaReady", &["instance=\"r\", pool=\"llm/qwen\""]));
    assert!(fires(&pools[1..], "WarmlaneNoReplicaReady", &[]));
}

/// By whichever of the three still sees it: routers, Prometheus by its target, or Prometheus by the lack of any.
#[test]
fn an_agent_that_is_gone_is_told_of_by_whoever_sees_it() {
    const AGENT: &str = "up{job=\"warmlane-system/warmlane-agent\", instance=\"a\"}";
    let unheard = [("warmlane_node_connected{agent=\"gpu-1\"}", "0x30"), (AGENT, "1x30")];
    assert!(fires(&unheard, "WarmlaneAgentGone", &["agent=\"gpu-1\""]));
    assert!(fires(&[(AGENT, "1x10 0x20")], "WarmlaneAgentGone", &["instance=\"a\""]));
    assert!(fires(&[(AGENT, "1x10 _x20")], "WarmlaneAgentGone", &[""]));
    // All is well, or there never was one.
    assert!(fires(&[(AGENT, "1x30")], "WarmlaneAgentGone", &[]));
    assert!(fires(&[("up{job=\"routers\"}", "1x30")], "WarmlaneAgentGone", &[]));
}
