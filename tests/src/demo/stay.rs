//! After the table: commands to try, and waiting for Ctrl-C.

use std::time::Duration;

use super::{
    cast::Cast,
    plan::{MODEL, Plan},
    replicas::Replicas,
};
use warmlane_xtask::interrupt;

/// How often the servers are looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Prints what can be tried and waits. An interrupt is the expected end.
pub(super) fn until_interrupt(plan: &Plan, cast: &mut Cast, replicas: &mut Replicas) -> anyhow::Result<()> {
    print!("{}", commands(plan, cast));
    while !interrupt::asked() {
        cast.check(replicas)?;
        std::thread::sleep(GLANCE);
    }
    println!();
    Ok(())
}

fn commands(plan: &Plan, cast: &Cast) -> String {
    let post = |front, path, body: &str| {
        format!("curl -sN -i http://{front}{path} -H 'content-type: application/json' -d '{body}'")
    };
    let completion = |model: &str| format!(r#"{{"model":"{model}","prompt":"Say hello","max_tokens":16}}"#);
    let chat = format!(
        r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"Say hello"}}],"max_tokens":16,"stream":true}}"#
    );
    let adapter = plan.adapters.first().map_or(MODEL, String::as_str);
    let lines = [
        ("plain listener, any replica", post(cast.plain, "/v1/completions", &completion(MODEL))),
        (
            "inference-aware listener; x-warmlane-endpoint names the replica",
            post(cast.aware, "/v1/completions", &completion(MODEL)),
        ),
        ("a streamed chat", post(cast.aware, "/v1/chat/completions", &chat)),
        ("an adapter", post(cast.aware, "/v1/completions", &completion(adapter))),
        ("what the router knows of each replica", format!("curl -s http://{}/debug/endpoints", cast.admin)),
        ("the agents it follows, and their GPUs", format!("curl -s http://{}/debug/agents", cast.admin)),
        ("the router's own metrics", format!("curl -s http://{}/metrics", cast.metrics)),
    ];
    let lines: String = lines.iter().map(|(what, command)| format!("  # {what}\n  {command}\n")).collect();
    format!("\nThe aware router and its replicas stay up. Try:\n{lines}Ctrl-C ends everything.\n")
}
