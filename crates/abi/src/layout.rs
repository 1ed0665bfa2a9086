//! Where the running kernel keeps what the program reads of sockets. Found by the router in the kernel's own type
//! information, and put into the object before it is loaded.

/// Offsets in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// `tcp_sock.write_seq`: the sequence number behind all that was written.
    pub write_seq: u32,
    /// `sock.sk_wmem_queued`: kernel memory that waits to be sent.
    pub wmem_queued: u32,
    /// `sock.sk_sndbuf`: how much may wait.
    pub sndbuf: u32,
    /// `sock_common.skc_cookie`.
    pub cookie: u32,
    /// `sock_common.skc_state`, a byte.
    pub state: u32,
    /// `sock_common.skc_prot`, an address.
    pub protocol: u32,
    /// `proto.memory_pressure`, an address of what is not 0 while the protocol is short of memory.
    pub memory_pressure: u32,
    /// `sk_buff.cb`, which TCP begins with the sequence number of a packet's first byte.
    pub packet_sequence: u32,
}

const _: () = assert!(size_of::<Layout>() == 8 * 4);

// === Layout ===

impl Layout {
    /// As it lies in the object.
    pub fn words(&self) -> [u32; 8] {
        let Self {
            write_seq,
            wmem_queued,
            sndbuf,
            cookie,
            state,
            protocol,
            memory_pressure,
            packet_sequence,
        } = *self;
        [write_seq, wmem_queued, sndbuf, cookie, state, protocol, memory_pressure, packet_sequence]
    }
}
