//! What `--check` says of the lane, and what the router and the kernel programs both must take for an event of failure.

use std::{io, sync::Mutex};

use warmlane_abi::failure::{FOUND, NONE, OPENINGS, START, advance};
use warmlane_engine::sse::payload::begins_with_failure;

use super::*;

#[test]
fn kernel_programs_that_are_named_and_cannot_be_read_are_told_where_the_lane_is_wanted() {
    let told = |mode, object: &str| {
        let mut config = Config::for_endpoints(vec!["a:1".to_owned()]);
        (config.lane.mode, config.lane.object) = (mode, object.into());
        Lane::check(&config)
    };
    for object in ["/nowhere/lane.o", "/"] {
        let why = told(LaneMode::Pinned, object).expect_err("it is no file");
        assert!(why.contains(&format!("cannot be read at {object}: ")), "{why}");
        assert_eq!(told(LaneMode::Off, object), Ok(()));
    }
    assert_eq!(told(LaneMode::All, ""), Ok(()), "they may be beside the router that starts");
    assert_eq!(told(LaneMode::All, "/proc/self/exe"), Ok(()));
}

/// What is logged to it.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_keeps_pods_of_all_nodes_off_the_lane_is_said_in_one_line() {
    let mut config = Config::for_endpoints(vec!["a:1".to_owned()]);
    (config.lane.mode, config.lane.remote) = (LaneMode::All, RemoteLane::On);
    config.lane.object = "/nowhere/lane.o".into();
    let log = Said::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || Lane::lay(&config));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("/nowhere/lane.o").count(), 1, "{text}");
}

/// Whether the kernel programs leave a chunk that begins so to the router.
fn is_left(event: &[u8]) -> bool {
    let mut mark = START;
    for byte in event {
        mark = advance(mark, *byte);
        if mark == NONE || mark == FOUND {
            break;
        }
    }
    mark == FOUND
}

/// An event of failure in both ways to space its field, the space being the one in `event`.
fn spaced(event: &str) -> [String; 2] {
    [event.to_owned(), event.replacen(": ", ":", 1)]
}

#[test]
fn the_programs_leave_to_the_router_what_it_takes_for_a_failure() {
    let failures = [
        "data: {\"error\":{\"message\":\"x\",\"code\":500}}\n\n",
        "data: {\"error\": {\"message\": \"x\", \"type\": \"InternalServerError\"}}\n\n",
        "data: {\"type\":\"error\",\"error\":{\"message\":\"x\"}}\n\n",
        "data: {\"type\": \"error\", \"error\": {\"message\": \"x\"}}\n\n",
        "event: error\ndata: {\"type\":\"error\"}\n\n",
        "event: response.failed\ndata: {}\n\n",
    ]
    .map(spaced)
    .concat();
    for event in &failures {
        assert!(begins_with_failure(event.as_bytes()) && is_left(event.as_bytes()), "{event:?}");
    }
    for opening in OPENINGS {
        let told = failures.iter().any(|event| event.as_bytes().starts_with(opening));
        assert!(told, "{} begins nothing that the router hears", opening.escape_ascii());
    }
}

#[test]
fn what_is_the_clients_fault_is_left_to_the_router_which_tells_it_apart() {
    for event in spaced("data: {\"error\":{\"message\":\"x\",\"code\":400}}\n\n") {
        assert!(is_left(event.as_bytes()) && !begins_with_failure(event.as_bytes()), "{event:?}");
    }
}

#[test]
fn tokens_are_left_by_neither() {
    let tokens = [
        "data: {\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"data: {\\\"error\\\":1}\"}]}\n\n",
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"error\"}}\n\n",
        "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
        "data: [DONE]\n\n",
    ];
    for event in tokens.map(spaced).concat() {
        assert!(!is_left(event.as_bytes()) && !begins_with_failure(event.as_bytes()), "{event:?}");
    }
}

/// What `warmlane_abi::failure` says of itself: known, and told in docs/LANE.md.
#[test]
fn a_failure_that_engines_do_not_spell_so_rides() {
    for event in ["data:  {\"error\":{\"message\":\"x\"}}\n\n", "data: { \"error\":{\"message\":\"x\"}}\n\n"]
    {
        assert!(begins_with_failure(event.as_bytes()) && !is_left(event.as_bytes()), "{event:?}");
    }
}
