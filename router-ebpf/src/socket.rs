//! What is read of sockets beyond what contexts show: through their addresses, at places that the router found in the
//! kernel's type information. A read that fails gives 0, which matches nothing that is asked for.

use core::ptr::{addr_of, read_volatile};

use aya_ebpf::{
    EbpfContext as _,
    bindings::bpf_sock,
    helpers::{bpf_probe_read_kernel, bpf_skc_to_tcp_sock},
    programs::SkBuffContext,
};
use warmlane_abi::Layout;

/// Filled in by the router before it loads the object.
#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout {
    write_seq: 0,
    wmem_queued: 0,
    sndbuf: 0,
    cookie: 0,
    state: 0,
    protocol: 0,
    memory_pressure: 0,
    packet_sequence: 0,
};

/// Volatile, as the compiler would take the zeros above for what it is.
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: the static is there, whole and aligned.
        unsafe { read_volatile(addr_of!(LAYOUT.$field)) }
    };
}

/// States in which a socket sends what it is given, as `enum` in `net/tcp_states.h` has them: established, and with the
/// other side's last word read.
const OPEN: [u8; 2] = [1, 8];

/// The sequence number of a packet's first byte, which TCP keeps beside the packet. A read that fails gives 0.
#[inline(always)]
pub fn packet_sequence(ctx: &SkBuffContext) -> u32 {
    let at = (ctx.as_ptr() as u64).wrapping_add(u64::from(offset!(packet_sequence)));
    // SAFETY: the helper takes any address.
    unsafe { bpf_probe_read_kernel(at as *const u32) }.unwrap_or(0)
}

/// The address of a TCP socket. It may be gone by the time it is read: then another's values, or 0, are seen.
#[derive(Clone, Copy)]
pub struct Socket(pub u64);

impl Socket {
    /// The socket behind a context's.
    #[inline(always)]
    pub fn tcp(sock: *mut bpf_sock) -> Option<Self> {
        if sock.is_null() {
            return None;
        }
        // SAFETY: the pointer comes from the context and is not null.
        let tcp = unsafe { bpf_skc_to_tcp_sock(sock.cast()) };
        if tcp.is_null() { None } else { Some(Self(tcp as u64)) }
    }

    /// Names it among all sockets since the machine was started. A socket that took its memory over has another.
    #[inline(always)]
    pub fn cookie(self) -> u64 {
        read_long(self.at(offset!(cookie)))
    }

    /// The sequence number behind all that was written to it.
    #[inline(always)]
    pub fn write_sequence(self) -> u32 {
        self.word(offset!(write_seq))
    }

    /// Kernel memory that waits in it to be sent.
    #[inline(always)]
    pub fn queued(self) -> u32 {
        self.word(offset!(wmem_queued))
    }

    /// How much may wait in it.
    #[inline(always)]
    pub fn send_buffer(self) -> u32 {
        self.word(offset!(sndbuf))
    }

    /// Where the kernel keeps whether sockets like it are short of memory, for all of the machine.
    #[inline(always)]
    pub fn memory_pressure(self) -> u64 {
        let protocol = read_long(self.at(offset!(protocol)));
        read_long(protocol.wrapping_add(u64::from(offset!(memory_pressure))))
    }

    /// Whether what is given to it may still reach the other end.
    #[inline(always)]
    pub fn is_open(self) -> bool {
        let at = self.at(offset!(state));
        // SAFETY: the helper takes any address.
        let state = unsafe { bpf_probe_read_kernel(at as *const u8) }.unwrap_or(0);
        state == OPEN[0] || state == OPEN[1]
    }

    #[inline(always)]
    fn word(self, offset: u32) -> u32 {
        // SAFETY: the helper takes any address.
        unsafe { bpf_probe_read_kernel(self.at(offset) as *const u32) }.unwrap_or(0)
    }

    #[inline(always)]
    fn at(self, offset: u32) -> u64 {
        self.0.wrapping_add(u64::from(offset))
    }
}

/// Of 64 bits: an address, a cookie, a `long`.
#[inline(always)]
pub fn read_long(at: u64) -> u64 {
    // SAFETY: the helper takes any address.
    unsafe { bpf_probe_read_kernel(at as *const u64) }.unwrap_or(0)
}
