//! How connections are named between the router and the programs, and between their two ends.

/// An address and port of a pod. IPv4 addresses are mapped into IPv6.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// In network byte order.
    pub address_be: [u32; 4],
    /// In host byte order.
    pub port: u32,
}

const _: () = assert!(size_of::<Place>() == 5 * 4);

/// One connection between a router and a pod, told from all others: also from one of the same four numbers
/// in another network namespace, or earlier, by where the pod's sequence numbers begin.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The pod's end.
    pub pod: Place,
    /// The router's end.
    pub router: Place,
    /// The sequence number of the first byte from the pod.
    pub first_sequence: u32,
}

const _: () = assert!(size_of::<Link>() == 2 * size_of::<Place>() + 4);

/// What is known of a router's end of a connection. The router writes it before the end connects, the programs from then on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Names the pod's end; 0 where that was not seen.
    pub pod_cookie: u64,
    /// The sequence number of the first byte from the pod.
    pub first_sequence: u32,
    /// One of [`seen`].
    pub state: u32,
}

const _: () = assert!(size_of::<Seen>() == 8 + 2 * 4);

/// How far a router's end is.
pub mod seen {
    /// It will connect, and the pod's own end is looked for.
    pub const ANNOUNCED: u32 = 1;
    /// It will connect, and is to be watched itself.
    pub const ANNOUNCED_REMOTE: u32 = 2;
    /// It is established.
    pub const ESTABLISHED: u32 = 3;
    /// And packets that come to it are looked at.
    pub const WATCHED: u32 = 4;
    /// It is established, and takes no part, as the machine was short of memory for TCP.
    pub const SHORT: u32 = 5;
}

// === Place ===

impl Place {
    /// An IPv4 address, as it lies in a program's context.
    #[inline(always)]
    pub fn v4(address_be: u32, port: u32) -> Self {
        Self { address_be: [0, 0, 0xffff_u32.to_be(), address_be], port }
    }
}

// === Seen ===

impl Seen {
    /// Of an end that has not connected yet.
    pub fn announced(state: u32) -> Self {
        Self { state, ..Self::default() }
    }

    /// As the value of a map.
    pub fn words(&self) -> [u32; 4] {
        let [a, b, c, d, e, f, g, h] = self.pod_cookie.to_ne_bytes();
        let half = |bytes| u32::from_ne_bytes(bytes);
        [half([a, b, c, d]), half([e, f, g, h]), self.first_sequence, self.state]
    }

    /// Out of the value of a map.
    pub fn of([low, high, first_sequence, state]: [u32; 4]) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (low.to_ne_bytes(), high.to_ne_bytes());
        Self { pod_cookie: u64::from_ne_bytes([a, b, c, d, e, f, g, h]), first_sequence, state }
    }
}
