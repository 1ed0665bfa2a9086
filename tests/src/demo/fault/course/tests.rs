use super::*;

fn seen(health: &str, requests: u64) -> Seen {
    Seen { health: health.to_owned(), ready: true, requests, in_flight: 7 }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Events of these looks: time in milliseconds, requests that have ended, what the router says.
fn events(course: &mut Course, looks: &[(u64, u64, Seen)]) -> Vec<Event> {
    let mut events = Vec::new();
    for (at, done, seen) in looks {
        events.extend(std::iter::from_fn(|| course.next(ms(*at), *done, seen)));
    }
    events
}

/// Until the replica is out: struck at 1 s, out at 1.4 s with 20 requests sent there.
fn out() -> Course {
    let mut course = Course::new(10);
    let looks = [
        (900, 9, seen("healthy", 17)),
        (1_000, 10, seen("healthy", 18)),
        (1_200, 11, seen("healthy", 20)),
        (1_400, 12, seen("failed: XID 79", 20)),
    ];
    assert_eq!(events(&mut course, &looks), [Event::Strikes, Event::Left]);
    course
}

#[test]
fn a_replica_that_leaves_and_comes_back_goes_through_every_event() {
    let mut course = out();
    let looks = [
        (4_399, 20, seen("failed: XID 79", 20)),
        (4_400, 20, seen("failed: XID 79", 20)),
        (5_000, 30, seen("degraded: XID 79", 20)),
        (65_000, 90, seen("healthy", 20)),
        (65_100, 91, seen("healthy", 21)),
        (99_000, 99, seen("failed: again", 30)),
    ];
    assert_eq!(
        events(&mut course, &looks),
        [Event::IsMended, Event::LastResort, Event::IsWell, Event::Serves]
    );
    assert_eq!(course.leaving(), Some(ms(400)));
    assert_eq!(course.returning(), Some(ms(60_600)));
    assert_eq!((course.sent_meanwhile(), course.serves(), course.given_up()), (Some(0), true, None));
}

#[test]
fn a_request_in_the_same_look_as_the_return_is_no_breach() {
    let mut course = out();
    let looks = [(4_400, 20, seen("failed: XID 79", 20)), (65_000, 90, seen("healthy", 23))];
    assert_eq!(events(&mut course, &looks), [Event::IsMended, Event::IsWell, Event::Serves]);
    assert_eq!(course.sent_meanwhile(), Some(0));
}

#[test]
fn requests_sent_there_meanwhile_are_counted_also_while_it_is_a_last_resort() {
    let mut course = out();
    let looks = [
        (2_000, 15, seen("failed: XID 79", 22)),
        (4_400, 20, seen("failed: XID 79", 22)),
        (5_000, 30, seen("degraded: XID 79", 25)),
    ];
    events(&mut course, &looks);
    assert_eq!(course.sent_meanwhile(), Some(5));
}

#[test]
fn a_step_that_does_not_come_ends_the_course() {
    let mut stays = Course::new(0);
    let looks = [(0, 0, seen("healthy", 0)), (5_000, 0, seen("healthy", 5)), (5_001, 0, seen("healthy", 5))];
    let events_of_stays = events(&mut stays, &looks);
    assert!(matches!(events_of_stays[..], [Event::Strikes, Event::GivenUp(_)]), "{events_of_stays:?}");
    assert_eq!((stays.leaving(), stays.sent_meanwhile()), (None, None));

    let mut away = out();
    let looks = [
        (4_400, 20, seen("failed: XID 79", 20)),
        // Becoming a last resort does not begin the wait anew.
        (79_000, 20, seen("degraded: XID 79", 20)),
        (79_401, 20, seen("degraded: XID 79", 20)),
    ];
    let events_of_away = events(&mut away, &looks);
    assert!(
        matches!(events_of_away[..], [Event::IsMended, Event::LastResort, Event::GivenUp(_)]),
        "{events_of_away:?}"
    );

    let mut idle = out();
    let looks = [
        (4_400, 20, seen("failed: XID 79", 20)),
        (65_000, 20, seen("healthy", 20)),
        (75_001, 20, seen("healthy", 20)),
    ];
    let events_of_idle = events(&mut idle, &looks);
    assert!(
        matches!(events_of_idle[..], [Event::IsMended, Event::IsWell, Event::GivenUp(_)]),
        "{events_of_idle:?}"
    );
    assert!(!idle.serves());
}

#[test]
fn the_page_is_read_for_the_replica_asked_for() {
    let page = br#"{"endpoints":[
        {"address":"a:1","health":"healthy","ready":true,"requests":1,"in_flight":0},
        {"address":"a:2","health":"failed: its GPU","ready":true,"requests":5,"in_flight":2}]}"#;
    let expected = Seen { health: "failed: its GPU".to_owned(), ready: true, requests: 5, in_flight: 2 };
    assert_eq!(Seen::of(page, "a:2"), Some(expected));
    assert_eq!(Seen::of(page, "a:3"), None);
    assert_eq!(Seen::of(b"not json", "a:1"), None);
}
