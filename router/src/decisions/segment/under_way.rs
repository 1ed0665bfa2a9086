//! What the router had under way at each endpoint, at each of a few decisions in a row: of each pool the first one has all, the
//! others what differs from the one before.

use warmlane_picker::{Live, Work};

use super::wire::{Reading, Written};

/// Pools whose decisions take turns and cost no more than one's would. With more of them, one that is not here takes the place of
/// another, and says where it differs from that one.
const POOLS: usize = 8;

/// What was under way at the newest decision of each pool: 64 bytes for each of their endpoints.
#[derive(Debug, Default)]
pub(super) struct Newest {
    pools: Vec<Pool>,
    /// How many of `pools` are there; the buffers of the others stay.
    count: usize,
    last: usize,
}

#[derive(Debug, Default)]
struct Pool {
    name: Vec<u8>,
    live: Vec<Live>,
}

// === Newest ===

impl Newest {
    /// Appends what differs: the pool's place, how many endpoints it has, of each that does its position and 1 more, then
    /// [`parts`]; 0 ends it. Says how many bytes of it are the pool's first.
    pub(super) fn write(&mut self, to: &mut Written, pool: &str, live: &[Live]) -> usize {
        let before = to.len();
        let (place, is_new) = self.place(pool);
        let newest = &mut self.pools[place].live;
        to.number(place as u64);
        to.number(live.len() as u64);
        newest.resize(live.len(), Live::default());
        for (position, (was, is)) in newest.iter_mut().zip(live).enumerate() {
            if was != is {
                to.number(position as u64 + 1);
                for (was, is) in parts(was).into_iter().zip(parts(is)) {
                    to.step(was, is);
                }
                *was = *is;
            }
        }
        to.number(0);
        if is_new { to.len() - before } else { 0 }
    }

    /// The pool's place, and whether it was not there.
    fn place(&mut self, pool: &str) -> (usize, bool) {
        let named = |place: &usize| self.pools[*place].name == pool.as_bytes();
        if let Some(place) = Some(self.last).filter(|last| *last < self.count && named(last)) {
            return (place, false);
        }
        let known = (0..self.count).find(named);
        let place = known.unwrap_or(if self.count < POOLS { self.count } else { (self.last + 1) % POOLS });
        if known.is_none() {
            self.set(place, pool);
        }
        self.last = place;
        (place, known.is_none())
    }

    fn set(&mut self, place: usize, pool: &str) {
        if place == self.pools.len() {
            self.pools.push(Pool::default());
        }
        let Pool { name, live } = &mut self.pools[place];
        name.clear();
        name.extend_from_slice(pool.as_bytes());
        if place == self.count {
            live.clear();
            self.count += 1;
        }
    }

    /// The next decision of each pool has all.
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }
}

/// What was under way at one of the decisions that `changes` tells of.
pub(super) fn at(mut changes: Reading<'_>, nth: usize) -> Vec<Live> {
    let mut pools: [Vec<Live>; POOLS] = Default::default();
    for _ in 0..nth {
        read(&mut changes, &mut pools);
    }
    let place = read(&mut changes, &mut pools);
    std::mem::take(&mut pools[place])
}

/// Reads what differs at the next decision, and says where its pool is.
fn read(changes: &mut Reading<'_>, pools: &mut [Vec<Live>; POOLS]) -> usize {
    let place = changes.number() as usize;
    let live = &mut pools[place];
    live.resize(changes.number() as usize, Live::default());
    while let Some(position) = changes.number().checked_sub(1) {
        let was = &mut live[position as usize];
        *was = of_parts(parts(was).map(|part| changes.step(part)));
    }
    place
}

fn parts(live: &Live) -> [u64; 9] {
    let Live { in_flight, pending_prefill, unstreamed_prefill, reserved_kv, same_adapter, adapters, sent } =
        *live;
    let Work { requests, prefill_tokens, kv_tokens } = sent;
    [
        in_flight.into(),
        pending_prefill,
        unstreamed_prefill,
        reserved_kv,
        same_adapter.into(),
        adapters.into(),
        requests,
        prefill_tokens,
        kv_tokens,
    ]
}

fn of_parts(parts: [u64; 9]) -> Live {
    let [
        in_flight,
        pending_prefill,
        unstreamed_prefill,
        reserved_kv,
        same_adapter,
        adapters,
        requests,
        prefill_tokens,
        kv_tokens,
    ] = parts;
    Live {
        in_flight: in_flight as u32,
        pending_prefill,
        unstreamed_prefill,
        reserved_kv,
        same_adapter: same_adapter as u32,
        adapters: adapters as u32,
        sent: Work { requests, prefill_tokens, kv_tokens },
    }
}
