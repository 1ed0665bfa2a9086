//! What the kustomizations below `deploy` come to, as `kubectl` renders them.
//!
//! kubectl comes from `WARMLANE_KUBECTL`, which `cargo xtask test` sets after installing it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;

/// An overlay with all the components that add something.
pub(super) const EVERYTHING: &str = "overlays/ack-a10 and every component";
/// The same overlay with the component that takes the shared routers out.
pub(super) const NOT_SHARED: &str = "overlays/ack-a10 without shared routers";

/// Everything that a person may apply, by the name of its folder; and what overlays come to with the components that none
/// of them has.
pub(super) static SETS: LazyLock<BTreeMap<String, Vec<Value>>> = LazyLock::new(|| {
    let whole = kustomizations().into_iter().filter(|folder| kind(folder) == "Kustomization");
    let mut sets: BTreeMap<String, Vec<Value>> =
        whole.map(|folder| (name(&folder), objects(&folder))).collect();
    let takes_away = |folder: &PathBuf| folder.ends_with("no-shared-router");
    let components = kustomizations().into_iter().filter(|folder| kind(folder) == "Component");
    // That overlay has this one already.
    let components = components.filter(|folder| !folder.ends_with("node-local"));
    let (fewer, more): (Vec<PathBuf>, Vec<PathBuf>) = components.partition(takes_away);
    assert!(!more.is_empty() && fewer.len() == 1, "{more:?} {fewer:?}");
    let of = |components: &[PathBuf]| {
        let components: Vec<String> = components.iter().map(|folder| relative(folder)).collect();
        let overlay = relative(&deploy().join("overlays/ack-a10"));
        format!("resources: [{overlay}]\ncomponents: [{}]\n", components.join(", "))
    };
    sets.insert(EVERYTHING.to_owned(), overlay(&of(&more)));
    sets.insert(NOT_SHARED.to_owned(), overlay(&of(&fewer)));
    sets
});

/// The folder `deploy`.
pub(super) fn deploy() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    folder.canonicalize().expect("the folder deploy")
}

/// A tool by the variable that says where it is.
pub(super) fn tool(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set: `cargo xtask test --only suites` installs what it names and sets it")
    });
    PathBuf::from(path)
}

/// Every folder below `deploy` with a kustomization, components too.
pub(super) fn kustomizations() -> Vec<PathBuf> {
    let files = files(&deploy());
    let found = files.iter().filter(|file| file.ends_with("kustomization.yaml"));
    found.filter_map(|file| Some(file.parent()?.to_owned())).collect()
}

/// Every file below a folder, in order.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// `Kustomization` or `Component`.
pub(super) fn kind(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("kustomization.yaml")).expect("a kustomization");
    yaml(&text)[0]["kind"].as_str().expect("a kind").to_owned()
}

/// Its name below `deploy`.
pub(super) fn name(folder: &Path) -> String {
    folder.strip_prefix(deploy()).expect("a folder below deploy").display().to_string()
}

/// The documents of a YAML text.
pub(super) fn yaml(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What a folder comes to.
pub(super) fn objects(folder: &Path) -> Vec<Value> {
    let output = Command::new(tool("WARMLANE_KUBECTL")).arg("kustomize").arg(folder).output();
    let output = output.expect("kubectl runs");
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    yaml(&String::from_utf8(output.stdout).expect("text"))
}

/// Where overlays of tests are made.
fn site() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).canonicalize().expect("a path")
}

/// The way to a folder from an overlay of [`overlay`]: kustomize takes relative paths only.
pub(super) fn relative(folder: &Path) -> String {
    let up = "../".repeat(site().components().count());
    format!("{up}{}", folder.strip_prefix("/").expect("an absolute path").display())
}

/// What a person's own overlay comes to.
pub(super) fn overlay(text: &str) -> Vec<Value> {
    let dir = tempfile::tempdir_in(site()).expect("a directory");
    fs::write(dir.path().join("kustomization.yaml"), format!("kind: Kustomization\n{text}")).expect("write");
    objects(dir.path())
}

/// Kind, namespace and name, for messages.
pub(super) fn title(object: &Value) -> String {
    let meta = &object["metadata"];
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    format!("{} {}/{}", word(&object["kind"]), word(&meta["namespace"]), word(&meta["name"]))
}

/// Every object of every set, with the set's name.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static Value)> {
    SETS.iter().flat_map(|(set, objects)| objects.iter().map(move |object| (set.as_str(), object)))
}

/// The pod that an object makes, if it makes any.
pub(super) fn pod(object: &Value) -> Option<&Value> {
    let makes_pods = ["Deployment", "DaemonSet", "StatefulSet", "Job"].iter().any(|k| object["kind"] == *k);
    makes_pods.then(|| &object["spec"]["template"])
}

/// The containers of a pod, those that begin it too.
pub(super) fn containers(pod: &Value) -> Vec<&Value> {
    let of = |key: &str| pod["spec"][key].as_array().cloned().unwrap_or_default().len();
    let both = ["initContainers", "containers"];
    both.iter().flat_map(|key| (0..of(key)).map(move |at| &pod["spec"][*key][at])).collect()
}

/// The items of a list, none where there is no list.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
