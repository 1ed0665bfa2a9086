//! Whole responses: the client gets what the pod sent, however it was cut.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv6Addr, TcpStream},
    thread,
    time::Duration,
};

use warmlane_router::kernel::reason;
use warmlane_tests::lane::{Laid, Told};

use super::{CHUNKED, LOOPBACK, chunked, cut, lane, of_length, send};

/// Has each response sent in its pieces over one kept-alive connection, asked for by a byte from the client, and checks
/// what the client gets.
pub(super) fn deliver(laid: &Laid, responses: &[(Vec<u8>, Vec<usize>)], pause: Duration) -> Vec<Told> {
    let (mut pod, mut relay, mut client) = laid.exchange();
    thread::scope(|scope| {
        scope.spawn(move || {
            for (response, cuts) in responses {
                pod.read_exact(&mut [0]).expect("it is asked");
                send(&mut pod, &cut(response, cuts), pause);
            }
        });
        scope.spawn(move || {
            for (at, (response, cuts)) in responses.iter().enumerate() {
                client.write_all(b"?").expect("open");
                let mut got = vec![0; response.len()];
                client.read_exact(&mut got).unwrap_or_else(|error| panic!("{at}: {error}"));
                assert!(got == *response, "response {at} differs, cut at {cuts:?}");
            }
            assert_silent(&mut client);
        });
        let told = (0..responses.len()).map(|at| {
            relay.client_side.read_exact(&mut [0]).expect("the client asks");
            relay.upstream.write_all(b"?").expect("open");
            relay.response().unwrap_or_else(|error| panic!("{at}: {error}"))
        });
        told.collect()
    })
}

/// Nothing comes behind the last response.
fn assert_silent(client: &mut TcpStream) {
    client.set_read_timeout(Some(Duration::from_millis(50))).expect("open");
    assert!(client.read(&mut [0; 64]).is_err(), "bytes behind the last response");
}

pub(super) fn both_kinds() -> [Vec<u8>; 2] {
    let events: Vec<Vec<u8>> = (0..50).map(|at| format!("data: {{\"id\":\"{at}\"}}\n\n").into()).collect();
    [chunked(events.iter().map(Vec::as_slice)), of_length(5_000)]
}

#[test]
fn the_self_test_passes() {
    let laid = lane();
    laid.lane.self_test().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn tokens_that_come_one_by_one_take_the_lane_to_the_last() {
    for address in [IpAddr::from(LOOPBACK), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let laid = Laid::over(address);
        for response in both_kinds() {
            let head = response.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
            let cuts: Vec<usize> = (head..response.len()).step_by(100).collect();
            let told = deliver(&laid, &[(response.clone(), cuts)], Duration::from_millis(1)).remove(0);
            let tail = if response.ends_with(b"0\r\n\r\n") { 5 } else { 1 };
            let body = (response.len() - head) as u64;
            assert_eq!(told.by_lane + told.by_copy, body, "{told:?}");
            // What comes before the first order is given is copied, with what the end leaves.
            assert!(told.by_copy <= 300 + tail && told.reasons == [reason::END], "{address}: {told:?}");
        }
    }
}

/// Of responses that are cut at every byte, at least one in so many takes the lane.
pub(super) fn cut_ends_everywhere(laid: &Laid, one_in: usize) {
    let bodies = [
        format!("{CHUNKED}5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"),
        format!("{CHUNKED}3\r\nabc\r\n0000A\r\n0123456789\r\n000;last\r\nx-trailer: 1\r\ny: 2\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789".to_owned(),
    ];
    for pause in [0, 200] {
        let mut responses = Vec::new();
        for body in &bodies {
            let body = body.as_bytes();
            for first in 0..body.len() {
                responses.extend([1, 2, 5].map(|more| (body.to_vec(), vec![first, first + more])));
            }
            responses.push((body.to_vec(), (0..body.len()).collect()));
        }
        let told = deliver(laid, &responses, Duration::from_micros(pause));
        if pause > 0 {
            let ridden = told.iter().filter(|told| told.by_lane > 0).count();
            assert!(ridden > responses.len() / one_in, "{ridden} of {}", responses.len());
        }
    }
}

#[test]
fn an_end_cut_at_every_byte_is_seen() {
    cut_ends_everywhere(&lane(), 4);
}

#[test]
fn one_to_a_thousand_chunks_in_one_send_are_followed() {
    let laid = lane();
    let mut responses = Vec::new();
    for count in [1, 2, 4, 5, 17, 100, 1_000] {
        let chunks: Vec<Vec<u8>> = (0..count).map(|at| format!("{at}\n0\r\n\r\n").into()).collect();
        let response = chunked(chunks.iter().map(Vec::as_slice));
        // The head alone, as engines send it.
        responses.push((response, vec![CHUNKED.len()]));
    }
    let told = deliver(&laid, &responses, Duration::from_millis(20));
    for (told, (response, _)) in told.iter().zip(&responses) {
        assert_eq!(
            (told.by_lane as usize, told.by_copy),
            (response.len() - CHUNKED.len() - 5, 5),
            "{told:?}"
        );
        assert_eq!(told.reasons, [reason::END]);
    }
    assert_eq!(told.last().expect("some").chunks, 1_000);
}

/// Most of hundreds of responses on one connection take the lane.
pub(super) fn keep_alive(laid: &Laid) {
    let responses: Vec<_> = (0..400)
        .map(|at| {
            let data = format!("data: {at}\n\n").into_bytes();
            let response = if at % 3 == 2 { of_length(at) } else { chunked([&*data; 5]) };
            (response, vec![CHUNKED.len(), CHUNKED.len() + 7 + at % 40])
        })
        .collect();
    let told = deliver(laid, &responses, Duration::from_micros(300));
    let ridden = told.iter().filter(|told| told.by_lane > 0).count();
    assert!(ridden > 200, "{ridden} of 400 took the lane");
}

#[test]
fn hundreds_of_responses_follow_each_other_on_one_connection() {
    keep_alive(&lane());
}

#[test]
fn a_chunk_that_tells_of_a_failure_is_left_to_user_space() {
    let laid = lane();
    let failure = b"data: {\"error\": {\"code\": 500, \"message\": \"engine died\"}}\n\n";
    let event = b"data: {\"id\":\"cmpl-1\",\"choices\":[]}\n\n";
    let response = chunked([&event[..], event, failure, b"data: [DONE]\n\n"]);
    let line = CHUNKED.len() + 2 * (event.len() + 6);
    for cuts in [vec![CHUNKED.len()], vec![CHUNKED.len(), line]] {
        let told = deliver(&laid, &[(response.clone(), cuts)], Duration::from_millis(20)).remove(0);
        assert_eq!(told.reasons[0], reason::FAILURE, "{told:?}");
        assert_eq!((told.by_lane, told.chunks), (2 * (event.len() as u64 + 6), 2));
    }
}
