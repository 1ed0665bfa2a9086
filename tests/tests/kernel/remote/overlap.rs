//! Segments that bring again what has come: as senders repeat what was lost, they put more into one segment than before.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use warmlane_router::kernel::{Framing, Standing};
use warmlane_tests::{PATIENCE, lane::Laid};

use super::{super::lane as local, lane};

/// A raw view of this machine's own TCP.
struct Wire {
    socket: Socket,
    /// The pod's port, and the router's.
    ports: [u16; 2],
}

/// What is needed of a segment to forge its successor.
struct Segment {
    sequence: u32,
    acknowledged: u32,
}

impl Wire {
    fn between(pod: &TcpStream) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).expect("root may have one");
        socket.set_read_timeout(Some(PATIENCE)).expect("open");
        let port = |address: std::io::Result<SocketAddr>| address.expect("connected").port();
        Self { socket, ports: [port(pod.local_addr()), port(pod.peer_addr())] }
    }

    /// Waits for the segment with which the pod sends this.
    fn seen(&self, data: &[u8]) -> Segment {
        let mut buffer = [0; 2048];
        loop {
            let length = (&self.socket).read(&mut buffer).expect("it is sent");
            let segment = &buffer[usize::from(buffer[0] & 0xf) * 4..length];
            let word = |at: usize| u32::from_be_bytes(segment[at..at + 4].try_into().expect("four"));
            let ports = [word(0) >> 16, word(0) & 0xffff];
            if ports == self.ports.map(u32::from) && segment.ends_with(data) {
                return Segment { sequence: word(4), acknowledged: word(8) };
            }
        }
    }

    /// Sends one as if it came from the pod.
    fn forge(&self, sequence: u32, acknowledged: u32, data: &[u8]) {
        let mut segment = self.ports.map(u16::to_be_bytes).concat();
        segment.extend([sequence, acknowledged].map(u32::to_be_bytes).concat());
        // Five words of head, ACK and PSH, a window, and no checksum yet.
        segment.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(data);
        let sum = checksum(&segment);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        let loopback = SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)));
        self.socket.send_to(&segment, &loopback).expect("root may send");
    }
}

/// Of the segment and what stands for the head of its packet: both addresses, the protocol, the length.
fn checksum(segment: &[u8]) -> u16 {
    let mut bytes = [127, 0, 0, 1, 127, 0, 0, 1, 0, 6].to_vec();
    bytes.extend((segment.len() as u16).to_be_bytes());
    bytes.extend(segment);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// What the router reads where a part of a segment had come before.
fn read_over(laid: &Laid) -> Vec<u8> {
    let (mut pod, mut relay, _client) = laid.exchange();
    let wire = Wire::between(&pod);
    pod.write_all(b"abcde").expect("open");
    let Segment { sequence, acknowledged } = wire.seen(b"abcde");
    wire.forge(sequence + 2, acknowledged, b"cdefgh");
    wire.forge(sequence, acknowledged, b"abcdefghij");
    let mut got = vec![0; 64];
    let mut length = 0;
    while length < 10 {
        length += relay.read(&mut got[length..]).expect("more comes");
    }
    relay.upstream.set_nonblocking(true).expect("open");
    std::thread::sleep(std::time::Duration::from_millis(50));
    length += relay.upstream.read(&mut got[length..]).unwrap_or(0);
    got.truncate(length);
    got
}

#[test]
fn what_came_before_is_not_read_again() {
    assert_eq!(read_over(&local()).escape_ascii().to_string(), "abcdefghij");
    assert_eq!(read_over(&lane()).escape_ascii().to_string(), "abcdefghij");
}

#[test]
fn what_came_before_is_not_redirected_again() {
    let laid = lane();
    let (mut pod, mut relay, mut client) = laid.exchange();
    let wire = Wire::between(&pod);
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"3\r\nabc\r\n").expect("open");
    let Segment { sequence, acknowledged } = wire.seen(b"abc\r\n");
    wire.forge(sequence + 3, acknowledged, b"abc\r\n4\r\ndefg\r\n");
    let mut got = [0; 17];
    client.read_exact(&mut got).expect("both come");
    assert_eq!(got.escape_ascii().to_string(), "3\\r\\nabc\\r\\n4\\r\\ndefg\\r\\n");
    assert!(matches!(armed.standing(), Standing::Riding(progress) if progress.bytes == 17));
}
