use proptest::prelude::*;

use super::*;

const RULE: BreakerRule = BreakerRule { in_a_row: 5, share: 0.5, rest: secs(5), longest_rest: secs(40) };

const fn secs(s: u64) -> Time {
    Time::from_secs(s)
}

fn totals(good: u64, bad: u64, in_a_row: u32) -> Outcomes {
    Outcomes { good, bad, in_a_row }
}

fn look(breaker: &mut Breaker, at: u64, seen: Outcomes) -> Option<Turn> {
    breaker.look(&RULE, secs(at), seen, Outcomes::default(), true)
}

#[test]
fn it_opens_at_the_fifth_failure_in_a_row_and_not_before() {
    let mut breaker = Breaker::default();
    assert_eq!(look(&mut breaker, 1, totals(3, 4, 4)), None);
    assert_eq!(look(&mut breaker, 1, totals(3, 5, 5)), Some(Turn::Opened { rest: secs(5) }));
    assert!(breaker.is_open());
}

#[test]
fn after_its_rest_it_tries_and_three_successes_close_it() {
    let mut breaker = Breaker::default();
    look(&mut breaker, 1, totals(0, 5, 5));
    assert_eq!(look(&mut breaker, 5, totals(0, 5, 5)), None);
    assert_eq!(look(&mut breaker, 6, totals(0, 5, 5)), Some(Turn::Trying));
    assert!(!breaker.is_open());
    assert_eq!(look(&mut breaker, 7, totals(2, 5, 0)), None);
    assert_eq!(look(&mut breaker, 8, totals(3, 5, 0)), Some(Turn::Closed));
}

#[test]
fn a_failure_while_trying_doubles_the_rest_up_to_the_longest() {
    let mut breaker = Breaker::default();
    let (mut now, mut bad, mut rests) = (1, 5, Vec::new());
    look(&mut breaker, now, totals(0, bad, 5));
    for _ in 0..5 {
        now += 40;
        assert_eq!(look(&mut breaker, now, totals(0, bad, 5)), Some(Turn::Trying));
        bad += 1;
        let Some(Turn::Opened { rest }) = look(&mut breaker, now, totals(0, bad, 5)) else {
            panic!("one failure is enough")
        };
        rests.push(rest.as_secs());
    }
    assert_eq!(rests, [10, 20, 40, 40, 40]);
}

#[test]
fn what_worked_for_long_begins_with_the_first_rest_again() {
    let mut breaker = Breaker::default();
    look(&mut breaker, 1, totals(0, 5, 5));
    look(&mut breaker, 6, totals(0, 5, 5));
    look(&mut breaker, 7, totals(3, 5, 0));
    assert_eq!(look(&mut breaker, 100, totals(3, 10, 5)), Some(Turn::Opened { rest: secs(5) }));
}

#[test]
fn an_outlier_opens_and_what_fails_everywhere_does_not() {
    let seen = totals(15, 15, 2);
    let healthy = totals(300, 3, 0);
    let failing = totals(60, 40, 0);
    let outlier = Breaker::default().look(&RULE, secs(2), seen, healthy, true);
    assert!(matches!(outlier, Some(Turn::Opened { .. })));
    assert_eq!(Breaker::default().look(&RULE, secs(2), seen, failing, true), None);
    assert_eq!(Breaker::default().look(&RULE, secs(2), totals(9, 9, 2), healthy, true), None, "too few");
}

#[test]
fn old_failures_leave_with_their_window() {
    let mut breaker = Breaker::default();
    assert_eq!(look(&mut breaker, 5, totals(9, 9, 1)), None);
    assert_eq!(look(&mut breaker, 11, totals(9, 9, 1)), None, "a new window begins");
    assert_eq!(look(&mut breaker, 12, totals(14, 15, 1)), None, "11 ended in it, 20 in all");
}

#[test]
fn a_row_that_ended_before_a_restart_does_not_open_the_new_one() {
    let seen = totals(0, 5, 5);
    let mut breaker = Breaker::new(secs(9), seen);
    assert_eq!(look(&mut breaker, 10, seen), None);
}

proptest! {
    /// Whatever comes, it never opens without a failure, nor while it may not, and never rests too long.
    #[test]
    fn it_opens_only_for_failures_and_only_where_it_may(
        steps in prop::collection::vec((0_u64..30, 0_u64..10, 0_u64..3, any::<bool>()), 1..60)
    ) {
        let (mut breaker, mut now, mut seen) = (Breaker::default(), Time::ZERO, Outcomes::default());
        for (pause, good, bad, may_open) in steps {
            now += secs(pause);
            seen.good += good;
            seen.bad += bad;
            seen.in_a_row = if good > 0 { bad as u32 } else { seen.in_a_row + bad as u32 };
            let was_closed = breaker.state == State::Closed;
            let turn = breaker.look(&RULE, now, seen, Outcomes::default(), may_open);
            if let Some(Turn::Opened { rest }) = turn {
                prop_assert!(seen.bad > 0 && rest <= RULE.longest_rest);
                prop_assert!(may_open || !was_closed);
            }
        }
    }
}
