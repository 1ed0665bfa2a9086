//! Pins hold while they are worth it: sticky until saturated, never sticky until dead.

use warmlane_picker::{
    Chain, Group, GroupTable, Health, Live, Matches, Profile, Request, Signals, Slot, Snapshot, Strategy,
    group::GroupRule,
};

use crate::pool::{NOW, load, pool, replicas, request, send, shares};

const PICKS: u64 = 60;
const ALL: usize = PICKS as usize;

/// How often slot 0, to which the session or group is pinned, is chosen.
fn kept(pool: &Snapshot, session: Option<Slot>, group: Option<&Group>, live: &[Live]) -> usize {
    let matches = Matches::default();
    let request = Request { session, group, ..request(&matches, live) };
    shares(&Profile::of(Strategy::PrefixCache), pool, &request, PICKS)[0]
}

fn grouped(slots: &[u16]) -> Group {
    let groups = GroupTable::new(10, GroupRule { min_requests: 1, ..GroupRule::default() });
    let chain = Chain::new(1, &[9; 16]);
    let group = groups.observe(&chain, NOW).expect("one request makes a group here");
    slots.iter().for_each(|slot| {
        groups.pin(&group, Slot(*slot), NOW);
    });
    groups.observe(&chain, NOW).expect("it stays one")
}

fn against_idle(pinned: Signals) -> Snapshot {
    pool(replicas([pinned, load(0.0, 0.1), load(0.0, 0.1)]))
}

#[test]
fn a_session_stays_while_the_others_are_little_better() {
    let pin = Some(Slot(0));
    assert_eq!(kept(&against_idle(load(0.0, 0.1)), pin, None, &[]), ALL);
    assert_eq!(kept(&against_idle(load(1.0, 0.1)), pin, None, &[]), ALL);
    assert_eq!(kept(&against_idle(load(0.0, 0.2)), pin, None, &[]), ALL);
}

#[test]
fn a_session_leaves_a_saturated_endpoint() {
    let pin = Some(Slot(0));
    assert_eq!(kept(&against_idle(load(10.0, 0.5)), pin, None, &[]), 0, "a queue");
    assert_eq!(kept(&against_idle(load(0.0, 0.96)), pin, None, &[]), 0, "a full cache");
}

#[test]
fn a_session_leaves_an_endpoint_that_fills_between_readings() {
    let matches = Matches::default();
    let mut live = vec![Live::default(); 3];
    (0..20).for_each(|_| send(&mut live[0], &request(&matches, &[])));
    assert_eq!(kept(&against_idle(load(1.0, 0.4)), Some(Slot(0)), None, &live), 0);
}

#[test]
fn a_session_leaves_an_endpoint_that_is_gone_down_or_broken() {
    let pin = Some(Slot(0));
    let mut down = replicas(vec![load(0.0, 0.1); 3]);
    down[0].ready = false;
    assert_eq!(kept(&pool(down), pin, None, &[]), 0);
    let mut broken = replicas(vec![load(0.0, 0.1); 3]);
    broken[0].health = Health::Degraded("thermal slowdown".into());
    assert_eq!(kept(&pool(broken), pin, None, &[]), 0);
    let gone = kept(&pool(replicas(vec![load(0.0, 0.1); 3])), Some(Slot(77)), None, &[]);
    assert!(gone > 0 && gone < ALL, "a pin to nobody counts for nobody: {gone}");
}

#[test]
fn a_group_stays_while_the_others_are_little_better_and_leaves_a_saturated_endpoint() {
    let group = grouped(&[0]);
    assert_eq!(kept(&against_idle(load(0.0, 0.13)), None, Some(&group), &[]), ALL);
    assert_eq!(kept(&against_idle(load(10.0, 0.5)), None, Some(&group), &[]), 0);
    assert_eq!(kept(&against_idle(load(0.0, 0.96)), None, Some(&group), &[]), 0);
}

#[test]
fn a_group_of_several_endpoints_uses_the_one_with_less_load() {
    let group = grouped(&[0, 1]);
    assert_eq!(
        kept(&pool(replicas([load(0.0, 0.1), load(3.0, 0.1), load(0.0, 0.1)])), None, Some(&group), &[]),
        ALL
    );
    assert_eq!(
        kept(&pool(replicas([load(3.0, 0.1), load(0.0, 0.1), load(0.0, 0.1)])), None, Some(&group), &[]),
        0
    );
}

#[test]
fn a_session_outweighs_its_group() {
    let group = grouped(&[1]);
    assert_eq!(kept(&pool(replicas(vec![load(0.0, 0.1); 3])), Some(Slot(0)), Some(&group), &[]), ALL);
}
