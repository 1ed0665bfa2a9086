//! What is shipped to be deployed, checked by those who read it.

use std::{fs, process::Command};

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
