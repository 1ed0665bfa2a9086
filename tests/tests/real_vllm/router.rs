//! The router as a process, ended with its owner.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long the router may take to listen, and then to know its engines; far more than it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running router.
#[derive(Debug)]
pub(crate) struct Router {
    child: Child,
    /// `HOST:PORT` of the listener that picks by load and warmth.
    pub(crate) aware: String,
    /// `HOST:PORT` of the listener that does not.
    pub(crate) plain: String,
    /// `HOST:PORT` where Envoy asks.
    pub(crate) picker: String,
    metrics: String,
}

impl Router {
    /// Starts the router in front of these engines and waits until it knows those that are alive.
    pub(crate) fn start(name: &str, endpoints: &[String]) -> Self {
        let log = binaries().join(format!("real-vllm-router-{name}.log"));
        let program = binaries().join("warmlane-router");
        let mut command = Command::new(&program);
        command.arg("--endpoint").arg(endpoints.join(",")).args(["--strategy", "PREFIX_CACHE"]);
        for listener in ["--plain", "--aware", "--metrics", "--admin", "--ext-proc"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        let lane = std::env::var("WARMLANE_TEST_LANE").ok();
        if let Some(mode) = &lane {
            command.args(["--lane", mode]).arg("--lane-object").arg(warmlane_tests::lane::object());
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log beside the binaries"));
        let child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let [aware, plain, picker, metrics] = std::array::from_fn(|_| String::new());
        let mut router = Self { child, aware, plain, picker, metrics };
        let listening = router.listening(&log);
        let address = |name: &str| {
            let word = listening.split_whitespace().find_map(|word| word.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {listening:?}")).to_owned()
        };
        (router.aware, router.plain) = (address("aware="), address("plain="));
        router.picker = address("ext-proc=");
        let alive = endpoints.iter().filter(|endpoint| TcpStream::connect(endpoint).is_ok()).count();
        wait_for(&address("admin="), alive, &log);
        let page = get(&address("admin="), "/debug/lane");
        assert!(lane.is_none() || page.contains("\"on\": true"), "{page}");
        router.metrics = address("metrics=");
        router
    }

    /// Whether responses took the kernel lane, where the suite is run with one; `None` where it is not.
    pub(crate) fn rode(&self) -> Option<bool> {
        std::env::var_os("WARMLANE_TEST_LANE")?;
        let page = get(&self.metrics, "/metrics");
        let count = page.lines().find_map(|line| line.strip_prefix("warmlane_lane_messages_total "));
        Some(count.is_some_and(|count| count != "0"))
    }

    /// The line in which the router names its ports. Its output is read to the end, so that it never blocks on it.
    fn listening(&mut self, log: &Path) -> String {
        let lines = BufReader::new(self.child.stdout.take().expect("standard output is piped")).lines();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.starts_with("listening ") {
                    let _ = tell.send(line);
                }
            }
        });
        told.recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("the router does not listen; its log: {}", log.display()))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of the built binaries, which `cargo xtask test` names.
fn binaries() -> PathBuf {
    let named = std::env::var_os("WARMLANE_BIN_DIR").map(PathBuf::from);
    named.expect("WARMLANE_BIN_DIR names no folder; run this suite as: cargo xtask test --only real-vllm")
}

/// Asks until as many endpoints as are alive are ready.
fn wait_for(admin: &str, alive: usize, log: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = get(admin, "/debug/endpoints");
        let page: Value = serde_json::from_str(&page).unwrap_or_default();
        let listed = page["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        if listed.iter().filter(|endpoint| endpoint["ready"] == true).count() == alive {
            return;
        }
        assert!(Instant::now() < deadline, "engines not ready: {page}; the router's log: {}", log.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The body of a page.
fn get(address: &str, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    };
    let page = ask().unwrap_or_else(|error| panic!("the router's {address} does not answer {path}: {error}"));
    page.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}
