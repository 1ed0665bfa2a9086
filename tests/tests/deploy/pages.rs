//! What the pages have people write and run comes to what they say.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::{
    rendered::{containers, deploy, files, list, objects, overlay, pod, relative, title},
    wiring::word,
};

/// The blocks of one language on a page, without the indentation that a list gives them.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let page = fs::read_to_string(deploy().join("../docs").join(page)).expect(page);
    let fence = format!("```{language}\n");
    let parts: Vec<&str> = page.split(fence.as_str()).collect();
    let block = |pair: &[&str]| {
        let indent = pair[0].rsplit('\n').next().unwrap_or_default();
        assert!(indent.trim().is_empty(), "a block begins behind {indent:?}");
        let lines = pair[1].split("```").next().unwrap_or_default().lines();
        let lines: Vec<&str> =
            lines.map(|line| line.strip_prefix(indent).unwrap_or(line).trim_end()).collect();
        lines.join("\n")
    };
    parts.windows(2).map(block).collect()
}

/// Images of ours that objects run.
fn ours(objects: &[Value]) -> Vec<&str> {
    let images = objects.iter().filter_map(pod).flat_map(containers).filter_map(|c| c["image"].as_str());
    images.filter(|image| image.contains("warmlane-")).collect()
}

/// They render from where the page has them written, and their images are those that run.
#[test]
fn overlays_name_the_images_that_run() {
    let overlays: Vec<String> = blocks("install.md", "yaml")
        .into_iter()
        .filter(|block| block.starts_with("kind: Kustomization"))
        .collect();
    assert_eq!(overlays.len(), 3, "{overlays:?}");
    for (block, up) in overlays.iter().zip(["../deploy", "../../deploy", "../../deploy"]) {
        // As deep below the checkout as the page says.
        assert_eq!(block.matches("../deploy").count(), block.matches(&format!("[{up}")).count(), "{block}");
        let text = block.replace("kind: Kustomization\n", "").replace(up, &relative(&deploy()));
        let made = overlay(&text);
        let images = ours(&made);
        assert!(!images.is_empty());
        assert!(images.iter().all(|image| image.starts_with("registry.example.com/team/")), "{images:?}");
    }
}

/// What a patch changes of an overlay.
fn changed(plain: &[Value], whole: &str, patch: &str) -> Vec<String> {
    let patched = overlay(&format!("{whole}{patch}\n"));
    let pairs = plain.iter().zip(&patched).filter(|(before, after)| before != after);
    let mut titles: Vec<String> = pairs.map(|(_, after)| title(after)).collect();
    titles.sort_unstable();
    titles
}

/// kustomize does nothing where a patch finds nothing, and says nothing.
#[test]
fn each_patch_changes_what_it_is_for() {
    let at = |folder: &str| relative(&deploy().join(folder));
    let examples = ["v1", "v1-gateway", "envoy-gateway"].map(|name| at(&format!("examples/qwen/{name}")));
    let components = ["components/node-local", "components/monitoring"].map(at).join(", ");
    let whole = format!("resources: [{}, {}]\ncomponents: [{components}]\n", at("base"), examples.join(", "));
    let plain = overlay(&whole);
    let agent = "DaemonSet warmlane-system/warmlane-agent";
    let others = [
        "DaemonSet warmlane-system/warmlane-router-node",
        "Deployment llm/qwen",
        "Deployment llm/warmlane-router",
        "Deployment warmlane-system/warmlane-router",
    ];
    let wanted: [(&str, &[&[&str]]); 4] = [
        (
            "install.md",
            &[
                &[agent],
                &[agent, others[0], others[1], others[2], others[3]],
                &["PersistentVolumeClaim llm/qwen-model"],
                &["Gateway llm/inference-gateway"],
                &[
                    "PodMonitor warmlane-system/warmlane-agent",
                    "PodMonitor warmlane-system/warmlane-router",
                    "PrometheusRule warmlane-system/warmlane",
                ],
            ],
        ),
        ("security.md", &[&[agent, "Namespace -/warmlane-system"]]),
        ("AGENT.md", &[&[agent]]),
        ("gateways.md", &[&["ClientTrafficPolicy llm/inference-gateway"]]),
    ];
    for (page, wanted) in wanted {
        let patches = blocks(page, "yaml").into_iter().filter(|block| block.starts_with("patches:"));
        let changes: Vec<Vec<String>> = patches.map(|patch| changed(&plain, &whole, &patch)).collect();
        assert_eq!(changes, wanted, "{page}");
    }
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let place = to.join(file.strip_prefix(from).expect("a file below"));
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::copy(&file, &place).expect("a copy");
    }
}

/// The commands are run as they stand, in a checkout that has nothing but `deploy`.
#[test]
fn a_pool_of_your_own_takes_nothing_of_the_examples() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkout = folder.path().canonicalize().expect("a path");
    copy(&deploy(), &checkout.join("deploy"));
    let of_pool: Vec<String> = blocks("install.md", "console")
        .into_iter()
        .filter(|block| block.starts_with("namespace=talk pool=chat "))
        .collect();
    assert_eq!(of_pool.len(), 1);
    let output = Command::new("bash").args(["-eu", "-c", &of_pool[0]]).current_dir(&checkout).output();
    let output = output.expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made = objects(&checkout.join("site/chat"));
    assert!(ours(&made).iter().all(|image| image.starts_with("registry.example.com/team/")));
    let text = serde_json::to_string(&made).expect("text");
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    assert!(!words.contains(&"llm") && !words.contains(&"qwen"), "{text}");
    for object in made.iter().filter(|object| object["kind"] != "Namespace") {
        let namespace = word(&object["metadata"]["namespace"]);
        let of_agents = object["metadata"]["name"] == "warmlane-agents-talk";
        assert_eq!(namespace, if of_agents { "warmlane-system" } else { "talk" }, "{}", title(object));
    }
    let find = |kind: &str, name: &str| {
        let named = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        made.iter().find(named).unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let binding = find("RoleBinding", "warmlane-pool");
    let subjects: Vec<&str> =
        list(&binding["subjects"]).iter().map(|subject| word(&subject["name"])).collect();
    assert_eq!(subjects, ["warmlane-router", "system:serviceaccount:warmlane-system:warmlane-router"]);
    assert_eq!(binding["subjects"][0]["namespace"], "talk");
    let args = &find("Deployment", "warmlane-router")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(list(args).contains(&"--kube-lease=talk/warmlane-router".into()), "{args}");
    assert!(made.iter().any(|object| object["data"]["pools"] == "talk/chat"));
}
