//! Sides that are slow, early, or gone: nothing is lost in silence, nothing overtakes, and the kernel holds no more than it may.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;
use warmlane_router::kernel::{Framing, Settled, Standing, count, reason};
use warmlane_tests::eventually;

use super::{
    super::{
        CHUNKED, chunked,
        faults::{end_in_the_middle, leave, refuse_who_is_behind, send_bursts},
    },
    lane,
};

/// Writes until nothing more is taken for a while; how much was.
fn write_until_blocked(pod: &mut TcpStream, bytes: &[u8]) -> usize {
    pod.set_nonblocking(true).expect("open");
    let (mut at, mut last) = (0, Instant::now());
    while at < bytes.len() && last.elapsed() < Duration::from_millis(500) {
        match pod.write(&bytes[at..bytes.len().min(at + 250)]) {
            Ok(written) => (at, last) = (at + written, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    }
    pod.set_nonblocking(false).expect("open");
    at
}

#[test]
fn a_client_that_does_not_read_costs_no_more_than_its_budget_and_gets_everything_later() {
    let laid = lane();
    let (mut pod, mut relay, mut client) = laid.exchange();
    for stream in [&client, &relay.upstream] {
        SockRef::from(stream).set_recv_buffer_size(64 * 1024).expect("open");
    }
    SockRef::from(&pod).set_send_buffer_size(64 * 1024).expect("open");
    // More than the budget, so that it is the budget that ends it; the system makes it twice as large.
    SockRef::from(&relay.client_side).set_send_buffer_size(512 * 1024).expect("open");
    let body: Vec<u8> = (0..15_000_000_u32).map(|at| (at / 250) as u8).collect();
    let mut client_side = relay.client_side.try_clone().expect("open");
    let armed = relay.arm(Framing::length(body.len() as u64)).expect("there is room");
    let taken = write_until_blocked(&mut pod, &body);
    let Standing::HandedOver(end) = armed.standing() else { panic!("{:?}", armed.standing()) };
    drop(armed);
    let by_lane = end.progress.bytes;
    println!("{taken} of {} bytes taken, {by_lane} redirected", body.len());
    assert!(end.is_full(), "{end:?}");
    let (budget, buffers) = (512 * 1024, 2 * 3 * 64 * 1024);
    // What the client's own socket has taken was sent and is in no budget.
    assert!(0 < by_lane && by_lane <= budget + 2 * 64 * 1024, "{by_lane} bytes redirected");
    assert!(taken as u64 <= budget + buffers, "{taken} bytes taken");
    // All of it has room at the client's socket, although nobody reads there.
    eventually("it is settled", || end.settled(&client_side) == Settled::Yes);
    thread::scope(|scope| {
        scope.spawn(|| pod.write_all(&body[taken..]).expect("open"));
        scope.spawn(|| {
            let (mut left, mut buffer) = (body.len() - by_lane as usize, vec![0; 64 * 1024]);
            while left > 0 {
                let length = relay.read(&mut buffer).expect("more comes");
                client_side.write_all(&buffer[..length]).expect("open");
                left -= length;
            }
        });
        let mut got = vec![0; body.len()];
        client.read_exact(&mut got).expect("all of it comes");
        assert!(got == body, "it differs");
    });
}

#[test]
fn an_order_that_comes_too_late_is_not_taken_up_and_copying_goes_on() {
    let laid = lane();
    let (mut pod, mut relay, mut client) = laid.exchange();
    pod.write_all(b"earlier").expect("open");
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    // Neither the bytes on their way nor those behind them may overtake.
    pod.write_all(b"3\r\nabc\r\n").expect("open");
    thread::sleep(Duration::from_millis(20));
    assert_eq!(armed.standing(), Standing::Waiting);
    drop(armed);
    let mut got = [0; 64];
    assert_eq!(relay.read(&mut got[..3]).expect("both are there"), 3);
    // A part of what is here was read: not yet either.
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"1\r\nx\r\n").expect("open");
    thread::sleep(Duration::from_millis(20));
    assert_eq!(armed.standing(), Standing::Waiting);
    drop(armed);
    let mut read = 0;
    while read < 4 + 8 + 6 {
        read += relay.read(&mut got[read..]).expect("all are there");
    }
    assert_eq!(&got[..read], b"lier3\r\nabc\r\n1\r\nx\r\n");
    assert_eq!(laid.lane.counts().of(count::LATE), 2);
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"2\r\nhi\r\n").expect("open");
    client.read_exact(&mut got[..7]).expect("the chunk comes");
    assert_eq!(&got[..7], b"2\r\nhi\r\n");
    drop(armed);
}

#[test]
fn an_order_taken_back_redirects_nothing_more_and_the_next_one_does() {
    let laid = lane();
    let (mut pod, mut relay, mut client) = laid.exchange();
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"3\r\nabc\r\n").expect("open");
    assert!(matches!(armed.standing(), Standing::Riding(_)));
    assert_eq!(armed.progress().bytes, 8);
    drop(armed);
    pod.write_all(b"3\r\ndef\r\n").expect("open");
    let mut got = [0; 64];
    assert_eq!(relay.read(&mut got).expect("it comes here"), 8);
    client.read_exact(&mut got[..8]).expect("the first came");
    assert_eq!(laid.lane.counts().handed_over(reason::DISARMED), 1);
    // What was redirected counts into the position of what follows.
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"3\r\nghi\r\n").expect("open");
    client.read_exact(&mut got[..8]).expect("it comes");
    assert_eq!((&got[..8], armed.progress().bytes), (&b"3\r\nghi\r\n"[..], 8));
}

#[test]
fn a_router_that_writes_while_armed_is_told_that_bytes_are_foreign() {
    let laid = lane();
    let (mut pod, mut relay, mut client) = laid.exchange();
    let mut client_side = relay.client_side.try_clone().expect("open");
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"3\r\nabc\r\n").expect("open");
    client.read_exact(&mut [0; 8]).expect("it comes");
    assert_eq!(armed.settled(&client_side), Settled::Yes);
    client_side.write_all(b"?").expect("open");
    assert_eq!(armed.settled(&client_side), Settled::Never);
    pod.write_all(b"3\r\ndef\r\n").expect("open");
    let Standing::HandedOver(end) = armed.standing() else { panic!("{:?}", armed.standing()) };
    assert!(end.is_lossy() && end.reason == reason::DESYNC);
    assert_eq!(end.progress.bytes, 8);
}

/// What is written as soon as the hand-over is seen, and not when it is settled, may overtake; how often one must wait.
#[test]
fn what_the_router_writes_behind_a_hand_over_never_overtakes() {
    let laid = lane();
    let (mut pod, mut relay, mut client) = laid.exchange();
    let responses = 3_000;
    let response = chunked([&b"data: {}\n\n"[..], b"data: [DONE]\n\n"]);
    let (head, end) = (CHUNKED.len(), response.len() - 5);
    thread::scope(|scope| {
        let response = &response;
        scope.spawn(move || {
            for _ in 0..responses {
                client.write_all(b"?").expect("open");
                let mut got = vec![0; response.len()];
                client.read_exact(&mut got).expect("it comes");
                assert!(got == *response, "{}", got.escape_ascii());
            }
        });
        for _ in 0..responses {
            relay.client_side.read_exact(&mut [0]).expect("the client asks");
            pod.write_all(&response[..head]).expect("open");
            let mut sent = false;
            let told = relay.response_then(|_| {
                if !std::mem::replace(&mut sent, true) {
                    // As engines do it: the last event, and at once the end.
                    pod.write_all(&response[head..end]).expect("open");
                    pod.write_all(&response[end..]).expect("open");
                }
            });
            assert_eq!(told.expect("it is whole").by_lane as usize, end - head);
        }
    });
}

#[test]
fn a_pod_that_ends_in_the_middle_never_makes_a_clean_end() {
    end_in_the_middle(lane);
}

#[test]
fn a_pod_that_closes_its_half_behind_the_end_makes_a_whole_response() {
    let laid = lane();
    let (mut pod, mut relay, mut client) = laid.exchange();
    let response = chunked([&b"data: {}\n\n"[..]; 3]);
    let (head, rest) = response.split_at(CHUNKED.len());
    pod.write_all(head).expect("open");
    let mut sent = false;
    let told = relay.response_then(|_| {
        if !std::mem::replace(&mut sent, true) {
            pod.write_all(&rest[..rest.len() - 5]).expect("open");
            pod.write_all(&rest[rest.len() - 5..]).expect("open");
            pod.shutdown(std::net::Shutdown::Write).expect("open");
        }
    });
    assert_eq!(told.expect("it is whole").reasons, [reason::END]);
    let mut got = vec![0; response.len()];
    client.read_exact(&mut got).expect("it comes");
    assert!(got == response);
    assert_eq!(relay.read(&mut [0; 8]).expect("the end is seen"), 0);
    assert_eq!(laid.lane.counts().of(count::EMPTY), 1);
}

#[test]
fn a_client_that_goes_away_is_seen_by_the_router() {
    // What comes later is the router's again as soon as the socket is done for, and not redirected into nothing.
    let told = |sent: io::Result<usize>, standing| {
        sent.expect("the pod knows nothing of it");
        matches!(standing, Standing::HandedOver(end) if end.reason == reason::CLIENT)
    };
    leave(&lane(), false, told);
    leave(&lane(), true, told);
}

#[test]
fn a_client_that_is_behind_is_refused_before_anything_is_armed() {
    refuse_who_is_behind(&lane());
}

#[test]
fn bytes_that_come_between_reading_and_arming_never_overtake() {
    send_bursts(&lane(), 100);
}
