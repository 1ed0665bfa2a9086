//! The fake NVML of one test: a copy of the library with a script of its own beside it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};
use warmlane_agent::gpu::{Gpu, LibrarySource, Settings, Verdict, Watch};

use crate::PATIENCE;

/// In no table.
const UNKNOWN_XID: u64 = 9_999;

/// See the module's header. The library is gone with it; a process that has loaded it keeps it.
#[derive(Debug)]
pub struct FakeNvml {
    dir: TempDir,
    script: Value,
}

// === FakeNvml ===

impl FakeNvml {
    /// With so many cards, each healthy and each telling everything.
    ///
    /// # Panics
    /// When the library cannot be built.
    pub fn new(cards: usize) -> Self {
        let dir = TempDir::new().expect("a directory");
        // A copy, not a link: the loader knows a library by its inode, and each test needs one of its own.
        fs::copy(built(), library(dir.path())).expect("copy the library");
        let devices: Vec<Value> = (0..cards).map(card).collect();
        let fake = Self { dir, script: json!({ "driver": "570.86.10", "devices": devices }) };
        fake.write();
        fake
    }

    /// Changes the script; a library in use sees it at its next call.
    pub fn change(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.script);
        self.write();
    }

    /// Takes the library away, or puts it back.
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn set_there(&self, there: bool) {
        let library = library(self.dir.path());
        if there {
            fs::copy(built(), library).expect("copy the library");
        } else {
            fs::remove_file(library).expect("remove the library");
        }
    }

    /// Where the library is.
    pub fn path(&self) -> PathBuf {
        library(self.dir.path())
    }

    /// Watches its cards, more often than an agent does.
    ///
    /// # Panics
    /// When no thread can be started.
    pub fn watch(&self) -> Watch {
        let settings = Settings {
            library: LibrarySource::Path(self.path()),
            every: Duration::from_millis(50),
            retry: Duration::from_millis(300),
        };
        Watch::start(settings).expect("a thread")
    }

    /// Raises XIDs that only degrade until one arrives: from then on the watch is known to listen to this card.
    ///
    /// # Panics
    /// When none arrives.
    pub async fn listened_to(&mut self, watch: &Watch, card: usize) {
        for count in 1..=400 {
            self.change(|script| script["devices"][card]["xids"] = json!(vec![UNKNOWN_XID; count]));
            let mut gpus = watch.gpus();
            let degraded = gpus.wait_for(|gpus| gpus[card].verdict != Verdict::Healthy);
            if timeout(PATIENCE / 400, degraded).await.is_ok() {
                return;
            }
        }
        panic!("no XID of card {card} is heard");
    }

    /// Raises an XID; behind those that were raised before.
    ///
    /// # Panics
    /// When the card does not exist.
    pub fn raise(&mut self, card: usize, xid: u64) {
        self.change(|script| {
            let xids = &mut script["devices"][card]["xids"];
            if xids.is_null() {
                *xids = json!([]);
            }
            xids.as_array_mut().expect("a list").push(json!(xid));
        });
    }

    fn write(&self) {
        let mut file = library(self.dir.path()).into_os_string();
        file.push(".json");
        publish(&self.script, Path::new(&file)).expect("write the script");
    }
}

/// Writes a script in one step: a reader sees the old one or the new one.
pub(crate) fn publish(script: &Value, file: &Path) -> io::Result<()> {
    let draft = file.with_extension("draft");
    fs::write(&draft, script.to_string())?;
    fs::rename(draft, file)
}

fn library(dir: &Path) -> PathBuf {
    dir.join("libnvidia-ml.so.1")
}

/// An A10 as it is under load.
pub(crate) fn card(index: usize) -> Value {
    json!({
        "uuid": format!("GPU-{index}"),
        "name": "NVIDIA A10",
        "values": {
            "nvmlDeviceGetMemoryInfo_v2.total": 24_000_000_000_u64,
            "nvmlDeviceGetMemoryInfo_v2.used": 21_000_000_000_u64,
            "nvmlDeviceGetUtilizationRates.gpu": 97,
            "nvmlDeviceGetUtilizationRates.memory": 61,
            "nvmlDeviceGetTemperature.0": 66,
            "nvmlDeviceGetTemperatureThreshold.1": 95,
            "nvmlDeviceGetPowerUsage": 141_000,
            "nvmlDeviceGetEnforcedPowerLimit": 150_000,
            "nvmlDeviceGetTotalEnergyConsumption": 5_000_000_000_u64,
            "nvmlDeviceGetClockInfo.1": 1_410,
            "nvmlDeviceGetClockInfo.2": 6_251,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 4,
            "nvmlDeviceGetTotalEccErrors.0.0": 3,
            "nvmlDeviceGetTotalEccErrors.1.0": 0,
            "nvmlDeviceGetCurrPcieLinkGeneration": 4,
            "nvmlDeviceGetCurrPcieLinkWidth": 16,
            "nvmlDeviceGetPcieReplayCounter": 2,
            "field.142": 1,
            "field.143": 0,
            "field.144": 1,
            "field.145": 0,
        },
    })
}

/// Waits until the cards are as wanted.
///
/// # Panics
/// When they never are.
pub async fn until(watch: &Watch, what: &str, wanted: impl Fn(&[Gpu]) -> bool) -> Vec<Gpu> {
    let mut gpus: watch::Receiver<_> = watch.gpus();
    match timeout(PATIENCE, gpus.wait_for(|gpus| wanted(gpus))).await {
        Ok(found) => found.expect("the watch lives").to_vec(),
        Err(_) => panic!("never {what}: {:#?}", watch.gpus().borrow()),
    }
}

/// The library, built once. It lies in the target directory that this test itself was built into.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = env::current_exe().expect("this test's file");
        let is_test = test.parent().is_some_and(|folder| folder.ends_with("deps"));
        let target = test.ancestors().nth(if is_test { 3 } else { 2 }).expect("target/profile/[deps/]test");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--locked", "--package", "warmlane-fake-nvml", "--message-format", "json"])
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        let library = said.lines().filter_map(library_in).next();
        library.unwrap_or_else(|| panic!("cargo names no library: {said}"))
    })
}

/// The library that a line of cargo's messages names.
fn library_in(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let ours = message["target"]["name"] == "warmlane_fake_nvml";
    let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
    files.map(PathBuf::from).find(|file| ours && file.extension().is_some_and(|end| end == "so"))
}
