//! The lane as the router holds it: what may take part, and who does.

use std::{
    fmt,
    os::fd::AsFd,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use rustix::net::sockopt::socket_cookie;
use warmlane_abi::{Seen, seen};

use super::{
    Client, Counts, LoadError, Refusal, SelfTestError, Side, Upstream,
    memory::Memory,
    object::{self, Maps},
    self_test,
    slots::Slots,
};

/// What the lane is laid with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The object that `cargo xtask ebpf` builds.
    pub object: PathBuf,
    /// The cgroup v2 whose connections are seen; without one, the root of the hierarchy. Pods must be below it.
    pub cgroup: Option<PathBuf>,
    /// The most connections of pods, and of clients, that are kept in maps.
    pub connections: u32,
    /// The most connections to pods that can be armed at a time.
    pub slots: u32,
    /// The most that may wait in a client's socket before its response goes by copy, in bytes of kernel memory.
    pub queue_limit: u32,
    /// Responses of pods on other nodes may take the lane too, if they are [announced](Lane::announce) so. It takes no CPU off
    /// the machine, but off the router.
    pub remote: bool,
    /// The most that may wait for a client of such a response, in its socket and before it, in bytes of kernel memory.
    pub remote_budget: u32,
}

/// The programs, attached for as long as this lives, and what the router shares with them.
pub struct Lane {
    pub(super) memory: Memory,
    pub(super) slots: Slots,
    pub(super) queue_limit: u32,
    pub(super) remote_budget: u32,
    /// Clients' connections in the map.
    pub(super) clients: AtomicUsize,
    /// How often all pods' ends were taken out.
    pub(super) sweeps: AtomicU32,
    /// All that is reached by system calls. They are short, and few per connection.
    maps: Mutex<Maps>,
}

// === Settings ===

impl Settings {
    /// Unless set otherwise: a mebibyte of kernel memory is a minute of tokens, and what a client that reads nothing may cost.
    pub const QUEUE_LIMIT: u32 = 1 << 20;

    /// Those for a router with this object.
    pub fn new(object: impl Into<PathBuf>) -> Self {
        Self {
            object: object.into(),
            cgroup: None,
            connections: 65_536,
            slots: 8_192,
            queue_limit: Self::QUEUE_LIMIT,
            remote: false,
            remote_budget: 512 * 1024,
        }
    }
}

// === Lane ===

impl Lane {
    /// Loads and attaches the programs. Nothing takes part yet.
    pub fn load(settings: &Settings) -> Result<Arc<Self>, LoadError> {
        let (memory, maps) = object::load(settings)?;
        let slots = Slots::new(memory.count());
        let Settings { queue_limit, remote_budget, .. } = *settings;
        let (clients, sweeps, maps) = (AtomicUsize::new(0), AtomicU32::new(0), Mutex::new(maps));
        Ok(Arc::new(Self { memory, slots, queue_limit, remote_budget, clients, sweeps, maps }))
    }

    /// Has one exchange take the lane, in order and complete: a kernel that cannot do that shows it here.
    pub fn self_test(self: &Arc<Self>) -> Result<(), SelfTestError> {
        self_test::run(self)
    }

    /// The same as if the pod were on another node. Only with [`Settings::remote`].
    pub fn self_test_remote(self: &Arc<Self>) -> Result<(), SelfTestError> {
        self_test::run_remote(self)
    }

    /// The connection that this socket will make to a pod may take part, at that side of it. To be said before it connects.
    /// `false` where there is no room to note it.
    ///
    /// The pod's side is for pods on this node; where it is not found, the pod is elsewhere. The router's side is only for [`Settings::remote`]
    /// and not for TLS: all that comes on such a connection is looked at, from its first byte to its last.
    pub fn announce(&self, connection: &impl AsFd, side: Side) -> bool {
        let state = match side {
            Side::Local => seen::ANNOUNCED,
            Side::Remote => seen::ANNOUNCED_REMOTE,
        };
        let words = Seen::announced(state).words();
        socket_cookie(connection).is_ok_and(|cookie| self.maps().upstreams.insert(cookie, words, 0).is_ok())
    }

    /// From now on, connections that come to this port may be clients'. `false` where there is no room for another.
    pub fn serve(&self, port: u16) -> bool {
        self.maps().fronts.insert(u32::from(port), 1, 0).is_ok()
    }

    /// Connections that come to this port are no clients' any more.
    pub fn leave(&self, port: u16) {
        // It is not there: as wanted.
        let _ = self.maps().fronts.remove(&u32::from(port));
    }

    /// A connection to a pod that has answered on it. To be kept with the connection, and dropped with it.
    pub fn upstream(self: &Arc<Self>, connection: &impl AsFd) -> Result<Upstream, Refusal> {
        let cookie = socket_cookie(connection).map_err(|_| Refusal::Socket)?;
        let mut maps = self.maps();
        let known = Seen::of(maps.upstreams.get(&cookie, 0).map_err(|_| Refusal::Early)?);
        let (side, shown) = match known {
            Seen { state: seen::WATCHED, .. } => (Side::Remote, cookie),
            Seen { state: seen::SHORT, .. } => return Err(Refusal::Left),
            Seen { state: seen::ESTABLISHED, pod_cookie: 0, .. } => return Err(Refusal::Remote),
            Seen { state: seen::ESTABLISHED, pod_cookie, .. } => (Side::Local, pod_cookie),
            _ => return Err(Refusal::Unseen),
        };
        let slot = self.slots.take(Instant::now()).ok_or(Refusal::Full)?;
        self.memory.clear(slot);
        if maps.slot_of.insert(shown, slot, 0).is_err() {
            self.slots.give_back(slot, Instant::now());
            return Err(Refusal::Full);
        }
        drop(maps);
        Ok(Upstream::new(self.clone(), side, slot, shown, known.first_sequence))
    }

    /// A client's connection. To be kept with the connection, and dropped with it.
    pub fn client(self: &Arc<Self>, connection: &impl AsFd) -> Result<Client, Refusal> {
        let cookie = socket_cookie(connection).map_err(|_| Refusal::Socket)?;
        let mut maps = self.maps();
        maps.client_sockets.get(&cookie, 0).map_err(|_| Refusal::ClientUnseen)?;
        let kept = maps.clients.insert(cookie, connection.as_fd(), 0);
        drop(maps);
        kept.map_err(|_| Refusal::ClientFull)?;
        Ok(Client::new(self.clone(), cookie))
    }

    /// Connections that take part now: to pods, and of clients.
    pub fn connections(&self) -> (usize, usize) {
        (self.slots.taken(self.memory.count()), self.clients.load(Relaxed))
    }

    /// What the programs have counted so far.
    pub fn counts(&self) -> Counts {
        let maps = self.maps();
        Counts::read(|number| maps.count(number))
    }

    /// One of them: a number of [`warmlane_abi::count`].
    pub fn count(&self, number: u32) -> u64 {
        self.maps().count(number)
    }

    /// The kernel's numbers for the programs: what `bpftool prog show` lists them by.
    pub fn programs(&self) -> Vec<u32> {
        self.maps().programs()
    }

    /// Takes a client's connection out. A closed one has left by itself.
    pub(super) fn forget_client(&self, cookie: u64) {
        let _ = self.maps().clients.remove(&cookie);
    }

    /// Takes all pods' ends out, also those whose responses ride: what comes next on those is for the router. A send that
    /// finds no memory in the machine fails before any program runs for it, which then cannot hand over either.
    pub fn forget_pods(&self) {
        let mut maps = self.maps();
        self.sweeps.fetch_add(1, Relaxed);
        maps.pod_sockets.forget_all();
    }

    /// Takes a pod's end out.
    pub(super) fn forget_pod(&self, cookie: u64) {
        self.maps().pod_sockets.forget(cookie);
    }

    /// Gives a slot back.
    pub(super) fn forget_upstream(&self, cookie: u64, slot: u32) {
        let _ = self.maps().slot_of.remove(&cookie);
        self.slots.give_back(slot, Instant::now());
    }

    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("slots", &self.memory.count()).finish_non_exhaustive()
    }
}
