//! What is asked of sockets that rustix has no calls for.

#![expect(unsafe_code, reason = "the system's own calls, with pointers to where the answer goes")]

use std::{
    ffi::c_int,
    io,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

use rustix::{
    ioctl::{Getter, ioctl},
    net::{AddressFamily, SocketType},
};

/// Bytes that wait in a socket to be sent or acknowledged; `None` where the system does not tell.
pub(super) fn backlog(socket: &impl AsFd) -> Option<u32> {
    /// As `asm-generic/ioctls.h` has it.
    const SIOCOUTQ: u32 = 0x5411;
    // SAFETY: the request writes one int, which is what the getter holds.
    let bytes = unsafe { ioctl(socket, Getter::<{ SIOCOUTQ }, c_int>::new()) };
    bytes.ok().and_then(|bytes| u32::try_from(bytes).ok())
}

/// Bytes that were ever written to a socket, by whomever, counted from a beginning of its own; `None` where the system
/// does not tell.
///
/// It is what was acknowledged and what was not. The two are asked for one after the other, and counted only where nothing
/// was acknowledged in between.
pub(super) fn written(socket: &impl AsFd) -> Option<u64> {
    // An acknowledgement comes with packets, and the two calls take less than a microsecond.
    const TRIES: usize = 16;
    (0..TRIES).find_map(|_| {
        let before = acknowledged(socket)?;
        let waiting = backlog(socket)?;
        (acknowledged(socket)? == before).then(|| before + u64::from(waiting))
    })
}

/// Bytes that the other side has acknowledged.
fn acknowledged(socket: &impl AsFd) -> Option<u64> {
    /// Up to and with `tcpi_bytes_acked` of `struct tcp_info` in `linux/tcp.h`, in words of eight bytes.
    const WORDS: usize = 16;
    let mut info = [0_u64; WORDS];
    let mut length = size_of_val(&info) as libc::socklen_t;
    let (level, option, socket) = (libc::IPPROTO_TCP, libc::TCP_INFO, socket.as_fd().as_raw_fd());
    // SAFETY: the system writes at most `length` bytes, which the array has.
    let done = unsafe {
        libc::getsockopt(socket, level, option, ptr::from_mut(&mut info).cast(), ptr::from_mut(&mut length))
    };
    (done == 0 && length as usize == size_of_val(&info)).then_some(info[WORDS - 1])
}

/// The cookie of the network namespace that this thread is in.
pub(super) fn namespace() -> io::Result<u64> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let (mut cookie, mut length) = (0_u64, size_of::<u64>() as libc::socklen_t);
    let (level, option) = (libc::SOL_SOCKET, libc::SO_NETNS_COOKIE);
    // SAFETY: the system writes at most `length` bytes, which the cookie has.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, ptr::from_mut(&mut cookie).cast(), &mut length)
    };
    if done == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}
