//! How sockets are named between the router and the program: places that are watched, and both ends of a connection.

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

/// What was noted of a router's end as it was established.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The sequence number of the first byte from the pod.
    pub first_sequence: u32,
    /// Not 0 where packets that come to it are looked at.
    pub watched: u32,
}

const _: () = assert!(size_of::<Seen>() == 2 * 4);

/// As what a pod's address is admitted.
pub mod admitted {
    /// The pod's own end is looked for.
    pub const LOCAL: u32 = 1;
    /// It is not, and the router's end is watched instead.
    pub const REMOTE: u32 = 2;
}

// === Place ===

impl Place {
    /// An IPv6 address, in bytes as they are sent.
    pub fn new(address: [u8; 16], port: u16) -> Self {
        let word =
            |at: usize| u32::from_ne_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]]);
        Self { address_be: [word(0), word(4), word(8), word(12)], port: u32::from(port) }
    }

    /// An IPv4 address, as it lies in a program's context.
    #[inline(always)]
    pub fn v4(address_be: u32, port: u32) -> Self {
        Self { address_be: [0, 0, 0xffff_u32.to_be(), address_be], port }
    }

    /// As the key of a map.
    pub fn words(&self) -> [u32; 5] {
        let [a, b, c, d] = self.address_be;
        [a, b, c, d, self.port]
    }
}

// === Seen ===

impl Seen {
    /// Out of the value of a map.
    pub fn of(words: [u32; 2]) -> Self {
        Self { first_sequence: words[0], watched: words[1] }
    }
}

// === Link ===

impl Link {
    /// As the key of a map.
    pub fn words(&self) -> [u32; 11] {
        let mut words = [self.first_sequence; 11];
        words[..5].copy_from_slice(&self.pod.words());
        words[5..10].copy_from_slice(&self.router.words());
        words
    }
}
