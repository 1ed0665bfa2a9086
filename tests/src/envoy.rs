//! The real Envoy, run from the bootstraps that are shipped, with the lines changed that a test names.
//!
//! The binary comes from `WARMLANE_ENVOY`, which `cargo xtask test` sets after installing it.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{PATIENCE, Wire, eventually};

/// Where Envoy is.
const VARIABLE: &str = "WARMLANE_ENVOY";

/// A bootstrap to run.
#[derive(Clone, Debug)]
pub struct Bootstrap(String);

/// A running Envoy, killed when dropped.
#[derive(Debug)]
pub struct Envoy {
    plain: SocketAddr,
    aware: SocketAddr,
    admin: SocketAddr,
    /// Dropped to kill it.
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<thread::JoinHandle<()>>,
    _dir: TempDir,
}

/// The folder with the shipped bootstraps.
pub fn shipped() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/envoy")
}

/// The binary.
///
/// # Panics
/// When nobody said where it is.
pub fn binary() -> PathBuf {
    let path = std::env::var_os(VARIABLE).unwrap_or_else(|| {
        panic!(
            "{VARIABLE} does not say where Envoy is: `cargo xtask test --only suites` installs it and sets it"
        )
    });
    PathBuf::from(path)
}

// === Bootstrap ===

impl Bootstrap {
    /// A shipped one, on free ports of loopback, with this picker and these replicas.
    ///
    /// # Panics
    /// When there is no such file, or it no longer has a line that is changed here.
    pub fn of(name: &str, picker: SocketAddr, replicas: &[SocketAddr]) -> Self {
        let text = fs::read_to_string(shipped().join(name)).expect("a shipped bootstrap");
        let port = |address: SocketAddr| format!("address: {}, port_value: {}", address.ip(), address.port());
        let bootstrap = Self(text)
            .change("address: 0.0.0.0, port_value: 8080", "address: 127.0.0.1, port_value: 0")
            .change("address: 0.0.0.0, port_value: 8081", "address: 127.0.0.1, port_value: 0")
            .change("address: 127.0.0.1, port_value: 9901", "address: 127.0.0.1, port_value: 0")
            .change("address: 127.0.0.1, port_value: 9002", &port(picker));
        let line =
            |text: &str| format!("        - endpoint: {{ address: {{ socket_address: {{ {text} }} }} }}\n");
        let replicas = replicas.iter().fold(String::new(), |mut all, replica| {
            let _ = all.write_str(&line(&port(*replica)));
            all
        });
        let second = line("address: 127.0.0.1, port_value: 8001");
        bootstrap.change(&line("address: 127.0.0.1, port_value: 8000"), "").change(&second, &replicas)
    }

    /// Of resources in files, as a control plane would serve them; its listeners are called `aware` and `plain`.
    pub fn of_resources(clusters: &Path, listeners: &Path) -> Self {
        let from = |path: &Path| {
            format!(
                "{{ resource_api_version: V3, path_config_source: {{ path: {:?} }} }}",
                path.display().to_string()
            )
        };
        Self(format!(
            "node: {{ id: test, cluster: test }}\n\
             admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}\n\
             dynamic_resources:\n  cds_config: {}\n  lds_config: {}\n",
            from(clusters),
            from(listeners)
        ))
    }

    /// With another text instead of this one.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn change(self, text: &str, by: &str) -> Self {
        assert!(self.0.contains(text), "the bootstrap has no {text:?}");
        Self(self.0.replace(text, by))
    }

    /// In which clients may steer by headers.
    #[must_use]
    pub fn trusting(self) -> Self {
        let steers = |line: &str| {
            ["model-name-rewrite", "-objective", "-fairness-id"].iter().any(|end| line.ends_with(end))
        };
        let kept = |line: &&str| !(line.trim_start().starts_with("- remove: x-") && steers(line));
        let text: String = self.0.lines().filter(kept).map(|line| format!("{line}\n")).collect();
        assert_ne!(text, self.0, "the bootstrap takes no such header off");
        Self(text)
    }

    /// Without retries, where it has any.
    #[must_use]
    pub fn without_retries(self) -> Self {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let mut within = None;
        let keeps = |line: &&str| {
            if line.trim() == "retry_policy:" {
                within = Some(indent(line));
            } else if within.is_some_and(|of| indent(line) <= of) {
                within = None;
            }
            within.is_none()
        };
        Self(self.0.lines().filter(keeps).map(|line| format!("{line}\n")).collect())
    }

    /// With one more filter before the one that asks the picker.
    #[must_use]
    pub fn filter(self, name: &str, config: &str) -> Self {
        let asks = "          - name: envoy.filters.http.ext_proc\n";
        let filter = format!("          - name: {name}\n            typed_config: {config}\n");
        self.change(asks, &format!("{filter}{asks}"))
    }

    /// Runs it.
    ///
    /// # Panics
    /// When it does not start; with what Envoy says.
    pub fn start(self) -> Envoy {
        let dir = TempDir::new().expect("a folder");
        let (config, admin, log) =
            (dir.path().join("envoy.yaml"), dir.path().join("admin"), dir.path().join("log"));
        fs::write(&config, &self.0).expect("write the bootstrap");
        let output = fs::File::create(&log).expect("a log");
        let mut command = Command::new(binary());
        command.arg("-c").arg(&config).arg("--admin-address-path").arg(&admin);
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let (stop, stopped) = mpsc::channel::<()>();
        // Envoy ends with the thread that started it.
        let keeper = thread::spawn(move || {
            let mut child = command.spawn().expect("Envoy starts");
            // Until the sender is dropped, or Envoy has ended by itself.
            let look = Duration::from_millis(20);
            while stopped.recv_timeout(look) == Err(RecvTimeoutError::Timeout) {
                if !matches!(child.try_wait(), Ok(None)) {
                    return;
                }
            }
            let _ = child.kill();
            let _ = child.wait();
        });
        let until = Instant::now() + PATIENCE;
        let [admin, plain, aware] = loop {
            if let Some(addresses) = addresses(&admin) {
                break addresses;
            }
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(
                Instant::now() < until && !keeper.is_finished(),
                "Envoy did not start:\n{said}\n{}",
                self.0
            );
            thread::sleep(Duration::from_millis(20));
        };
        Envoy { plain, aware, admin, stop: Some(stop), keeper: Some(keeper), _dir: dir }
    }
}

/// Admin, plain and aware listener, once they take connections.
fn addresses(admin: &Path) -> Option<[SocketAddr; 3]> {
    let admin: SocketAddr = fs::read_to_string(admin).ok()?.trim().parse().ok()?;
    // Listed before that: they refuse connections until the first health check of the picker has come to an end.
    if !ready(admin) {
        return None;
    }
    let page: Value =
        serde_json::from_slice(&Wire::connect(admin).get("/listeners?format=json").body).ok()?;
    let listener = |name: &str| {
        let found = page["listener_statuses"].as_array()?.iter().find(|listener| listener["name"] == name)?;
        let socket = &found["local_address"]["socket_address"];
        format!("{}:{}", socket["address"].as_str()?, socket["port_value"]).parse().ok()
    };
    Some([admin, listener("plain")?, listener("aware")?])
}

/// Whether Envoy calls itself ready. It may end under the question, as it does when it refuses its bootstrap.
fn ready(admin: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(admin).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: t\r\n\r\n").ok()?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).ok()?;
        Some(&status == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

// === Envoy ===

impl Envoy {
    /// The listener that asks the picker.
    pub fn aware(&self) -> SocketAddr {
        self.aware
    }

    /// The listener that does not.
    pub fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// The admin port.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A counter or gauge; 0 where there is none of that name.
    pub fn stat(&self, name: &str) -> u64 {
        let page = Wire::connect(self.admin).get(&format!("/stats?filter=^{name}$")).text();
        page.trim().rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Waits until Envoy holds the picker for up, or for down.
    pub fn wait_for_picker(&self, up: bool) {
        let healthy = || self.stat("cluster.picker.membership_healthy") == u64::from(up);
        let checked = || self.stat("cluster.picker.health_check.attempt") > 0;
        eventually("Envoy sees the picker as it is", || checked() && healthy());
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
