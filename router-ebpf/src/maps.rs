//! All maps, by the names under which the router finds them.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, SockHash},
};
use warmlane_abi::{Link, Seen, Slot, count};

/// Sizes; the router may choose others as it loads.
const CONNECTIONS: u32 = 65_536;
const SLOT_COUNT: u32 = 8_192;
const PORTS: u32 = 4_096;

/// Ports at which the router listens for clients. Written by the router.
#[map]
pub static FRONTS: HashMap<u32, u32> = HashMap::with_max_entries(PORTS, 0);

/// Pods' ends of connections, by cookie: the program `messages` runs for these.
#[map]
pub static POD_SOCKETS: SockHash<u64> = SockHash::with_max_entries(CONNECTIONS, 0);

/// Router's ends of connections to other nodes, by cookie: the program `packets` runs for these. None leaves before it is
/// closed, as it would lose what nobody has read of it.
#[map]
pub static REMOTES: SockHash<u64> = SockHash::with_max_entries(CONNECTIONS, 0);

/// Clients' connections, by cookie. Put in by the router.
#[map]
pub static CLIENTS: SockHash<u64> = SockHash::with_max_entries(CONNECTIONS, 0);

/// Where the sockets of clients' connections are in the kernel, by cookie.
#[map]
pub static CLIENT_SOCKETS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(CONNECTIONS, 0);

/// The cookie of the router's end of connections whose pod's end is looked for. Old ones do no harm: their cookies are never used again.
#[map]
pub static LINKS: LruHashMap<Link, u64> = LruHashMap::with_max_entries(CONNECTIONS, 0);

/// Connections of the router to pods, by the cookie of its end. Written by the router before it connects: those that failed or are
/// closed give way.
#[map]
pub static UPSTREAMS: LruHashMap<u64, Seen> = LruHashMap::with_max_entries(CONNECTIONS, 0);

/// The sequence number of the next byte to each of the ends in [`REMOTES`], by cookie. One that is in use is not given up for
/// another, as it is looked up with each packet.
#[map]
pub static POSITIONS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(CONNECTIONS, 0);

/// Slots of the ends for which programs run, by cookie. Written by the router.
#[map]
pub static SLOT_OF: HashMap<u64, u32> = HashMap::with_max_entries(SLOT_COUNT, 0);

/// See [`Slot`]. The router has them in its own memory, and reads and writes them without calls.
#[map]
pub static SLOTS: Array<Slot> = Array::with_max_entries(SLOT_COUNT, BPF_F_MMAPABLE);

#[map]
static COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(count::LEN, 0);

/// Adds to a counter of [`count`].
#[inline(always)]
pub fn count(index: u32, more: u64) {
    if let Some(counter) = COUNTS.get_ptr_mut(index) {
        // SAFETY: the counter is this CPU's own, and programs are not moved to another while they run.
        unsafe { *counter += more };
    }
}
