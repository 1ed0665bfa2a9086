//! What `cargo xtask test` leaves out where it is not root.

use std::{io::Write, net::Ipv4Addr, net::TcpStream, thread, time::Duration};

use warmlane_tests::lane::{Laid, given};

mod attached;
mod bodies;
mod faults;
mod fuzz;
mod limits;
mod places;
mod remote;

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn lane() -> Laid {
    Laid::over(LOOPBACK)
}

/// A response in chunks.
fn chunked<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<u8> {
    let mut response = CHUNKED.as_bytes().to_vec();
    for chunk in chunks {
        response.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        response.extend(chunk);
        response.extend(b"\r\n");
    }
    response.extend(b"0\r\n\r\n");
    response
}

/// One of a length.
fn of_length(length: usize) -> Vec<u8> {
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    response.extend((0..length).map(|at| b'a' + (at % 23) as u8));
    response
}

/// Cut at these places, in order.
fn cut<'r>(response: &'r [u8], cuts: &[usize]) -> Vec<&'r [u8]> {
    let mut places = vec![0, response.len()];
    places.extend(cuts.iter().map(|cut| cut % response.len()));
    places.sort_unstable();
    places.dedup();
    places.windows(2).map(|pair| &response[pair[0]..pair[1]]).collect()
}

/// Sends pieces, each in a send of its own, with a pause between.
fn send(pod: &mut TcpStream, pieces: &[&[u8]], between: Duration) {
    for piece in pieces {
        pod.write_all(piece).expect("the pod's connection is open");
        pause(between);
    }
}

/// Leaves the router time for its part, and so many times as much where the machine is told to be slow, as an emulated one is.
fn pause(time: Duration) {
    if !time.is_zero() {
        thread::sleep(time * given("WARMLANE_LANE_SLOWNESS", 1) as u32);
    }
}
