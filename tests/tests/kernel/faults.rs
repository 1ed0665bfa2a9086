//! Sides that are slow, early, or gone: nothing is lost in silence, nothing overtakes.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use warmlane_router::kernel::{Framing, Refusal, Side, Standing, count, reason};
use warmlane_tests::{
    eventually,
    lane::{Ends, Laid, Relay, dial},
};

use super::{CHUNKED, chunked, lane, of_length, pause};

/// A pod as event loops make it: it writes when the system says that it may, and counts how often that was not so.
fn write_as_an_event_loop(pod: &mut TcpStream, mut bytes: &[u8], refused: &AtomicU64) {
    pod.set_nonblocking(true).expect("open");
    while !bytes.is_empty() {
        match pod.write(&bytes[..bytes.len().min(250)]) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused.fetch_add(1, Relaxed);
                let timeout = Timespec { tv_sec: 20, tv_nsec: 0 };
                let ready = poll(&mut [PollFd::new(pod, PollFlags::OUT)], Some(&timeout)).expect("poll");
                assert!(ready > 0, "the pod is never woken");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_client_that_does_not_read_makes_its_pod_wait_and_nothing_spin() {
    let laid = lane();
    let (mut pod, mut relay, mut client) = laid.exchange();
    SockRef::from(&client).set_recv_buffer_size(32 * 1024).expect("open");
    SockRef::from(&relay.client_side).set_send_buffer_size(128 * 1024).expect("open");
    let chunk = [b'x'; 244];
    let response = chunked(std::iter::repeat_n(&chunk[..], 40_000));
    let (refused, armed) = (AtomicU64::new(0), AtomicBool::new(false));
    pod.write_all(CHUNKED.as_bytes()).expect("open");
    let told = thread::scope(|scope| {
        let router = scope.spawn(|| relay.response_then(|_| armed.store(true, Relaxed)));
        // A router that is slow has all of it to copy, and orders at its end only.
        eventually("it is ordered", || armed.load(Relaxed));
        scope.spawn(|| write_as_an_event_loop(&mut pod, &response[CHUNKED.len()..], &refused));
        let began = Instant::now();
        thread::sleep(Duration::from_millis(700));
        let spun = refused.load(Relaxed);
        assert!(spun < 1_000, "{spun} sends refused in {:?}", began.elapsed());
        let mut got = vec![0; response.len()];
        client.read_exact(&mut got).expect("all of it comes");
        assert!(got == response, "it differs");
        router.join().expect("no panic").expect("it is whole")
    });
    // A small machine is short of memory before.
    let full = |reason: &u32| matches!(*reason, reason::ROOM | reason::MEMORY);
    let lost = |reason: &u32| *reason == reason::DESYNC;
    assert!(told.reasons.iter().any(full) && !told.reasons.iter().any(lost), "{:?}", told.reasons);
    assert!(told.by_lane > 0 && told.by_copy > 0, "{told:?}");
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
    assert_eq!(relay.read(&mut got).expect("both are there"), 15);
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"2\r\nhi\r\n0\r\n\r\n").expect("open");
    eventually("it is handed over", || matches!(armed.standing(), Standing::HandedOver(_)));
    drop(armed);
    client.read_exact(&mut got[..7]).expect("the chunk comes");
    assert_eq!(&got[..7], b"2\r\nhi\r\n");
}

/// A pod sends bursts of so many chunks while the router orders again and again.
pub(super) fn send_bursts(laid: &Laid, chunks_at_once: usize) {
    let (mut pod, mut relay, mut client) = laid.exchange();
    let chunks: Vec<Vec<u8>> = (0..20_000).map(|at| format!("{at:06}").into()).collect();
    let response = chunked(chunks.iter().map(Vec::as_slice));
    let told = thread::scope(|scope| {
        scope.spawn(|| {
            for burst in response.chunks(37 * chunks_at_once) {
                burst.chunks(37).for_each(|piece| pod.write_all(piece).expect("open"));
                // A router that is slow reads all of it late, and so does not see the lane at all.
                pause(Duration::from_millis(1));
            }
        });
        let router = scope.spawn(|| relay.response());
        let mut got = vec![0; response.len()];
        client.read_exact(&mut got).expect("all of it comes");
        assert!(got == response, "it differs");
        router.join().expect("no panic").expect("it is whole")
    });
    assert!(told.by_lane > 0, "{told:?}");
}

#[test]
fn bytes_that_come_between_reading_and_arming_never_overtake() {
    send_bursts(&lane(), 500);
}

#[test]
fn an_order_taken_back_redirects_nothing_more() {
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
    assert_eq!(client.read(&mut got).expect("the first came"), 8);
    assert_eq!(laid.lane.counts().handed_over(reason::DISARMED), 1);
}

#[test]
fn what_a_pod_sends_once_its_end_has_left_is_looked_at_by_nobody() {
    let laid = lane();
    let Ends { mut pod, mut upstream, client_side, mut client } = laid.connect();
    let mut part = laid.lane.upstream(&upstream).expect("it may take part");
    let known = laid.lane.client(&client_side).expect("it may take part");
    let armed = part.arm(&known, &client_side, 0, Framing::chunked()).expect("there is room");
    pod.write_all(b"3\r\nabc\r\n").expect("open");
    assert!(matches!(armed.standing(), Standing::Riding(_)));
    drop(armed);
    part.leave();
    let seen = laid.lane.counts().of(count::MESSAGES);
    let (many, mut got) = (vec![b'x'; 1 << 20], vec![0; 1 << 20]);
    thread::scope(|scope| {
        scope.spawn(|| pod.write_all(&many).expect("open"));
        upstream.read_exact(&mut got).expect("it comes");
    });
    assert!(got == many);
    assert_eq!(laid.lane.counts().of(count::MESSAGES), seen);
    assert_eq!(client.read(&mut got).expect("what rode is here"), 8);
    assert_eq!(laid.lane.connections().0, 0, "its slot is free");
}

#[test]
fn what_rides_as_all_leave_goes_on_where_it_was() {
    let laid = lane();
    let (mut pod, mut relay, mut client) = laid.exchange();
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"3\r\nabc\r\n2\r\nd").expect("open");
    laid.lane.forget_pods();
    pod.write_all(b"e\r\n").expect("open");
    assert!(matches!(armed.standing(), Standing::Riding(_)));
    let rest = armed.framing();
    drop(armed);
    let mut got = [0; 14];
    assert_eq!(relay.read(&mut got).expect("the rest comes here"), 3);
    client.read_exact(&mut got[3..]).expect("what rode is here");
    assert_eq!(&got, b"e\r\n3\r\nabc\r\n2\r\nd".first_chunk().expect("so long"));
    assert_eq!(rest.remaining, 1);
    assert_eq!(relay.arm(Framing::chunked()).map(drop), Err(Refusal::Left));
}

#[test]
fn what_others_redirect_into_the_pods_socket_is_not_overtaken() {
    // The pod is a router whose own lane, towards its own pod, has this one's upstream for a client.
    let (inner, outer) = (lane(), lane());
    let mut behind = inner.connect_from(|front| dial(&outer.lane, Side::Local, front));
    let ends = outer.connect();
    let relay =
        |laid: &Laid, upstream, client_side| Relay::new(&laid.lane, upstream, client_side).expect("they may");
    let (mut client, mut pod) = (ends.client, behind.client_side.try_clone().expect("open"));
    let mut router = relay(&outer, behind.client, ends.client_side);
    let mut pods_relay = relay(&inner, behind.upstream, behind.client_side);
    let armed = router.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"3\r\nabc\r\n").expect("open");
    let mut got = [0; 64];
    assert_eq!(client.read(&mut got).expect("it takes the lane"), 8);
    let pods_armed = pods_relay.arm(Framing::chunked()).expect("there is room");
    behind.pod.write_all(b"3\r\ndef\r\n").expect("open");
    assert!(matches!(pods_armed.standing(), Standing::Riding(_)));
    drop(pods_armed);
    assert!(matches!(armed.standing(), Standing::Riding(_)), "no program has seen it");
    pod.write_all(b"3\r\nghi\r\n").expect("open");
    let Standing::HandedOver(end) = armed.standing() else { panic!("{:?}", armed.standing()) };
    assert_eq!((end.reason, end.progress.bytes, end.framing), (reason::FOREIGN, 8, Framing::chunked()));
    drop(armed);
    let mut both = [0; 16];
    router.upstream.read_exact(&mut both).expect("both are for the router");
    assert_eq!(&both, b"3\r\ndef\r\n3\r\nghi\r\n");
}

#[test]
fn a_router_that_writes_while_armed_is_told_that_bytes_are_foreign() {
    let laid = lane();
    let (mut pod, mut relay, _client) = laid.exchange();
    let mut client_side = relay.client_side.try_clone().expect("open");
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"3\r\nabc\r\n").expect("open");
    client_side.write_all(b"?").expect("open");
    pod.write_all(b"3\r\ndef\r\n").expect("open");
    let Standing::HandedOver(end) = armed.standing() else { panic!("{:?}", armed.standing()) };
    assert!(end.is_lossy() && end.reason == reason::DESYNC);
    assert_eq!(end.progress.bytes, 8);
}

/// Rides up to the middle of a response, then something happens to the pod.
fn cut_short(
    laid: &Laid,
    kill: impl FnOnce(TcpStream),
    response: &[u8],
    head: usize,
) -> (io::Result<()>, Vec<u8>) {
    let (mut pod, mut relay, mut client) = laid.exchange();
    let (sent, rest) = response.split_at(response.len() / 2);
    assert!(!rest.is_empty());
    pod.write_all(&sent[..head]).expect("open");
    let mut killed = Some((pod, kill));
    let passed_on = relay.response_then(|_| {
        if let Some((mut pod, kill)) = killed.take() {
            pod.write_all(&sent[head..]).expect("open");
            kill(pod);
        }
    });
    drop(relay);
    let mut got = Vec::new();
    let _ = client.read_to_end(&mut got);
    (passed_on.map(drop), got)
}

/// Pods that end in the middle, each way with each kind of body.
pub(super) fn end_in_the_middle(lane: fn() -> Laid) {
    let body = [b'z'; 1_000];
    let both = [chunked([&body[..]; 20]), of_length(20_000)];
    for response in both {
        let head = response.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let reset = |pod: TcpStream| {
            SockRef::from(&pod).set_linger(Some(Duration::ZERO)).expect("open");
        };
        for (passed_on, got) in
            [cut_short(&lane(), drop, &response, head), cut_short(&lane(), reset, &response, head)]
        {
            assert!(passed_on.is_err(), "the router must see it");
            // All that was sent came, and no more: what the head promised is not there.
            assert!(got == response[..response.len() / 2], "{} of {}", got.len(), response.len());
        }
    }
}

#[test]
fn a_pod_that_ends_in_the_middle_never_makes_a_clean_end() {
    end_in_the_middle(lane);
}

/// Rides, then the client goes away, and `told` holds once its pod goes on to send.
pub(super) fn leave(laid: &Laid, reset: bool, told: fn(io::Result<usize>, Standing) -> bool) {
    let (mut pod, mut relay, mut client) = laid.exchange();
    let client_side = relay.client_side.try_clone().expect("open");
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.write_all(b"3\r\nabc\r\n").expect("open");
    client.read_exact(&mut [0; 8]).expect("it comes");
    if reset {
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("open");
    }
    drop(client);
    eventually("the router sees it on the client's socket", || {
        let mut watched = [PollFd::new(&client_side, PollFlags::RDHUP)];
        poll(&mut watched, Some(&Timespec::default())).expect("poll") > 0
    });
    pod.set_nonblocking(true).expect("open");
    eventually("it is told", || told(pod.write(b"3\r\ndef\r\n"), armed.standing()));
    drop(armed);
    drop(relay);
    eventually("the pod's connection ends", || pod.write(b"x").is_err());
}

#[test]
fn a_client_that_goes_away_is_seen_by_router_and_pod() {
    // The pod is told by itself, before the router does anything: its sends fail or come here.
    let told =
        |sent: io::Result<usize>, standing| sent.is_err() || matches!(standing, Standing::HandedOver(_));
    leave(&lane(), false, told);
    leave(&lane(), true, told);
}

pub(super) fn refuse_who_is_behind(laid: &Laid) {
    let (_pod, mut relay, client) = laid.exchange();
    relay.client_side.set_nonblocking(true).expect("open");
    while relay.client_side.write(&[0; 16 * 1024]).is_ok() {}
    assert_eq!(relay.arm(Framing::chunked()).map(drop), Err(Refusal::Behind));
    drop(client);
}

#[test]
fn a_client_that_is_behind_is_refused_before_anything_is_armed() {
    refuse_who_is_behind(&lane());
}

#[test]
fn a_client_that_left_before_the_first_message_hands_over() {
    let laid = lane();
    let ends = laid.connect();
    let mut pod = ends.pod;
    let mut relay = Relay::new(&laid.lane, ends.upstream, ends.client_side).expect("they may");
    pod.write_all(CHUNKED.as_bytes()).expect("open");
    drop(ends.client);
    let mut buffer = [0; 256];
    relay.read(&mut buffer).expect("the head");
    let armed = relay.arm(Framing::chunked()).expect("there is room");
    pod.set_nonblocking(true).expect("open");
    // It may go into the void once; then it is known.
    eventually("the pod is told", || {
        pod.write(b"3\r\nabc\r\n").is_err() || matches!(armed.standing(), Standing::HandedOver(_))
    });
}
