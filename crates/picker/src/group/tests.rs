use super::*;

fn at(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// `shared` equal blocks, then `own` blocks of request `n`.
fn prompt(shared: u64, own: u64, n: u64) -> Chain {
    let blocks: Vec<u64> = (0..shared).chain((0..own).map(|i| 1_000_000 * (n + 1) + i)).collect();
    Chain::new(1, &blocks)
}

#[test]
fn the_longest_prefix_that_enough_requests_share_is_the_group() {
    let groups = GroupTable::new(100, GroupRule::default());
    for n in 0..7 {
        assert_eq!(groups.observe(&prompt(40, 40, n), at(n)), None, "seven are not enough");
    }
    let group = groups.observe(&prompt(40, 40, 7), at(7)).expect("eight are");
    assert_eq!(group.blocks, 32, "16 and its doubles, of the 40 shared blocks");
    assert_eq!(group.id, prompt(40, 0, 0).links()[marks::count(32) - 1]);
}

#[test]
fn short_or_rare_prefixes_are_no_group() {
    let groups = GroupTable::new(100, GroupRule::default());
    assert!((0..20).all(|n| groups.observe(&prompt(15, 0, n), at(n)).is_none()), "15 blocks");
    assert!((0..20).all(|n| groups.observe(&prompt(32, 0, n), at(n * 30)).is_none()), "two a minute");
}

#[test]
fn a_group_keeps_its_four_latest_replicas_and_forgets_those_gone() {
    let groups = GroupTable::new(100, GroupRule { min_requests: 1, ..GroupRule::default() });
    let group = groups.observe(&prompt(16, 0, 0), at(0)).expect("group");
    for slot in 1..=5 {
        assert!(groups.pin(&group, Slot(slot), at(1)));
    }
    assert!(!groups.pin(&group, Slot(5), at(1)), "known already");
    groups.forget(Slot(3));
    let group = groups.observe(&prompt(16, 0, 0), at(2)).expect("group");
    let mut replicas: Vec<Slot> = group.replicas().collect();
    replicas.sort_unstable();
    assert_eq!(replicas, [Slot(2), Slot(4), Slot(5)]);
}

#[test]
fn each_pinned_group_is_told_of_with_its_account() {
    let groups = GroupTable::new(100, GroupRule { min_requests: 1, ..GroupRule::default() });
    let group = |n| groups.observe(&prompt(0, 16, n), at(0)).expect("group");
    let saved = Saved { responses: 1, bytes: 9_000, wakeups: 90 };
    groups.credit(group(0).id, saved);
    assert_eq!(groups.each(at(0)).count(), 0, "observed, not pinned");
    (0..3).for_each(|n| {
        groups.pin(&group(n), Slot(n as u16), at(10 * n));
    });
    groups.pin(&group(1), Slot(7), at(10));
    groups.credit(group(1).id, saved);
    groups.forget(Slot(2));
    let mut told: Vec<_> = groups
        .each(at(12))
        .map(|pin| (pin.idle.as_secs(), pin.replicas().collect::<Vec<_>>(), pin.saved))
        .collect();
    told.sort_by_key(|(idle, ..)| *idle);
    let expected = [(2, vec![Slot(7), Slot(1)], saved), (12, vec![Slot(0)], Saved::default())];
    assert_eq!(told, expected, "one that is pinned to nobody is none");
    let ids: Vec<u64> = groups.each(at(12)).map(|pin| pin.id >> 24).collect();
    assert!(ids.contains(&(group(1).id >> 24)));
}

#[test]
fn a_group_that_is_removed_is_pinned_nowhere_and_may_be_again() {
    let groups = GroupTable::new(100, GroupRule { min_requests: 1, ..GroupRule::default() });
    let group = |n| groups.observe(&prompt(0, 16, n), at(0)).expect("group");
    (0..2).for_each(|n| _ = groups.pin(&group(n), Slot(n as u16), at(0)));
    assert!(groups.remove(group(0).id) && !groups.remove(group(0).id), "once");
    assert_eq!(group(0).replicas().count(), 0);
    assert_eq!(groups.each(at(0)).map(|pin| pin.id >> 24).collect::<Vec<_>>(), [group(1).id >> 24]);
    groups.pin(&group(0), Slot(5), at(1));
    assert_eq!(group(0).replicas().collect::<Vec<_>>(), [Slot(5)]);
}

#[test]
fn memory_is_as_stated_and_counts_have_no_accounts() {
    let groups = GroupTable::new(1_024, GroupRule::default());
    assert_eq!(groups.bytes(), (2 << 20) + (96 << 10), "65,536 counts at 26 bytes, 1,024 groups at 77");
}
