//! The real Prometheus, scraping servers of a test every half second.
//!
//! The folder with its binaries comes from `WARMLANE_PROMETHEUS`, which `cargo xtask test` sets after unpacking them.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Wire, eventually};

/// Where its binaries are.
const VARIABLE: &str = "WARMLANE_PROMETHEUS";

/// A running one, killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

/// A series over a time.
#[derive(Debug)]
pub struct Series {
    /// Its labels.
    pub labels: Value,
    /// Seconds since the beginning, and a number each.
    pub points: Vec<(f64, f64)>,
}

/// Steps into which a time is cut.
const STEPS: u32 = 60;

/// One of its binaries, `prometheus` or `promtool`.
///
/// # Panics
/// When nobody said where they are.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os(VARIABLE).unwrap_or_else(|| {
        panic!("{VARIABLE} does not say where Prometheus is: `cargo xtask test --only suites` unpacks it and sets it")
    });
    PathBuf::from(folder).join(name)
}

// === Prometheus ===

impl Prometheus {
    /// Starts one that scrapes these, each under the name of its job, and waits until it has reached all of them.
    ///
    /// # Panics
    /// When it does not start, or does not reach one.
    pub fn scraping(jobs: &[(&str, Vec<SocketAddr>)]) -> Self {
        let dir = TempDir::new().expect("a directory");
        let mut config =
            "global: { scrape_interval: 500ms, scrape_timeout: 500ms }\nscrape_configs:\n".to_owned();
        for (job, targets) in jobs {
            let targets: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
            let _ = writeln!(
                config,
                "  - {{ job_name: {job}, static_configs: [{{ targets: [{}] }}] }}",
                targets.join(", ")
            );
        }
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).expect("write");
        let mut command = Command::new(binary("prometheus"));
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command.arg("--web.listen-address=127.0.0.1:0").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("Prometheus runs");
        let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.contains("Listening on")
                .then(|| line.split("address=").nth(1)?.trim().parse().ok())
                .flatten()
        });
        // Goes on reading: what is not read would stop it.
        thread::spawn(move || lines.for_each(drop));
        let started = Self { child, address: address.expect("an address in its log"), _dir: dir };
        let count: usize = jobs.iter().map(|(_, targets)| targets.len()).sum();
        eventually("Prometheus reaches every target", || started.query("up == 1").len() == count);
        started
    }

    /// The samples of an expression at this moment.
    ///
    /// # Panics
    /// When it refuses the expression.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        self.ask("query", expression, "")
    }

    /// The series of an expression over the last `window`; numbers that are none are left out.
    ///
    /// # Panics
    /// When it refuses the expression.
    pub fn range(&self, expression: &str, window: Duration) -> Vec<Series> {
        let now = self.query("time()")[0]["value"][0].as_f64().expect("its time");
        let seconds = window.as_secs_f64();
        let (begin, step) = (now - seconds, seconds / f64::from(STEPS));
        let found = self.ask("query_range", expression, &format!("&start={begin}&end={now}&step={step}"));
        let point = |pair: &Value| {
            let value: f64 = pair[1].as_str()?.parse().ok()?;
            Some((pair[0].as_f64()? - begin, value)).filter(|_| value.is_finite())
        };
        let points =
            |series: &Value| series["values"].as_array().into_iter().flatten().filter_map(point).collect();
        found
            .iter()
            .map(|series| Series { labels: series["metric"].clone(), points: points(series) })
            .collect()
    }

    fn ask(&self, how: &str, expression: &str, more: &str) -> Vec<Value> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = Wire::connect(self.address).get(&format!("/api/v1/{how}?query={encoded}{more}"));
        // Not yet ready.
        if answer.status == 503 {
            return Vec::new();
        }
        let json = answer.json();
        assert_eq!(json["status"], "success", "{expression}: {json}");
        // A number alone has no labels.
        if json["data"]["resultType"] == "scalar" {
            return vec![serde_json::json!({ "value": json["data"]["result"] })];
        }
        let result = &json["data"]["result"];
        result.as_array().unwrap_or_else(|| panic!("{expression} is no vector: {json}")).clone()
    }

    /// The numbers of an expression at this moment.
    ///
    /// # Panics
    /// When it refuses the expression.
    pub fn numbers(&self, expression: &str) -> Vec<f64> {
        let number = |sample: &Value| sample["value"][1].as_str().and_then(|text| text.parse().ok());
        self.query(expression).iter().map(|sample| number(sample).expect("a number")).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
