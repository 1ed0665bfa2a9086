//! Whole responses: the client gets what the pod sent, however it was cut.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use warmlane_router::kernel::{count, reason};
use warmlane_tests::lane::Laid;

use super::{
    super::{
        CHUNKED, LOOPBACK,
        bodies::{both_kinds, cut_ends_everywhere, deliver, keep_alive},
        chunked,
        fuzz::{Totals, try_numbers},
    },
    lane,
};

#[test]
fn the_self_test_passes() {
    let laid = lane();
    laid.lane.self_test_remote().unwrap_or_else(|error| panic!("{error}"));
    // Pods of this node take the lane as ever.
    laid.lane.self_test().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn tokens_that_come_one_by_one_take_the_lane_to_the_last_packet() {
    for address in [IpAddr::from(LOOPBACK), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let laid = Laid::remote(address);
        for response in both_kinds() {
            let head = response.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
            let cuts: Vec<usize> = (head..response.len()).step_by(100).collect();
            let told = deliver(&laid, &[(response.clone(), cuts)], Duration::from_millis(1)).remove(0);
            assert_eq!(told.by_lane + told.by_copy, (response.len() - head) as u64, "{told:?}");
            // What comes before the first order is given is copied, with the packet that the end lies in.
            assert!(told.by_copy <= 400 && told.reasons == [reason::END], "{address}: {told:?}");
        }
        let counts = laid.lane.counts();
        assert_eq!((counts.of(count::REMOTES), counts.of(count::PODS)), (2, 0));
        assert_eq!(counts.of(count::MESSAGES), 0, "a pod elsewhere sends no messages here");
    }
}

#[test]
fn an_end_cut_at_every_byte_is_seen() {
    cut_ends_everywhere(&lane(), 8);
}

#[test]
fn a_packet_with_more_chunks_than_a_run_can_read_goes_to_the_router_whole() {
    let laid = lane();
    let event = b"data: {}\n\n0\r\n\r\n";
    let response = |count: usize| chunked(std::iter::repeat_n(&event[..], count));
    let few = (response(12), vec![CHUNKED.len(), CHUNKED.len() + 12 * 20]);
    let many = (response(200), vec![CHUNKED.len(), CHUNKED.len() + 200 * 20]);
    let told = deliver(&laid, &[few, many], Duration::from_millis(20));
    assert_eq!((told[0].by_lane, &*told[0].reasons), (240, &[reason::END][..]), "{told:?}");
    assert_eq!((told[1].by_lane, told[1].reasons[0]), (0, reason::STEPS), "{told:?}");
}

#[test]
fn hundreds_of_responses_follow_each_other_on_one_connection() {
    keep_alive(&lane());
}

#[test]
fn a_packet_that_tells_of_a_failure_is_left_to_user_space() {
    let laid = lane();
    let failure = b"data: {\"error\": {\"code\": 500, \"message\": \"engine died\"}}\n\n";
    let event = b"data: {\"id\":\"cmpl-1\",\"choices\":[]}\n\n";
    let response = chunked([&event[..], event, failure, b"data: [DONE]\n\n"]);
    let line = CHUNKED.len() + 2 * (event.len() + 6);
    // In a packet with what stands before it, that goes to user space too.
    for (cuts, by_lane) in [(vec![CHUNKED.len()], 0), (vec![CHUNKED.len(), line], 2 * (event.len() + 6))] {
        let told = deliver(&laid, &[(response.clone(), cuts)], Duration::from_millis(20)).remove(0);
        assert_eq!((told.reasons[0], told.by_lane), (reason::FAILURE, by_lane as u64), "{told:?}");
    }
}

#[test]
fn whatever_a_pod_sends_comes_as_it_was_sent() {
    let Totals { by_lane, all, why } = try_numbers(&lane());
    assert!(by_lane > 0, "nothing of {all} bytes took the lane");
    // A small machine is short of memory before.
    let full = why[reason::ROOM as usize] + why[reason::MEMORY as usize];
    assert!(full > 0 && why[reason::END as usize] > 0 && why[reason::STEPS as usize] > 0, "{why:?}");
}
