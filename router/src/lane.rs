//! The kernel lane as the router uses it: laid at start where that is possible, and taken by responses that gain.
//!
//! Streams of events gain: many small writes with time between them, each of which would wake the router. A body in
//! one piece is written once or twice and would gain nothing, a large one would lose; those go by copy, always.
//! Whatever the lane does not take goes by copy too, as everything does where it is off.

use std::{
    env, fs,
    io::Read as _,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    config::{Config, LaneMode, Listen, Origin, RemoteLane},
    kernel::{self, Cgroup, Counts, LoadError, Refusal, SelfTestError, Settings, Side, count},
};

mod part;
mod pause;
mod switch;

pub use part::Part;
use pause::Pause;
use switch::Switch;

/// The kernel programs' file.
const OBJECT: &str = "warmlane-lane.o";

/// See the module's header.
#[derive(Debug)]
pub struct Lane {
    mode: LaneMode,
    /// Or why it is off.
    laid: Result<Laid, String>,
    switch: Switch,
}

#[derive(Debug)]
struct Laid {
    kernel: Arc<kernel::Lane>,
    object: PathBuf,
    /// It takes responses of pods on other nodes.
    remote: bool,
    /// What the trial has counted.
    trial: Counts,
    /// Where one was named.
    cgroup: Option<Cgroup>,
    /// Why it has been off since then: nothing new is seen.
    ended: OnceLock<String>,
    pause: Pause,
    /// Connections that began while the machine was short of memory, when it was last looked at.
    short: AtomicU64,
}

// === Lane ===

impl Lane {
    /// None.
    pub fn off() -> Self {
        let laid = Err("it is set to off".to_owned());
        Self { mode: LaneMode::Off, laid, switch: Switch::default() }
    }

    /// Lays one as configured, tries it out, and says in one line what came of it.
    pub fn lay(config: &Config) -> Self {
        let settings = &config.lane;
        if settings.mode == LaneMode::Off {
            return Self::off();
        }
        let Listen { plain, aware, .. } = config.listen;
        let laid = match plain.or(aware) {
            Some(_) => Laid::try_out(config),
            None => Err("no client can come in the clear, as --plain and --aware are off".to_owned()),
        };
        match &laid {
            Ok(laid) => tracing::info!(
                "kernel lane: on for {} responses of pods on {} ({})",
                settings.mode,
                if laid.remote { "this and other nodes" } else { "this node" },
                laid.object.display()
            ),
            // Nobody asked for it: many machines have no use for it.
            Err(why) if config.origins.of("lane.mode") == Origin::Default => {
                tracing::info!("kernel lane: off, responses are copied: {why}");
            }
            Err(why) => tracing::warn!("kernel lane: off, responses are copied: {why}"),
        }
        Self { mode: settings.mode, laid, switch: Switch::default() }
    }

    /// The files that [`Self::lay`] would read, if they were named.
    ///
    /// # Errors
    /// In the words in which it says why it stays off: a router starts without a lane all the same.
    pub fn check(config: &Config) -> Result<(), String> {
        let path = &config.lane.object;
        if config.lane.mode == LaneMode::Off || path.as_os_str().is_empty() {
            return Ok(());
        }
        let missing = |error| LoadError::Missing { path: path.clone(), error }.to_string();
        fs::File::open(path).and_then(|mut file| file.read(&mut [0])).map(drop).map_err(missing)
    }

    /// Makes the ports known that clients without TLS connect to.
    pub fn serve(&self, listen: &Listen) {
        let Ok(laid) = &self.laid else { return };
        for address in [listen.plain, listen.aware].into_iter().flatten() {
            laid.kernel.serve(address.port());
        }
    }

    /// Whether responses may take it; `pinned`: of a session or a prefix group.
    pub fn takes(&self, pinned: bool) -> bool {
        let takes = |laid: &Laid| laid.ended.get().is_none() && !laid.pause.lasts();
        let may = (pinned || self.mode == LaneMode::All) && !self.switch.is_off();
        may && self.laid.as_ref().is_ok_and(takes)
    }

    /// The machine was short of memory for a response: this and all others are copied, and so are those that begin in the next time.
    pub fn pause(&self) {
        if let Ok(laid) = &self.laid {
            laid.pause();
        }
    }

    /// Notices where what it is attached to has gone; to be asked now and then. What rides goes on, nothing new does.
    pub fn look(&self) {
        let Ok(laid) = &self.laid else { return };
        laid.look_for_memory();
        let Laid { cgroup: Some(cgroup), ended, .. } = laid else { return };
        if ended.get().is_none() && cgroup.is_removed() {
            let why = "the cgroup that --lane-cgroup names was removed: name one that stays, and start again";
            tracing::warn!("kernel lane: off from now on, responses are copied: {why}");
            // Nobody else sets it.
            let _ = ended.set(why.to_owned());
        }
    }

    /// The connection that this socket will make to a pod may take part, at this side of it or another that it has. The side, if
    /// it may.
    pub fn announce(&self, connection: &impl AsFd, side: Side) -> Option<Side> {
        let laid = self.laid.as_ref().ok()?;
        let side = if laid.remote { side } else { Side::Local };
        laid.kernel.announce(connection, side).then_some(side)
    }

    /// A client's part.
    pub fn client<'p>(
        &self,
        part: &'p mut Part<kernel::Client>,
        connection: &impl AsFd,
    ) -> Result<&'p mut kernel::Client, Refusal> {
        part.get(|| self.kernel().ok_or(Refusal::ClientUnseen)?.client(connection))
    }

    /// An upstream's part, once the pod has answered.
    pub fn upstream<'p>(
        &self,
        part: &'p mut Part<kernel::Upstream>,
        connection: &impl AsFd,
    ) -> Result<&'p mut kernel::Upstream, Refusal> {
        if self.switch.is_off() {
            return Err(Refusal::Off);
        }
        part.get(|| self.kernel().ok_or(Refusal::Unseen)?.upstream(connection))
    }

    /// Whether responses of pods on other nodes take it.
    pub fn is_remote(&self) -> bool {
        self.laid.as_ref().is_ok_and(|laid| laid.remote)
    }

    /// Which responses may take it, as configured.
    pub fn mode(&self) -> LaneMode {
        self.mode
    }

    /// Why it is off, if it is.
    pub fn why_off(&self) -> Option<&str> {
        self.why_lost().or(self.switch.why_off())
    }

    /// Why it can not be on, whatever anybody does.
    fn why_lost(&self) -> Option<&str> {
        let why = self.laid.as_ref().map_or_else(Some, |laid| laid.ended.get());
        why.map(String::as_str)
    }

    /// The programs' file and the kernel's numbers for them, if it was laid.
    pub fn programs(&self) -> Option<(&Path, Vec<u32>)> {
        self.laid.as_ref().ok().map(|laid| (laid.object.as_path(), laid.kernel.programs()))
    }

    /// What the programs have counted since then, if it was laid.
    pub fn counts(&self) -> Option<Counts> {
        self.laid.as_ref().ok().map(|laid| laid.kernel.counts().since(&laid.trial))
    }

    /// Connections that take part now: to pods, and of clients.
    pub fn connections(&self) -> (usize, usize) {
        self.kernel().map_or((0, 0), |kernel| kernel.connections())
    }

    fn kernel(&self) -> Option<&Arc<kernel::Lane>> {
        self.laid.as_ref().ok().map(|laid| &laid.kernel)
    }
}

// === Laid ===

impl Laid {
    /// Connections that began earlier may be idle, and would find no memory for what they send next.
    fn look_for_memory(&self) {
        let short = self.kernel.count(count::SHORT);
        if self.short.swap(short, Relaxed) != short {
            self.pause();
        }
    }

    fn pause(&self) {
        if self.pause.begins() {
            self.kernel.forget_pods();
        }
    }

    fn try_out(config: &Config) -> Result<Self, String> {
        if config.lane.remote == RemoteLane::Off {
            return Self::with(config, false);
        }
        Self::with(config, true).or_else(|why| {
            // What keeps both from being laid is told once, by who asked.
            let laid = Self::with(config, false)?;
            tracing::warn!("kernel lane: responses of pods on other nodes are copied: {why}");
            Ok(laid)
        })
    }

    fn with(config: &Config, remote: bool) -> Result<Self, String> {
        let object = find(&config.lane.object)?;
        let cgroup = Some(config.lane.cgroup.clone()).filter(|path| !path.as_os_str().is_empty());
        let queue_limit = config.lane.budget;
        // What waits before the client's socket is not charged to it, and a packet there takes up to twice its bytes.
        let remote_budget = queue_limit / 2;
        let settings = Settings { cgroup, queue_limit, remote, remote_budget, ..Settings::new(&object) };
        let held = settings.cgroup.as_deref().and_then(|path| Cgroup::hold(path).ok());
        let kernel = kernel::Lane::load(&settings).map_err(|error| error.to_string())?;
        let tried = kernel.self_test();
        let tried = if remote { tried.and_then(|()| kernel.self_test_remote()) } else { tried };
        let trial = kernel.counts();
        tried.map_err(|error| told(&error, &trial, settings.cgroup.as_deref()))?;
        Ok(Self {
            kernel,
            object,
            remote,
            trial,
            cgroup: held,
            ended: OnceLock::new(),
            pause: Pause::default(),
            short: AtomicU64::default(),
        })
    }
}

/// Why the trial failed. Where none of its connections was seen, a cgroup that was named is the wrong one.
fn told(error: &SelfTestError, trial: &Counts, cgroup: Option<&Path>) -> String {
    let seen = [count::CLIENTS, count::UPSTREAMS, count::PODS].iter().any(|number| trial.of(*number) > 0);
    match cgroup {
        Some(path) if !seen => format!(
            "the router itself is not below the cgroup {} (--lane-cgroup), as no connection of its self-test was seen",
            path.display()
        ),
        _ => error.to_string(),
    }
}

/// The file that is named, or the one that an installation has.
fn find(named: &Path) -> Result<PathBuf, String> {
    if !named.as_os_str().is_empty() {
        return Ok(named.to_owned());
    }
    let router =
        env::current_exe().map_err(|error| format!("cannot find out where the router is: {error}"))?;
    let beside = router.parent().unwrap_or(Path::new("/"));
    let places = [beside.join(OBJECT), beside.join("../lib/warmlane").join(OBJECT)];
    places.iter().find(|place| place.exists()).cloned().ok_or_else(|| {
        let [first, second] = places.each_ref().map(|place| place.display());
        format!("no kernel programs at {first} or {second}; `cargo xtask ebpf` builds them, --lane-object names others")
    })
}

#[cfg(test)]
mod tests;
