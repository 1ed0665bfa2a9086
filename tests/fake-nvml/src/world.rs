//! What the library knows while it is loaded: the script as last read, and which events were raised.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use nvml_wrapper_sys::bindings::{
    nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST as LOST, nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID,
    nvmlReturn_enum_NVML_ERROR_NOT_FOUND as NOT_FOUND,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED, nvmlReturn_enum_NVML_ERROR_TIMEOUT as TIMEOUT,
    nvmlReturn_t,
};

use crate::{
    place,
    script::{Device, Script},
};

/// Bits of a handle that name the card; those above name the slice. Both count from 1, so that no handle is null.
const CARD_BITS: u32 = 16;

/// How often a call that waits looks at the script again.
const LOOK: Duration = Duration::from_millis(5);

/// An answer, or the code that the call returns instead.
pub(crate) type Answer<T> = Result<T, nvmlReturn_t>;

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::new(place::find())));

struct World {
    place: Option<PathBuf>,
    /// Of the script that is held: time, length and inode. Two changes within a tick of the kernel's clock share a
    /// time.
    version: Option<(SystemTime, u64, u64)>,
    script: Arc<Script>,
    /// Starts without their shutdown.
    users: usize,
    /// UUIDs of cards found lost: as with the real library, they stay so until it is started anew.
    lost: BTreeSet<String>,
    /// For each event set, the XIDs already raised of each card in it.
    sets: BTreeMap<usize, BTreeMap<usize, usize>>,
    last_set: usize,
}

/// A card or a slice at the time of a call.
pub(crate) struct Found {
    script: Arc<Script>,
    handle: usize,
}

// === World ===

impl World {
    fn new(place: Option<PathBuf>) -> Self {
        Self {
            place,
            version: None,
            script: Arc::default(),
            users: 0,
            lost: BTreeSet::new(),
            sets: BTreeMap::new(),
            last_set: 0,
        }
    }

    fn script(&mut self) -> Arc<Script> {
        let version = self.place.as_ref().and_then(|place| {
            let file = fs::metadata(place).ok()?;
            Some((file.modified().ok()?, file.len(), file.ino()))
        });
        if version.is_some() && version != self.version {
            self.version = version;
            let text = self.place.as_ref().and_then(|place| fs::read(place).ok());
            if let Some(script) = text.and_then(|text| serde_json::from_slice(&text).ok()) {
                self.script = Arc::new(script);
            }
        }
        Arc::clone(&self.script)
    }
}

fn world() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the library; only the first of several users starts it anew.
pub(crate) fn start() -> Answer<()> {
    pass("nvmlInit_v2")?;
    let mut world = world();
    if world.users == 0 {
        world.lost.clear();
    }
    world.users += 1;
    Ok(())
}

pub(crate) fn shut_down() {
    let mut world = world();
    world.users = world.users.saturating_sub(1);
}

/// The script as it is now.
fn script() -> Arc<Script> {
    world().script()
}

/// Lets a call pass that is about no card: late where it hangs, not at all where it fails.
pub(crate) fn pass(call: &str) -> Answer<Arc<Script>> {
    let began = Instant::now();
    loop {
        let script = script();
        if !hangs(&script.hang_ms, call, began) {
            return script.fail.get(call).map_or(Ok(Arc::clone(&script)), |code| Err(*code));
        }
    }
}

/// The same for a call about this card or slice.
pub(crate) fn find(handle: usize, call: &str) -> Answer<Found> {
    let began = Instant::now();
    loop {
        let found = Found { script: script(), handle };
        let device = found.device()?;
        if hangs(&device.hang_ms, call, began) {
            continue;
        }
        if is_lost(found.card()?) {
            return Err(LOST);
        }
        return device.fail.get(call).copied().map_or(Ok(()), Err).map(|()| found);
    }
}

fn is_lost(card: &Device) -> bool {
    let mut world = world();
    if card.lost {
        world.lost.insert(card.uuid.clone());
    }
    world.lost.contains(&card.uuid)
}

/// Whether a call goes on hanging; waits a little if it does.
fn hangs(times: &BTreeMap<String, u64>, call: &str, began: Instant) -> bool {
    let hangs = times.get(call).is_some_and(|ms| began.elapsed() < Duration::from_millis(*ms));
    if hangs {
        thread::sleep(LOOK);
    }
    hangs
}

/// A handle for the card of this index.
pub(crate) fn card(index: usize) -> Answer<usize> {
    let handle = index + 1;
    find(handle, "nvmlDeviceGetHandleByIndex_v2").map(|_| handle)
}

/// A handle for a slice of a card.
pub(crate) fn slice(card: usize, place: usize) -> Answer<usize> {
    let found = find(card, "nvmlDeviceGetMigDeviceHandleByIndex")?;
    let count = found.device()?.slices.len();
    if place < count { Ok(card | (place + 1) << CARD_BITS) } else { Err(NOT_FOUND) }
}

// === Found ===

impl Found {
    pub(crate) fn index(&self) -> usize {
        (self.handle & ((1 << CARD_BITS) - 1)).wrapping_sub(1)
    }

    fn card(&self) -> Answer<&Device> {
        self.script.devices.get(self.index()).ok_or(INVALID)
    }

    pub(crate) fn device(&self) -> Answer<&Device> {
        let card = self.card()?;
        match self.handle >> CARD_BITS {
            0 => Ok(card),
            place => card.slices.get(place - 1).ok_or(INVALID),
        }
    }

    /// A value, by the key it has in scripts.
    pub(crate) fn number(&self, key: &str) -> Answer<u64> {
        self.device()?.values.get(key).copied().ok_or(NOT_SUPPORTED)
    }
}

// === Event sets ===

pub(crate) fn create_set() -> usize {
    let mut world = world();
    world.last_set += 1;
    let set = world.last_set;
    world.sets.insert(set, BTreeMap::new());
    set
}

pub(crate) fn free_set(set: usize) -> Answer<()> {
    world().sets.remove(&set).map(drop).ok_or(INVALID)
}

/// Only what comes later is raised, as by the real library.
pub(crate) fn register(handle: usize, set: usize) -> Answer<()> {
    let found = find(handle, "nvmlDeviceRegisterEvents")?;
    let raised = found.card()?.xids.len();
    world().sets.get_mut(&set).ok_or(INVALID)?.insert(handle, raised);
    Ok(())
}

/// The next XID, with the handle of its card.
pub(crate) fn wait(set: usize, limit: Duration) -> Answer<(usize, u64)> {
    let began = Instant::now();
    loop {
        if let Some(event) = next(set)? {
            return Ok(event);
        }
        if began.elapsed() >= limit {
            return Err(TIMEOUT);
        }
        thread::sleep(LOOK);
    }
}

fn next(set: usize) -> Answer<Option<(usize, u64)>> {
    let script = pass("nvmlEventSetWait_v2")?;
    let mut world = world();
    let cards = world.sets.get_mut(&set).ok_or(INVALID)?;
    for (handle, raised) in cards.iter_mut() {
        let device = script.devices.get(handle - 1).ok_or(INVALID)?;
        if let Some(xid) = device.xids.get(*raised) {
            *raised += 1;
            return Ok(Some((*handle, *xid)));
        }
    }
    let handles: Vec<usize> = cards.keys().copied().collect();
    drop(world);
    let lost = handles.iter().any(|handle| script.devices.get(handle - 1).is_some_and(is_lost));
    if lost { Err(LOST) } else { Ok(None) }
}
