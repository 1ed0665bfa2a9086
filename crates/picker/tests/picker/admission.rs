//! Shedding: only Sheddable requests, only when every replica that could serve is past a threshold.

use warmlane_picker::{Admission, Criticality, Live, Matches, Profile, Request, Signals, Time, admit};

use crate::pool::{A10, NOW, history, load, load_ago, pool, reading, replicas, request};

fn admitted(loads: Vec<Signals>, criticality: Criticality, live: &[Live]) -> bool {
    let matches = Matches::default();
    let request = Request { criticality, ..request(&matches, live) };
    admit(&Profile::default(), &pool(replicas(loads)), &request, NOW) == Admission::Pass
}

fn sheds(loads: Vec<Signals>) -> bool {
    !admitted(loads, Criticality::Sheddable, &[])
}

#[test]
fn only_sheddable_requests_are_shed() {
    let full = || vec![load(50.0, 1.0); 3];
    assert!(admitted(full(), Criticality::Critical, &[]));
    assert!(admitted(full(), Criticality::Standard, &[]));
    assert!(!admitted(full(), Criticality::Sheddable, &[]));
}

#[test]
fn shedding_needs_every_replica_past_queue_5_or_kv_80_percent() {
    assert!(sheds(vec![load(6.0, 0.0), load(0.0, 0.81)]));
    assert!(!sheds(vec![load(6.0, 0.0), load(5.0, 0.8)]), "at the thresholds is not past them");
    assert!(!sheds(vec![load(6.0, 0.9), load(0.0, 0.2)]), "one with room is enough");
}

#[test]
fn silence_never_sheds() {
    let stale = Time::from_secs(11);
    assert!(!sheds(vec![load_ago(50.0, 1.0, stale); 3]));
    assert!(!sheds(vec![Signals::default(); 3]));
    assert!(!sheds(vec![load(50.0, 1.0), Signals::default()]), "one that may have room is enough");
    assert!(!sheds(vec![load(f32::NAN, f32::NAN); 2]), "garbage says as little");
}

#[test]
fn what_was_sent_since_the_reading_counts() {
    let mut sent = history();
    sent.kv_tokens += A10 * 3 / 10;
    let live = vec![Live { in_flight: 10, reserved_kv: A10 * 3 / 10, sent, ..Live::default() }; 2];
    let loads = vec![Signals { mark: history(), ..load(0.0, 0.6) }; 2];
    assert!(!sheds(loads.clone()));
    assert!(!admitted(loads, Criticality::Sheddable, &live));
}

#[test]
fn replicas_that_cannot_serve_do_not_keep_the_door_open() {
    let matches = Matches::default();
    let request = Request { criticality: Criticality::Sheddable, ..request(&matches, &[]) };
    let mut three = replicas([load(9.0, 0.9), load(0.0, 0.0), load(0.0, 0.0)]);
    three[1].ready = false;
    three[2].signals.awake = reading(false, Time::ZERO);
    assert_ne!(admit(&Profile::default(), &pool(three.clone()), &request, NOW), Admission::Pass);
    three[0].ready = false;
    assert_eq!(
        admit(&Profile::default(), &pool(three), &request, NOW),
        Admission::Pass,
        "with nobody left the pick gives the better answer"
    );
}
