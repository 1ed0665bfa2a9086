use super::*;

fn latest(idle: &[u64], limit: usize) -> Latest<(Time, u64)> {
    let rows = idle.iter().map(|seconds| Time::from_secs(*seconds)).zip(0..);
    Latest::of(rows, Limit(limit), |row| *row)
}

#[test]
fn the_rows_used_last_are_shown_in_order_and_all_are_counted() {
    let mut rng = fastrand::Rng::with_seed(5);
    let idle: Vec<u64> = (0..1_000).map(|_| rng.u64(..300)).collect();
    let mut expected: Vec<(Time, u64)> = idle.iter().map(|idle| Time::from_secs(*idle)).zip(0..).collect();
    expected.sort_unstable();
    for limit in [0, 1, 7, 100, 999, 1_000, 5_000] {
        let latest = latest(&idle, limit);
        assert_eq!(latest.all, 1_000);
        assert_eq!(latest.rows, expected[..limit.min(1_000)], "{limit}");
    }
}

#[test]
fn no_more_than_twice_the_rows_are_held() {
    let idle: Vec<u64> = (0..100_000).rev().collect();
    assert!(latest(&idle, 10).rows.capacity() <= 32);
}

#[test]
fn without_a_query_a_hundred_rows_are_shown() {
    assert_eq!((Limit::of(None), Limit::of(Some(""))), (Ok(Limit(100)), Ok(Limit(100))));
    assert_eq!(Limit::of(Some("limit=10000")), Ok(Limit(10_000)));
}
