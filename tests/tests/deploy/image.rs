//! The images' file, which CI cannot build: its stages are what manifests run, by the compiler that this checkout pins.

use std::{collections::BTreeMap, fs};

use super::rendered::{all, containers, deploy, list, pod};

fn file() -> String {
    fs::read_to_string(deploy().join("image/Dockerfile")).expect("the file of the images")
}

/// The lines of each stage that runs something, by its name.
fn stages() -> BTreeMap<String, Vec<String>> {
    let mut stages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = None;
    for line in file().lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(from) = line.strip_prefix("FROM ") {
            current = from.split(" AS ").nth(1).map(str::to_owned);
        }
        stages.entry(current.clone().expect("a stage")).or_default().push(line.to_owned());
    }
    stages
}

#[test]
fn it_compiles_with_the_pinned_compiler() {
    let pinned = fs::read_to_string(deploy().join("../rust-toolchain.toml")).expect("a pinned compiler");
    let channel = pinned.lines().find_map(|line| line.strip_prefix("channel = ")).expect("a channel");
    let first = &stages()["build"][0];
    assert!(first.starts_with(&format!("FROM rust:{}-", channel.trim_matches('"'))), "{first}");
}

#[test]
fn each_image_runs_its_binary_as_nobody_and_names_the_manifests_ports() {
    let mut stages = stages();
    stages.remove("build");
    assert_eq!(stages.len(), 3, "{:?}", stages.keys());
    for (name, lines) in stages {
        let has = |line: &str| lines.iter().any(|there| there == line);
        assert!(has("USER 65532:65532"), "{name}");
        assert!(has(&format!("ENTRYPOINT [\"/usr/local/bin/warmlane-{name}\"]")), "{name}");
        assert!(
            has(&format!("COPY --from=build /src/target/dist/warmlane-{name} /usr/local/bin/")),
            "{name}"
        );
        let cli = has("COPY --from=build /src/target/dist/warmlane /usr/local/bin/");
        assert_eq!(cli, name != "sim", "{name}: what is asked has the program that asks");
        let exposed = lines.iter().find_map(|line| line.strip_prefix("EXPOSE ")).expect("ports");
        let exposed: Vec<&str> = exposed.split(' ').collect();
        let mut seen = 0;
        for (set, object) in
            all().filter(|(_, object)| object["metadata"]["name"] != "warmlane-extension-server")
        {
            for container in pod(object).map(containers).unwrap_or_default() {
                let image = container["image"].as_str().expect("an image");
                if !image.starts_with(&format!("warmlane-{name}:")) {
                    continue;
                }
                for port in list(&container["ports"]) {
                    let port = port["containerPort"].to_string();
                    assert!(
                        exposed.contains(&port.as_str()),
                        "{name} does not expose {port}, which {set} uses"
                    );
                    seen += 1;
                }
            }
        }
        assert!(seen > 0, "{name} is run by nothing");
    }
}

/// What is built from must be in the context: a folder that a workspace member lies in and that is left out ends the build.
#[test]
fn the_context_has_every_member_of_the_workspace() {
    let ignored =
        fs::read_to_string(deploy().join("image/Dockerfile.dockerignore")).expect("what is left out");
    let kept: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let manifest = fs::read_to_string(deploy().join("../Cargo.toml")).expect("the workspace");
    let members =
        manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).expect("members");
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.len() > 10, "{members:?}");
    for member in members.iter().chain(&["router-ebpf", "Cargo.lock", "rust-toolchain.toml"]) {
        let top = member.split('/').next().expect("a folder");
        assert!(kept.contains(&top), "{member} is not in the context");
    }
    // What programs have built in of the documents.
    for described in ["docs/openapi-agent.json", "docs/openapi-router.json"] {
        assert!(kept.contains(&described), "{described} is not in the context");
    }
}
