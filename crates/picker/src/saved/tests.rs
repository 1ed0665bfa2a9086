use std::{
    sync::atomic::{AtomicBool, AtomicUsize},
    thread,
};

use super::*;

const NOW: Time = Time::from_secs(60);

fn key(n: u64) -> u64 {
    crate::chain::key(3, &n.to_le_bytes())
}

/// A response that tells whose it was: its bytes are a multiple of what no other key has.
fn response(n: u64) -> Saved {
    Saved { responses: 1, bytes: unit(n), wakeups: unit(n) * 2 }
}

fn unit(n: u64) -> u64 {
    1_000_003 + n
}

/// A table of eight places.
fn small() -> (Table, Accounts) {
    let table = Table::with_capacity(1);
    let accounts = Accounts::beside(&table);
    assert_eq!(table.places_in_all(), 8);
    (table, accounts)
}

fn put(table: &Table, n: u64, now: Time) {
    table.entry(key(n), n, Stamp::of(now));
}

fn account<'a>(table: &Table, accounts: &'a Accounts, n: u64) -> &'a Account {
    &accounts.0[table.place_of(&table.find(key(n)).expect("an entry"))]
}

fn saved(table: &Table, accounts: &Accounts, n: u64) -> Option<Saved> {
    accounts.walk(table, NOW).find(|kept| kept.key == table::kept(key(n))).map(|kept| kept.saved)
}

#[test]
fn a_place_is_found_beside_every_cell() {
    let (table, _) = small();
    (0..100).for_each(|n| put(&table, n, NOW));
    let places: Vec<usize> = table.cells().map(|cell| table.place_of(&cell)).collect();
    assert_eq!(places, (0..8).collect::<Vec<_>>());
}

#[test]
fn an_account_adds_up_and_one_of_an_unknown_key_is_not_kept() {
    let (table, accounts) = small();
    put(&table, 1, NOW);
    assert_eq!(saved(&table, &accounts, 1), Some(Saved::default()));
    for _ in 0..3 {
        accounts.credit(&table, key(1), Saved { responses: 1, bytes: 4_000, wakeups: 50 });
    }
    accounts.credit(&table, key(2), Saved { responses: 1, bytes: 1, wakeups: 1 });
    assert_eq!(saved(&table, &accounts, 1), Some(Saved { responses: 3, bytes: 12_000, wakeups: 150 }));
    let all: u64 = accounts.0.iter().map(|account| account.bytes.load(Relaxed)).sum();
    assert_eq!(all, 12_000);
}

#[test]
fn a_place_given_to_another_key_starts_at_zero() {
    let (table, accounts) = small();
    for n in 0..1_000 {
        put(&table, n, Time::from_secs(n));
        assert_eq!(saved(&table, &accounts, n), Some(Saved::default()), "{n}");
        accounts.credit(&table, key(n), response(n));
        assert_eq!(saved(&table, &accounts, n), Some(response(n)), "{n}");
    }
}

#[test]
fn a_late_credit_leaves_the_account_of_the_next_key_alone() {
    let (table, accounts) = small();
    put(&table, 0, NOW);
    let late = table.find(key(0)).expect("an entry");
    let next = (1..)
        .find(|n| {
            put(&table, *n, NOW + Time::from_secs(*n));
            late.key() == table::kept(key(*n))
        })
        .expect("the place goes to somebody");
    accounts.credit(&table, key(next), response(next));
    let account = account(&table, &accounts, next);
    assert!(!account.add(table::kept(key(0)), response(0)));
    assert!(!account.change_hands(&late, table::kept(key(0)), response(0)));
    assert_eq!(account.read(table::kept(key(next))), Some(response(next)));
    accounts.credit(&table, key(next), response(next));
    assert_eq!(saved(&table, &accounts, next).map(|saved| saved.responses), Some(2), "it goes on");
}

#[test]
fn an_account_does_not_change_hands_while_somebody_adds_to_it() {
    let (table, accounts) = small();
    put(&table, 1, NOW);
    let account = account(&table, &accounts, 1);
    let other = table::kept(key(2));
    account.owner.store(other + 1, Relaxed);
    accounts.credit(&table, key(1), response(1));
    assert_eq!(saved(&table, &accounts, 1), Some(Saved::default()), "lost");
    account.owner.store(other, Relaxed);
    accounts.credit(&table, key(1), response(1));
    assert_eq!(saved(&table, &accounts, 1), Some(response(1)));
}

#[test]
fn no_credit_of_a_key_that_stays_is_lost() {
    let (table, accounts) = small();
    put(&table, 1, NOW);
    accounts.credit(&table, key(1), response(1));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50_000).for_each(|_| accounts.credit(&table, key(1), response(1))));
        }
    });
    let all = 200_001;
    let expected = Saved { responses: all, bytes: unit(1) * all, wakeups: unit(1) * 2 * all };
    assert_eq!(saved(&table, &accounts, 1), Some(expected));
}

/// Four threads give eight places to twelve keys in turn and credit them; a fifth looks on.
#[test]
fn what_is_counted_for_a_key_was_carried_for_it() {
    const ROUNDS: u64 = 100_000;
    let (table, accounts) = small();
    let (over, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .map(|seed| {
                let (table, accounts) = (&table, &accounts);
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(seed);
                    for round in 0..ROUNDS {
                        put(table, rng.u64(..12), Time::from_millis(round * 125));
                        let n = rng.u64(..12);
                        accounts.credit(table, key(n), response(n));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !over.load(Relaxed) {
                looks.fetch_add(own(&table, &accounts), Relaxed);
            }
        });
        writers.into_iter().for_each(|writer| writer.join().expect("it runs to its end"));
        over.store(true, Relaxed);
    });
    assert!(looks.load(Relaxed) > 0);
    let counted = (0..12).filter_map(|n| saved(&table, &accounts, n).map(|saved| (n, saved)));
    let mut responses = 0;
    for (n, saved) in counted {
        let expected = (saved.responses * unit(n), saved.responses * unit(n) * 2);
        assert_eq!((saved.bytes, saved.wakeups), expected, "{n}");
        responses += saved.responses;
    }
    assert!(responses > 0);
    assert!(
        accounts.0.iter().all(|account| account.owner.load(Relaxed) & ADDING == 0),
        "nobody is left in one"
    );
}

/// Looks at all accounts, each of which is its key's own; how many were not empty. Keys are known by their tags: the value of
/// an entry may be another's for a moment.
fn own(table: &Table, accounts: &Accounts) -> usize {
    let seen: Vec<Kept> = accounts.walk(table, NOW).filter(|kept| kept.saved.responses > 0).collect();
    for kept in &seen {
        let n = (0..12).find(|n| table::kept(key(*n)) == kept.key).expect("one of the keys");
        assert_eq!((kept.saved.bytes % unit(n), kept.saved.wakeups % (unit(n) * 2)), (0, 0), "{n}");
    }
    seen.len()
}
