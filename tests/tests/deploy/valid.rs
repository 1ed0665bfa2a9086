//! Every kustomization renders, and what it comes to is valid: core objects by Kubernetes' own schemas, others by their
//! resource definitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::rendered::{self, SETS, all, deploy, files, kustomizations, title, tool, yaml};

/// The oldest that the documentation names, and the newest that there are schemas of.
const KUBERNETES: [&str; 3] = ["1.29", "1.34", "1.37"];
/// API groups that a cluster has by itself.
const CORE: [&str; 8] = [
    "v1",
    "apps/v1",
    "batch/v1",
    "policy/v1",
    "networking.k8s.io/v1",
    "scheduling.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
    "discovery.k8s.io/v1",
];
/// Folders of resource definitions that the documentation speaks of: one for each release.
const RELEASES: [&str; 10] = [
    "gaie-v0.3.0",
    "gaie-v0.5.1",
    "gaie-v1.0.2",
    "gaie-v1.3.1",
    "gaie-v1.5.0",
    "gaie-v1.6.0",
    "llm-d-router-v0.10.0",
    "gateway-api-v1.6.1",
    "envoy-gateway",
    "prometheus-operator",
];

fn is_core(object: &Value) -> bool {
    CORE.iter().any(|version| object["apiVersion"] == *version)
}

#[test]
fn every_kustomization_renders() {
    assert!(SETS.len() > 10, "{:?}", SETS.keys());
    for (set, objects) in SETS.iter() {
        assert!(!objects.is_empty(), "{set}");
        let names: BTreeSet<String> = objects.iter().map(title).collect();
        assert_eq!(names.len(), objects.len(), "{set} has an object twice: {names:?}");
    }
}

/// A file that no kustomization names is never applied, and no test here would see it.
#[test]
fn every_manifest_is_named_by_a_kustomization() {
    let mut named = BTreeSet::new();
    for folder in kustomizations() {
        let text = fs::read_to_string(folder.join("kustomization.yaml")).expect("a kustomization");
        let kustomization = &yaml(&text)[0];
        let plain = ["resources", "components"].iter().flat_map(|key| rendered::list(&kustomization[*key]));
        let patches = rendered::list(&kustomization["patches"]).iter().map(|patch| &patch["path"]);
        let maps = rendered::list(&kustomization["configMapGenerator"]);
        let data = maps.iter().flat_map(|map| rendered::list(&map["files"]));
        for path in plain.chain(patches).chain(data).filter_map(Value::as_str) {
            let path = folder.join(path).canonicalize().unwrap_or_else(|e| panic!("{folder:?} {path}: {e}"));
            named.insert(path);
        }
    }
    // Bootstraps, which Envoy itself reads in a test.
    let elsewhere = deploy().join("envoy");
    let manifests = files(&deploy()).into_iter().filter(|file| {
        let yaml = file.extension().is_some_and(|end| end == "yaml");
        yaml && !file.ends_with("kustomization.yaml") && !file.starts_with(&elsewhere)
    });
    let forgotten: Vec<PathBuf> = manifests.filter(|file| !named.contains(file)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

/// Holds objects against the schemas of a version, keys that these do not know being errors.
fn validate(version: &str, objects: &[&Value]) -> Output {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    for object in objects {
        // JSON is YAML.
        writeln!(file, "---\n{object}").expect("write");
    }
    let mut command = Command::new(tool("WARMLANE_KUBERNETES_VALIDATE"));
    command.args(["--strict", "-k", version]).arg(file.path()).output().expect("kubernetes-validate runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn core_objects_are_valid_on_the_oldest_and_the_newest_kubernetes() {
    let objects: Vec<&Value> = all().map(|(_, object)| object).filter(|object| is_core(object)).collect();
    assert!(objects.len() > 50, "{}", objects.len());
    for version in KUBERNETES {
        let output = validate(version, &objects);
        assert!(output.status.success(), "Kubernetes {version}: {}", said(&output));
    }
}

#[test]
fn a_slip_in_a_core_object_would_be_seen() {
    let (_, daemon_set) = all().find(|(_, object)| object["kind"] == "DaemonSet").expect("one");
    let mut unknown = daemon_set.clone();
    unknown["spec"]["template"]["spec"]["hostNetwerk"] = json!(true);
    assert!(!validate(KUBERNETES[1], &[&unknown]).status.success(), "an unknown key");
    let mut wrong = daemon_set.clone();
    wrong["spec"]["template"]["spec"]["containers"][0]["args"] = json!("--kube");
    assert!(!validate(KUBERNETES[1], &[&wrong]).status.success(), "a wrong type");
}

// === Resource definitions ===

/// Kind and version, to the schemas that definitions of several releases have for it, with the files' names.
type Definitions = BTreeMap<(String, String), Vec<(String, Validator)>>;

/// The folder that is named; none where none is, which is said.
///
/// # Panics
/// When it is not there or lacks a release: then whoever named it would be told that all is valid.
fn named_folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("WARMLANE_UPSTREAM_CRDS").map(PathBuf::from) else {
        println!("left out: WARMLANE_UPSTREAM_CRDS names no folder of resource definitions");
        return None;
    };
    let lacking = lacking(&folder);
    assert!(lacking.is_empty(), "WARMLANE_UPSTREAM_CRDS: {} has no {lacking:?}", folder.display());
    Some(folder)
}

/// The releases that are not there.
fn lacking(folder: &Path) -> Vec<&'static str> {
    RELEASES.into_iter().filter(|release| !folder.join(release).is_dir()).collect()
}

/// Those of the folder; none where it is not named.
fn definitions() -> Option<Definitions> {
    let folder = named_folder()?;
    let mut definitions = Definitions::new();
    let of_kind = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml");
    for file in files(&folder).into_iter().filter(of_kind) {
        let text = fs::read_to_string(&file).expect("a definition");
        let name = file.strip_prefix(&folder).expect("a file of it").display().to_string();
        for definition in yaml(&text).iter().filter(|found| found["kind"] == "CustomResourceDefinition") {
            let spec = &definition["spec"];
            for version in rendered::list(&spec["versions"]) {
                let api = format!("{}/{}", word(&spec["group"]), word(&version["name"]));
                let mut schema = version["schema"]["openAPIV3Schema"].clone();
                close(&mut schema);
                let validator = jsonschema::options().with_draft(Draft::Draft7).build(&schema);
                let validator = validator.unwrap_or_else(|error| panic!("{name}: {error}"));
                let key = (word(&spec["names"]["kind"]).to_owned(), api);
                definitions.entry(key).or_default().push((name.clone(), validator));
            }
        }
    }
    assert!(definitions.len() > 10, "{} has no definitions", folder.display());
    Some(definitions)
}

fn word(value: &Value) -> &str {
    value.as_str().expect("a word")
}

/// Keys that a schema does not name become errors: a server would drop them without a word.
fn close(schema: &mut Value) {
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    // Flags within a pattern are of Kubernetes' kind of expressions; here they are errors.
    if schema["pattern"].as_str().is_some_and(|pattern| pattern.contains("(?i)")) {
        schema["pattern"] = json!("");
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(close);
        if !open && schema.get("additionalProperties").is_none() {
            schema["additionalProperties"] = json!(false);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner).filter(|inner| inner.is_object()) {
            close(inner);
        }
    }
}

fn complaints(validator: &Validator, object: &Value) -> Vec<String> {
    validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn custom_resources_are_valid_by_every_release_of_their_definitions() {
    let Some(definitions) = definitions() else { return };
    let (mut kinds, mut checks) = (BTreeSet::new(), 0);
    for (set, object) in all().filter(|(_, object)| !is_core(object)) {
        let key = (word(&object["kind"]).to_owned(), word(&object["apiVersion"]).to_owned());
        let found = definitions.get(&key).unwrap_or_else(|| panic!("{set}: no definition of {key:?}"));
        for (file, validator) in found {
            let complaints = complaints(validator, object);
            assert!(complaints.is_empty(), "{set}: {} by {file}: {complaints:?}", title(object));
            checks += 1;
        }
        kinds.insert(key);
    }
    assert!(kinds.len() >= 9 && checks > kinds.len(), "{kinds:?}, {checks} checks");
}

#[test]
fn a_slip_in_a_custom_resource_would_be_seen() {
    let Some(definitions) = definitions() else { return };
    let pool = all().find(|(_, o)| o["kind"] == "InferencePool" && o["spec"].get("targetPorts").is_some());
    let (_, pool) = pool.expect("a pool of version 1");
    let key = ("InferencePool".to_owned(), word(&pool["apiVersion"]).to_owned());
    let slips: [fn(&mut Value); 3] = [
        |pool| pool["spec"]["targetPorts"][0]["number"] = json!(70_000),
        |pool| pool["spec"]["endpointPickerRef"]["failureMode"] = json!("FailClosed"),
        |pool| pool["spec"]["targetPortNumber"] = json!(8000),
    ];
    for (at, slip) in slips.iter().enumerate() {
        let mut pool = pool.clone();
        slip(&mut pool);
        for (file, validator) in &definitions[&key] {
            assert!(!complaints(validator, &pool).is_empty(), "slip {at} by {file}");
        }
    }
}

/// Rows of the table of versions: folders below `deploy`, and releases of the inference extension that they are for.
fn promised() -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(deploy().join("../docs/install.md")).expect("docs/install.md");
    let rows = page.lines().filter_map(|line| {
        let (folders, rest) = line.strip_prefix("| ")?.split_once(" | inference extension ")?;
        let releases = rest.split(" | ").next()?.split(", ").map(|version| format!("gaie-v{version}"));
        Some((folders, releases.collect::<Vec<_>>()))
    });
    let each = rows.flat_map(|(folders, releases)| {
        let folders = folders.split('`').filter_map(|word| word.strip_prefix("deploy/"));
        folders.map(move |folder| (folder.to_owned(), releases.clone()))
    });
    each.collect()
}

/// One kind that a release does not define, and `kubectl apply` refuses it there.
#[test]
fn releases_that_an_example_is_said_to_work_with_define_all_of_it() {
    let Some(definitions) = definitions() else { return };
    let promised = promised();
    assert_eq!(promised.len(), 4, "{promised:?}");
    for (set, releases) in &promised {
        assert!(releases.len() >= 2, "{set}: {releases:?}");
        let group = |object: &&Value| word(&object["apiVersion"]).starts_with("inference.networking.");
        let mut objects = SETS[set.as_str()].iter().filter(group).peekable();
        assert!(objects.peek().is_some(), "{set} has nothing of the extension");
        for object in objects {
            let key = (word(&object["kind"]).to_owned(), word(&object["apiVersion"]).to_owned());
            let of = |release: &str| {
                definitions[&key].iter().find(|(file, _)| file.split('/').next() == Some(release))
            };
            for release in releases {
                let (_, validator) = of(release).unwrap_or_else(|| panic!("{set}: {release} has no {key:?}"));
                let complaints = complaints(validator, object);
                assert!(complaints.is_empty(), "{set}: {} by {release}: {complaints:?}", title(object));
            }
        }
    }
}

#[test]
fn a_folder_that_lacks_a_release_would_be_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(lacking(&folder.path().join("nowhere")), RELEASES);
    for release in &RELEASES[1..] {
        fs::create_dir(folder.path().join(release)).expect("a folder");
    }
    assert_eq!(lacking(folder.path()), RELEASES[..1]);
}
