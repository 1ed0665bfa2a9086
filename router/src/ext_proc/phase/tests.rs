use proptest::prelude::*;

use super::*;

fn phase(request: BodyMode, response: BodyMode) -> Phase {
    Phase::new(Modes { request, response })
}

fn duplex() -> Phase {
    Phase::new(Modes::default())
}

fn head(end: bool, body_decides: bool) -> Event {
    Event::RequestHeaders { end, body_decides }
}

const BODY: Event = Event::RequestBody { end: false };
const LAST: Event = Event::RequestBody { end: true };

#[test]
fn a_request_with_a_body_is_decided_at_its_end() {
    let mut phase = duplex();
    assert_eq!(phase.waits_for(), Wait::Head);
    assert_eq!(phase.on(head(false, true)), Ok(Step::Keep));
    assert_eq!(phase.waits_for(), Wait::Body);
    assert_eq!(phase.on(BODY), Ok(Step::Keep));
    assert_eq!(phase.on(LAST), Ok(Step::Decide { trailers: false }));
    assert_eq!(phase.on(BODY), Ok(Step::Ignore), "behind the end");
    assert_eq!(phase.waits_for(), Wait::Response);
    assert_eq!(phase.on(Event::ResponseHeaders { end: false }), Ok(Step::AnswerResponse));
    assert_eq!(phase.on(Event::ResponseBody { end: false }), Ok(Step::PassResponse { end: false }));
    assert_eq!(phase.waits_for(), Wait::ResponseBody);
    assert_eq!(phase.on(Event::ResponseTrailers), Ok(Step::PassResponseTrailers));
    assert_eq!(phase.on(Event::ResponseBody { end: true }), Ok(Step::Ignore), "behind the end");
    assert_eq!(phase.waits_for(), Wait::Close);
}

#[test]
fn trailers_end_a_body() {
    let mut phase = duplex();
    phase.on(head(false, true)).expect("head");
    phase.on(BODY).expect("body");
    assert_eq!(phase.on(Event::RequestTrailers), Ok(Step::Decide { trailers: true }));
    assert_eq!(phase.on(Event::RequestTrailers), Ok(Step::Ignore));
}

#[test]
fn what_needs_no_body_is_decided_at_once_and_its_body_passed_on() {
    let mut phase = duplex();
    assert_eq!(phase.on(head(true, true)), Ok(Step::DecideByHead), "there is none");
    let mut phase = duplex();
    assert_eq!(phase.on(head(false, false)), Ok(Step::DecideByHead), "it is not looked at");
    assert_eq!(phase.on(BODY), Ok(Step::PassRequest { end: false }));
    assert_eq!(phase.on(Event::RequestTrailers), Ok(Step::PassRequestTrailers));
}

#[test]
fn a_gateway_that_keeps_bodies_is_answered_by_the_head() {
    let mut phase = phase(BodyMode::None, BodyMode::None);
    assert_eq!(phase.on(head(false, true)), Ok(Step::DecideByHead));
    assert_eq!(phase.waits_for(), Wait::Response);
    phase.on(Event::ResponseHeaders { end: false }).expect("response");
    assert_eq!(phase.waits_for(), Wait::Close, "no body comes");
}

#[test]
fn a_buffered_body_is_whole_and_its_head_was_answered_before() {
    for end in [true, false] {
        let mut phase = phase(BodyMode::Buffered, BodyMode::Buffered);
        assert_eq!(phase.on(head(false, true)), Ok(Step::GoOn));
        assert_eq!(phase.on(Event::RequestBody { end }), Ok(Step::DecideInBody));
        let trailers = if end { Step::Ignore } else { Step::PassRequestTrailers };
        assert_eq!(phase.on(Event::RequestTrailers), Ok(trailers));
    }
}

#[test]
fn modes_that_show_no_body_before_the_head_is_answered_are_refused() {
    for mode in [BodyMode::Streamed, BodyMode::BufferedPartial, BodyMode::Grpc] {
        assert_eq!(phase(mode, BodyMode::None).on(head(false, true)), Err(Violation::Mode(mode)));
        assert_eq!(phase(mode, BodyMode::None).on(head(false, false)), Ok(Step::DecideByHead));
    }
}

#[test]
fn what_no_envoy_sends_is_named() {
    let wrong = [
        (vec![BODY], Violation::NoRequestHeaders),
        (vec![Event::RequestTrailers], Violation::NoRequestHeaders),
        (vec![head(true, false), head(true, false)], Violation::SecondRequest),
        (vec![Event::ResponseHeaders { end: false }], Violation::NoRequest),
        (vec![head(true, false), Event::ResponseBody { end: false }], Violation::NoResponseHeaders),
        (vec![head(true, false), Event::ResponseTrailers], Violation::NoResponseHeaders),
    ];
    for (events, violation) in wrong {
        let mut phase = duplex();
        let last = events.into_iter().map(|event| phase.on(event)).last();
        assert_eq!(last, Some(Err(violation)));
    }
    let mut phase = duplex();
    let response = Event::ResponseHeaders { end: true };
    phase.on(head(true, false)).and_then(|_| phase.on(response)).expect("one response");
    assert_eq!(phase.on(response), Err(Violation::SecondResponse));
}

#[test]
fn an_answer_of_envoys_own_ends_a_request_that_is_still_collected() {
    let mut phase = duplex();
    phase.on(head(false, true)).expect("head");
    assert_eq!(phase.on(Event::ResponseHeaders { end: false }), Ok(Step::AnswerResponse));
    assert_eq!(phase.on(LAST), Ok(Step::Ignore));
    assert_eq!(phase.waits_for(), Wait::ResponseBody);
}

fn any_mode() -> impl Strategy<Value = BodyMode> {
    prop_oneof![
        Just(BodyMode::None),
        Just(BodyMode::Streamed),
        Just(BodyMode::Buffered),
        Just(BodyMode::BufferedPartial),
        Just(BodyMode::FullDuplexStreamed),
        Just(BodyMode::Grpc),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let ends = any::<(bool, bool)>();
    (0..6, ends).prop_map(|(kind, (end, body_decides))| match kind {
        0 => Event::RequestHeaders { end, body_decides },
        1 => Event::RequestBody { end },
        2 => Event::RequestTrailers,
        3 => Event::ResponseHeaders { end },
        4 => Event::ResponseBody { end },
        _ => Event::ResponseTrailers,
    })
}

proptest! {
    /// Whatever comes: one decision at most, nothing of a body passed on before it, nothing after an end.
    #[test]
    fn no_order_of_events_decides_twice(
        modes in (any_mode(), any_mode()),
        events in proptest::collection::vec(any_event(), 0..12),
    ) {
        let mut phase = phase(modes.0, modes.1);
        let (mut decided, mut ended) = (0, false);
        for event in events {
            let Ok(step) = phase.on(event) else { break };
            match step {
                Step::DecideByHead | Step::Decide { .. } | Step::DecideInBody => decided += 1,
                Step::PassRequest { end } => {
                    prop_assert!(decided == 1 && !ended);
                    ended = end;
                }
                _ => {}
            }
            prop_assert!(decided <= 1);
        }
    }
}
