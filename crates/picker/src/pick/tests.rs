use super::*;

fn totals(each: &[f32]) -> Totals {
    let mut failed = vec![Failed::default(); each.len()];
    let out = each.iter().enumerate().filter(|(_, total)| **total == OUT);
    out.for_each(|(position, _)| failed[position].add(Filter::Ready, true));
    Totals::of(each.to_vec(), &failed, Applied::to(&failed).0)
}

fn winners(each: &[f32]) -> Vec<usize> {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut winners: Vec<usize> = (0..100).map(|_| totals(each).best(&mut rng).0).collect();
    winners.sort_unstable();
    winners.dedup();
    winners
}

#[test]
fn the_best_total_wins_and_near_ones_tie() {
    assert_eq!(winners(&[1.0, 3.0, 2.0]), [1]);
    assert_eq!(winners(&[3.0, 3.0 - TIE / 2.0, 3.0 - TIE * 2.0]), [0, 1]);
    assert_eq!(totals(&[3.0, 3.0, 1.0]).best(&mut fastrand::Rng::with_seed(1)).1, 2);
}

#[test]
fn what_is_out_never_wins() {
    assert_eq!(winners(&[OUT, -4.0, OUT]), [1]);
}

#[test]
fn a_total_that_is_no_number_wins_only_over_nobody() {
    assert_eq!(winners(&[f32::NAN, -1e9]), [1]);
    assert_eq!(winners(&[OUT, f32::NAN, f32::NAN]), [1, 2]);
    assert_eq!(winners(&[f32::INFINITY, 0.0]), [0]);
}
