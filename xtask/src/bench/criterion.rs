//! What a criterion bench found: the files that it leaves in the build output.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{step, workspace};

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

#[derive(Deserialize)]
struct Benchmark {
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "Bytes")]
    bytes: Option<u64>,
}

/// Runs those functions of a package's bench that match the pattern. Figures of an earlier run are removed first, so
/// that none is taken for new; criterion names the folder after the group, which is the bench's own name here.
pub(super) fn run(package: &str, bench: &str, pattern: &str) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(found().join(bench)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context("cannot clear old figures");
        }
        _ => {}
    }
    let words = ["bench", "--locked", "--package", package, "--bench", bench, "--", pattern];
    step::shown(&mut workspace::cargo(words))
}

/// The median time of one iteration, in nanoseconds.
pub(super) fn median_ns(group: &str, function: &str) -> anyhow::Result<f64> {
    median(&found().join(group).join(function))
}

/// Bytes per nanosecond of the median iteration, which is GB/s.
pub(super) fn gigabytes_per_second(group: &str, function: &str) -> anyhow::Result<f64> {
    throughput(&found().join(group).join(function))
}

fn found() -> PathBuf {
    workspace::target().join("criterion")
}

fn median(dir: &Path) -> anyhow::Result<f64> {
    read::<Estimates>(&dir.join("new/estimates.json")).map(|estimates| estimates.median.point_estimate)
}

fn throughput(dir: &Path) -> anyhow::Result<f64> {
    let file = dir.join("new/benchmark.json");
    let bytes = read::<Benchmark>(&file)?.throughput.and_then(|throughput| throughput.bytes);
    let bytes = bytes.with_context(|| format!("{} states no Throughput::Bytes", file.display()))?;
    // A body of a few hundred kilobytes: exact in an f64.
    Ok(bytes as f64 / median(dir)?)
}

fn read<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("{} is missing: was the bench renamed?", file.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} has another shape than criterion 0.8 writes", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(benchmark: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("new")).unwrap();
        let estimates = r#"{"mean":{"point_estimate":9.0},"median":{"confidence_interval":{},"point_estimate":200000.0}}"#;
        std::fs::write(dir.path().join("new/estimates.json"), estimates).unwrap();
        std::fs::write(dir.path().join("new/benchmark.json"), benchmark).unwrap();
        dir
    }

    #[test]
    fn throughput_is_bytes_over_the_median() {
        let dir = found(r#"{"group_id":"body","throughput":{"Bytes":400000}}"#);
        assert_eq!(throughput(dir.path()).unwrap(), 2.0);
    }

    #[test]
    fn a_bench_without_a_size_has_no_throughput() {
        let dir = found(r#"{"group_id":"pick","throughput":null}"#);
        assert!(throughput(dir.path()).is_err());
        assert_eq!(median(dir.path()).unwrap(), 200_000.0);
    }

    #[test]
    fn a_missing_figure_is_an_error_that_names_the_file() {
        let said = format!("{:#}", median(Path::new("nowhere")).unwrap_err());
        assert!(said.contains("nowhere/new/estimates.json"), "{said}");
    }
}
