//! What is shipped to be deployed, checked by those who read it.

#[path = "deploy/access.rs"]
mod access;
#[path = "deploy/alerts.rs"]
mod alerts;
#[path = "deploy/cluster.rs"]
mod cluster;
#[path = "deploy/events.rs"]
mod events;
#[path = "deploy/extension.rs"]
mod extension;
#[path = "deploy/flags.rs"]
mod flags;
#[path = "deploy/image.rs"]
mod image;
#[path = "deploy/monitoring.rs"]
mod monitoring;
#[path = "deploy/overlays.rs"]
mod overlays;
#[path = "deploy/pages.rs"]
mod pages;
#[path = "deploy/pickers.rs"]
mod pickers;
#[path = "deploy/privileged.rs"]
mod privileged;
#[path = "deploy/privileges.rs"]
mod privileges;
#[path = "deploy/rendered.rs"]
mod rendered;
#[path = "deploy/valid.rs"]
mod valid;
#[path = "deploy/wiring.rs"]
mod wiring;

use std::{collections::HashMap, ffi::OsString, fs, process::Command};

use warmlane_router::config::Config;
use warmlane_tests::envoy;

#[test]
fn envoy_accepts_every_bootstrap() {
    let files =
        fs::read_dir(envoy::shipped()).expect("the folder").map(|entry| entry.expect("a file").path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        let mut command = Command::new(envoy::binary());
        let output = command.args(["--mode", "validate", "-c"]).arg(&file).output().expect("Envoy runs");
        assert!(output.status.success(), "{file:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The words of each command in the console blocks of a page that begins with this one.
fn commands(page: &str, program: &str) -> Vec<Vec<String>> {
    let text = page.replace("\\\n", " ");
    let within = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("console\n"));
    let words =
        |line: &str| line.split_whitespace().take_while(|word| *word != "&").map(str::to_owned).collect();
    let lines = within.flat_map(str::lines).filter(|line| line.starts_with(program));
    lines.map(words).collect()
}

/// Ports that a bootstrap names on lines of its own kind.
fn ports(bootstrap: &str, line: &str) -> Vec<u16> {
    let lines = bootstrap.lines().filter(|text| text.trim_start().starts_with(line));
    lines.filter_map(|text| text.split("port_value: ").nth(1)?.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn the_commands_beside_the_bootstraps_leave_envoy_its_ports_and_meet_its_picker() {
    for page in ["docs/ENVOY.md", "deploy/envoy/README.md", "README.md"] {
        let text = fs::read_to_string(envoy::shipped().join("../..").join(page)).expect(page);
        let routers = commands(&text, "target/release/warmlane-router");
        let asked: Vec<_> = routers.iter().filter(|words| words.iter().any(|w| w == "--ext-proc")).collect();
        assert!(!asked.is_empty(), "{page}");
        for words in asked {
            let loaded = Config::load(words.iter().map(OsString::from), &HashMap::new()).expect(page);
            let listen = loaded.config.listen;
            let file = fs::read_to_string(envoy::shipped().join("override-host.yaml")).expect("a bootstrap");
            let taken = ports(&file, "address: { socket_address");
            assert_eq!(taken, [9901, 8080, 8081]);
            let ours =
                [listen.plain, listen.aware, Some(listen.metrics), Some(listen.admin), listen.ext_proc];
            let both: Vec<_> = ours.into_iter().flatten().filter(|at| taken.contains(&at.port())).collect();
            assert!(both.is_empty(), "{page}: {both:?} in {words:?}");
            let named = ports(&file, "- endpoint: { address: { socket_address");
            assert_eq!(listen.ext_proc.map(|at| at.port()), Some(named[0]), "{page}");
            let replicas: Vec<String> = named[1..].iter().map(|port| format!("127.0.0.1:{port}")).collect();
            assert_eq!(loaded.config.endpoints, replicas[..2], "{page}");
        }
    }
}
