use proptest::prelude::*;

use super::*;

fn phase(request: BodyMode, response: BodyMode) -> Phase {
    Phase::new(Modes { request, response })
}

fn duplex() -> Phase {
    Phase::new(Modes::default())
}

fn head(end: bool, body_decides: bool) -> RequestEvent {
    RequestEvent::Headers { end, body_decides }
}

const BODY: RequestEvent = RequestEvent::Body { end: false };
const LAST: RequestEvent = RequestEvent::Body { end: true };
const RESPONSE: ResponseEvent = ResponseEvent::Headers { end: false };

#[test]
fn a_request_with_a_body_is_decided_at_its_end() {
    let mut phase = duplex();
    assert_eq!(phase.waits_for(), Wait::Head);
    assert_eq!(phase.on_request(head(false, true)), Ok(RequestStep::Keep));
    assert_eq!(phase.waits_for(), Wait::Body);
    assert_eq!(phase.on_request(BODY), Ok(RequestStep::Keep));
    assert_eq!(phase.on_request(LAST), Ok(RequestStep::Decide { trailers: false }));
    assert_eq!(phase.on_request(BODY), Ok(RequestStep::Ignore), "behind the end");
    assert_eq!(phase.waits_for(), Wait::Response);
    assert_eq!(phase.on_response(RESPONSE), Ok(ResponseStep::Answer));
    assert_eq!(phase.on_response(ResponseEvent::Body { end: false }), Ok(ResponseStep::Answer));
    assert_eq!(phase.waits_for(), Wait::ResponseBody);
    assert_eq!(phase.on_response(ResponseEvent::Trailers), Ok(ResponseStep::Answer));
    assert_eq!(
        phase.on_response(ResponseEvent::Body { end: true }),
        Ok(ResponseStep::Ignore),
        "behind the end"
    );
    assert_eq!(phase.waits_for(), Wait::Close);
}

#[test]
fn trailers_end_a_body() {
    let mut phase = duplex();
    phase.on_request(head(false, true)).expect("head");
    phase.on_request(BODY).expect("body");
    assert_eq!(phase.on_request(RequestEvent::Trailers), Ok(RequestStep::Decide { trailers: true }));
    assert_eq!(phase.on_request(RequestEvent::Trailers), Ok(RequestStep::Ignore));
}

#[test]
fn what_needs_no_body_is_decided_at_once_and_its_body_passed_on() {
    let mut phase = duplex();
    assert_eq!(phase.on_request(head(true, true)), Ok(RequestStep::DecideByHead), "there is none");
    let mut phase = duplex();
    assert_eq!(phase.on_request(head(false, false)), Ok(RequestStep::DecideByHead), "it is not looked at");
    assert_eq!(phase.on_request(BODY), Ok(RequestStep::Pass { end: false }));
    assert_eq!(phase.on_request(RequestEvent::Trailers), Ok(RequestStep::PassTrailers));
}

#[test]
fn a_gateway_that_keeps_bodies_is_answered_by_the_head() {
    let mut phase = phase(BodyMode::None, BodyMode::None);
    assert_eq!(phase.on_request(head(false, true)), Ok(RequestStep::DecideByHead));
    assert_eq!(phase.waits_for(), Wait::Response);
    phase.on_response(RESPONSE).expect("response");
    assert_eq!(phase.waits_for(), Wait::Close, "no body comes");
}

#[test]
fn a_buffered_body_is_whole_and_its_head_was_answered_before() {
    for end in [true, false] {
        let mut phase = phase(BodyMode::Buffered, BodyMode::Buffered);
        assert_eq!(phase.on_request(head(false, true)), Ok(RequestStep::GoOn));
        assert_eq!(phase.on_request(RequestEvent::Body { end }), Ok(RequestStep::DecideInBody));
        let trailers = if end { RequestStep::Ignore } else { RequestStep::PassTrailers };
        assert_eq!(phase.on_request(RequestEvent::Trailers), Ok(trailers));
    }
}

#[test]
fn modes_that_show_no_body_before_the_head_is_answered_are_refused() {
    for mode in [BodyMode::Streamed, BodyMode::BufferedPartial, BodyMode::Grpc] {
        assert_eq!(phase(mode, BodyMode::None).on_request(head(false, true)), Err(Violation::Mode(mode)));
        assert_eq!(phase(mode, BodyMode::None).on_request(head(false, false)), Ok(RequestStep::DecideByHead));
    }
}

#[test]
fn what_no_envoy_sends_is_named() {
    let wrong = [
        (vec![BODY], Violation::NoRequestHeaders),
        (vec![RequestEvent::Trailers], Violation::NoRequestHeaders),
        (vec![head(true, false), head(true, false)], Violation::SecondRequest),
    ];
    for (events, violation) in wrong {
        let mut phase = duplex();
        let last = events.into_iter().map(|event| phase.on_request(event)).last();
        assert_eq!(last, Some(Err(violation)));
    }
    for first in [RESPONSE, ResponseEvent::Body { end: false }, ResponseEvent::Trailers] {
        let mut phase = duplex();
        phase.on_request(head(true, false)).expect("a request");
        phase.on_response(first).expect("a response");
        assert_eq!(phase.on_response(RESPONSE), Err(Violation::SecondResponse), "after {first:?}");
    }
}

#[test]
fn an_answer_of_envoys_own_ends_a_request_that_is_awaited_or_collected() {
    for sent in [vec![], vec![head(false, true)]] {
        let mut phase = duplex();
        sent.iter().for_each(|event| assert!(phase.on_request(*event).is_ok()));
        assert_eq!(phase.on_response(RESPONSE), Ok(ResponseStep::Answer));
        assert_eq!(phase.on_request(LAST), Ok(RequestStep::Ignore));
        assert_eq!(phase.on_request(head(true, true)), Err(Violation::SecondRequest));
        assert_eq!(phase.waits_for(), Wait::ResponseBody);
    }
}

#[test]
fn a_response_may_come_without_its_head() {
    for (event, waits_for) in [
        (ResponseEvent::Body { end: false }, Wait::ResponseBody),
        (ResponseEvent::Body { end: true }, Wait::Close),
        (ResponseEvent::Trailers, Wait::Close),
    ] {
        let mut phase = duplex();
        phase.on_request(head(true, false)).expect("a request");
        assert_eq!(phase.on_response(event), Ok(ResponseStep::Answer));
        assert_eq!(phase.waits_for(), waits_for);
    }
}

#[test]
fn modes_are_learnt_before_anything_has_come() {
    let mut phase = duplex();
    let modes = Modes { request: BodyMode::Buffered, response: BodyMode::None };
    phase.learn(modes);
    phase.on_request(head(false, true)).expect("head");
    phase.learn(Modes::default());
    assert_eq!(phase.modes(), modes);
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

fn any_event() -> impl Strategy<Value = RequestEvent> {
    prop_oneof![
        any::<(bool, bool)>().prop_map(|(end, body_decides)| head(end, body_decides)),
        any::<bool>().prop_map(|end| RequestEvent::Body { end }),
        Just(RequestEvent::Trailers),
    ]
}

fn any_response() -> impl Strategy<Value = ResponseEvent> {
    prop_oneof![
        any::<bool>().prop_map(|end| ResponseEvent::Headers { end }),
        any::<bool>().prop_map(|end| ResponseEvent::Body { end }),
        Just(ResponseEvent::Trailers),
    ]
}

proptest! {
    /// Whatever comes: one decision at most, and none once a response has begun; nothing of a body passed on before it,
    /// nothing after an end, no answer to a response after its end.
    #[test]
    fn no_order_of_events_decides_twice_or_answers_what_is_over(
        modes in (any_mode(), any_mode()),
        events in proptest::collection::vec(prop_oneof![any_event().prop_map(Ok), any_response().prop_map(Err)], 0..12),
    ) {
        let mut phase = phase(modes.0, modes.1);
        let (mut decided, mut ended, mut begun, mut over) = (0, false, false, false);
        for event in events {
            match event {
                Ok(event) => match phase.on_request(event) {
                    Ok(RequestStep::DecideByHead | RequestStep::Decide { .. } | RequestStep::DecideInBody) => {
                        decided += 1;
                        prop_assert!(decided == 1 && !begun);
                    }
                    Ok(RequestStep::Pass { end }) => {
                        prop_assert!(decided == 1 && !ended);
                        ended = end;
                    }
                    Ok(_) => {}
                    Err(_) => break,
                },
                Err(event) => match phase.on_response(event) {
                    Ok(ResponseStep::Answer) => {
                        prop_assert!(!over);
                        begun = true;
                        over = matches!(event, ResponseEvent::Headers { end: true } | ResponseEvent::Body { end: true } | ResponseEvent::Trailers);
                    }
                    Ok(ResponseStep::Ignore) => prop_assert!(over),
                    Err(_) => break,
                },
            }
        }
    }
}
