use proptest::prelude::*;

use super::*;
use crate::gpu::sample::{Ecc, Remap, Slowdown, Throttle};

const SECOND: Duration = Duration::from_secs(1);
const THERMAL: Throttle = Throttle(0x48);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn slowed() -> Sample {
    Sample { throttle: Some(THERMAL), ..Sample::default() }
}

fn ecc(uncorrected: u64) -> Sample {
    Sample { ecc: Ecc { corrected: None, uncorrected: Some(uncorrected) }, ..Sample::default() }
}

fn energy(energy: u64) -> Sample {
    Sample { energy: Some(energy), ..Sample::default() }
}

/// All is well, and says so.
fn well() -> Sample {
    Sample {
        throttle: Some(Throttle(0x1)),
        remap: Remap { failed: Some(false), ..Remap::default() },
        ..Sample::default()
    }
}

fn xid(code: u64) -> Cause {
    Cause::Xid { code, class: Class::of(code) }
}

/// Reads `sample` once a second from `from` to `to`.
fn read_through(health: &mut Health, from: u64, to: u64, sample: &Sample) {
    for second in from..to {
        health.asked(at(second));
        health.read(at(second), sample);
    }
}

#[test]
fn a_card_nobody_asked_is_healthy() {
    assert_eq!(Health::default().verdict(at(1_000)), Verdict::Healthy);
}

#[test]
fn an_xid_that_asks_for_a_reset_fails_until_a_reset_is_seen() {
    let mut health = Health::default();
    health.read(at(0), &energy(500));
    health.xid(at(1), 119);
    read_through(&mut health, 2, 100, &energy(501));
    assert_eq!(health.verdict(at(100)), Verdict::Failed { why: xid(119) });
    health.read(at(100), &Sample::default());
    assert!(health.verdict(at(100)).is_failed(), "a counter that cannot be read is not one that fell");
    health.read(at(100), &energy(3));
    assert_eq!(health.verdict(at(100)), Verdict::Degraded { why: xid(119) }, "reset, not yet proven");
    assert_eq!(health.verdict(at(160)), Verdict::Healthy);
}

#[test]
fn without_counters_it_is_forgotten_after_a_long_quiet_time() {
    let mut health = Health::default();
    health.xid(at(0), 48);
    health.xid(at(100), 48);
    let end = at(100) + LONG_QUIET;
    assert_eq!(health.verdict(end - SECOND), Verdict::Failed { why: xid(48) }, "counted from the last");
    assert_eq!(health.verdict(end), Verdict::Healthy);
}

#[test]
fn a_milder_xid_neither_hides_nor_shortens_a_worse_one() {
    let mut health = Health::default();
    health.xid(at(0), 79);
    health.xid(at(1), 12_345);
    health.xid(at(2), 74);
    assert_eq!(health.verdict(at(2)), Verdict::Failed { why: xid(79) });
}

#[test]
fn unknown_xids_degrade_for_a_while_and_links_for_long() {
    let mut health = Health::default();
    health.xid(at(0), 999);
    assert_eq!(health.verdict(at(299)), Verdict::Degraded { why: xid(999) });
    assert_eq!(health.verdict(DOUBT), Verdict::Healthy);
    health.xid(DOUBT, 145);
    assert_eq!(health.verdict(DOUBT + at(1_799)), Verdict::Degraded { why: xid(145) });
}

#[test]
fn programs_that_do_wrong_cost_their_card_nothing() {
    let mut health = Health::default();
    for code in [8, 13, 31, 37, 38, 43, 45, 94] {
        health.xid(at(0), code);
    }
    assert_eq!(health.verdict(at(0)), Verdict::Healthy);
}

#[test]
fn a_lost_card_fails_at_once_and_is_back_a_minute_after_it_answers() {
    let mut health = Health::default();
    health.xid(at(0), 79);
    health.absent(at(1), Absence::Lost);
    assert_eq!(health.verdict(at(10_000)), Verdict::Failed { why: Cause::Absent(Absence::Lost) });
    assert!(health.is_absent());
    health.read(at(10_000), &well());
    assert!(matches!(health.verdict(at(10_000)), Verdict::Degraded { .. }));
    assert!(matches!(health.verdict(at(10_059)), Verdict::Degraded { .. }));
    assert_eq!(health.verdict(at(10_060)), Verdict::Healthy);
}

#[test]
fn a_failed_row_remap_stays_until_a_reading_denies_it() {
    let mut health = Health::default();
    let failed = Sample { remap: Remap { failed: Some(true), ..Remap::default() }, ..Sample::default() };
    health.read(at(0), &failed);
    let verdict = Verdict::Failed { why: Cause::RowRemapFailed };
    health.read(at(1), &Sample::default());
    assert_eq!(health.verdict(at(1_000_000)), verdict, "a reading that does not know says nothing");
    health.read(at(1_000_000), &well());
    assert_eq!(health.verdict(at(1_000_000)), Verdict::Healthy);
}

#[test]
fn only_new_uncorrectable_errors_count() {
    let mut health = Health::default();
    health.read(at(0), &ecc(7));
    assert_eq!(health.verdict(at(0)), Verdict::Healthy, "an old story");
    health.read(at(1), &Sample::default());
    health.read(at(2), &ecc(9));
    let verdict = Verdict::Degraded { why: Cause::UncorrectableEcc { errors: 2 } };
    assert_eq!(health.verdict(at(2)), verdict);
    read_through(&mut health, 3, 302, &ecc(9));
    assert_eq!(health.verdict(at(301)), verdict);
    assert_eq!(health.verdict(at(302)), Verdict::Healthy);
}

#[test]
fn a_slowdown_counts_when_it_lasts_and_passes_slowly() {
    let mut health = Health::default();
    read_through(&mut health, 0, 10, &slowed());
    assert_eq!(health.verdict(at(9)), Verdict::Healthy);
    health.read(at(10), &slowed());
    let verdict = Verdict::Degraded { why: Cause::Slowed(Slowdown::Thermal) };
    assert_eq!(health.verdict(at(10)), verdict);
    read_through(&mut health, 11, 30, &well());
    assert_eq!(health.verdict(at(29)), verdict);
    health.read(at(30), &well());
    assert_eq!(health.verdict(at(30)), Verdict::Healthy);
}

#[test]
fn nothing_is_made_of_what_may_have_happened_between_two_distant_readings() {
    let mut health = Health::default();
    health.read(at(0), &slowed());
    health.read(at(1_000), &slowed());
    assert_eq!(health.verdict(at(1_000)), Verdict::Healthy);
}

#[test]
fn a_card_slowed_every_other_second_stays_degraded_without_a_break() {
    let mut health = Health::default();
    let mut turns = Vec::new();
    for second in 0..600 {
        health.read(at(second), &if second % 2 == 0 { slowed() } else { well() });
        let degraded = health.verdict(at(second)) != Verdict::Healthy;
        if turns.last() != Some(&degraded) {
            turns.push(degraded);
        }
    }
    assert_eq!(turns, [false, true], "one change of mind");
}

#[test]
fn silence_degrades_after_five_seconds_and_fails_after_thirty() {
    let mut health = Health::default();
    health.asked(at(100));
    health.asked(at(104));
    let why = Cause::Unresponsive;
    assert_eq!(health.verdict(at(104)), Verdict::Healthy);
    assert_eq!(health.verdict(at(105)), Verdict::Degraded { why }, "counted from the first question");
    assert_eq!(health.verdict(at(130)), Verdict::Failed { why });
    health.read(at(140), &well());
    assert_eq!(health.verdict(at(199)), Verdict::Failed { why }, "one answer proves little");
    assert_eq!(health.verdict(at(200)), Verdict::Healthy);
}

#[derive(Clone, Debug)]
enum Event {
    Asked,
    Read(Box<Sample>),
    Absent(Absence),
    Xid(u64),
}

impl Event {
    fn apply(self, health: &mut Health, now: Duration) {
        match self {
            Self::Asked => health.asked(now),
            Self::Read(sample) => health.read(now, &sample),
            Self::Absent(how) => health.absent(now, how),
            Self::Xid(code) => health.xid(now, code),
        }
    }
}

fn samples() -> impl Strategy<Value = Box<Sample>> {
    let counter = || proptest::option::of(0..5_u64);
    (counter(), counter(), proptest::option::of(any::<bool>()), proptest::option::of(any::<u64>())).prop_map(
        |(energy, uncorrected, failed, throttle)| {
            Box::new(Sample {
                energy,
                ecc: Ecc { corrected: None, uncorrected },
                remap: Remap { failed, ..Remap::default() },
                throttle: throttle.map(Throttle),
                ..Sample::default()
            })
        },
    )
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Asked),
        samples().prop_map(Event::Read),
        prop_oneof![Just(Absence::Lost), Just(Absence::ResetRequired)].prop_map(Event::Absent),
        prop_oneof![0..200_u64, any::<u64>()].prop_map(Event::Xid),
    ]
}

/// Events with the time of each: any time at all, so that it also stands still, jumps and goes back.
fn stories() -> impl Strategy<Value = Vec<(Event, Duration)>> {
    let time = prop_oneof![
        (0..100_000_u64).prop_map(Duration::from_millis),
        (0..10_000_u64).prop_map(Duration::from_secs),
        Just(Duration::MAX / 2),
    ];
    proptest::collection::vec((events(), time), 0..60)
}

/// What is bad enough, from good to bad.
fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Healthy => 0,
        Verdict::Degraded { .. } => 1,
        Verdict::Failed { .. } => 2,
    }
}

proptest! {
    #[test]
    fn whatever_happened_a_card_that_stays_well_is_healthy_again(story in stories()) {
        let mut health = Health::default();
        for (event, time) in story {
            event.apply(&mut health, time);
        }
        let mut now = health.now;
        let end = now + LONG_QUIET + CALM;
        while now < end {
            now += at(3);
            health.asked(now);
            health.read(now, &well());
        }
        prop_assert_eq!(health.verdict(now), Verdict::Healthy);
    }

    #[test]
    fn memory_stays_bounded(story in stories()) {
        let mut health = Health::default();
        for (event, time) in story {
            event.apply(&mut health, time);
            prop_assert!(health.faults.len() <= 12, "two severities of six causes");
        }
    }

    #[test]
    fn while_the_clock_stands_still_nothing_heals_but_what_is_denied_or_reset(
        story in stories(),
        readings in 1..50_usize,
    ) {
        let mut health = Health::default();
        for (event, time) in story {
            event.apply(&mut health, time);
        }
        let now = health.now;
        // Taken once: it may show a reset or deny a failed row remap.
        health.read(now, &well());
        let before = severity(health.verdict(now));
        for _ in 0..readings {
            health.asked(now);
            health.read(now, &well());
        }
        prop_assert_eq!(severity(health.verdict(now)), before);
    }

    #[test]
    fn while_the_clock_stands_still_no_slowdown_lasts(readings in 1..200_usize) {
        let mut health = Health::default();
        for _ in 0..readings {
            health.asked(at(7));
            health.read(at(7), &slowed());
        }
        prop_assert_eq!(health.verdict(at(7)), Verdict::Healthy);
    }

    #[test]
    fn time_that_goes_back_is_time_that_stands_still(story in stories(), back in 0..10_000_u64) {
        let (mut still, mut turned) = (Health::default(), Health::default());
        for (event, time) in story {
            let now = still.now.max(time);
            event.clone().apply(&mut still, now);
            let now = turned.now.max(time);
            event.apply(&mut turned, now);
            turned.asked(now.saturating_sub(at(back)));
            still.asked(now);
            prop_assert_eq!(turned.verdict(now), still.verdict(now));
            prop_assert_eq!(turned.verdict(now.saturating_sub(at(back))), still.verdict(now));
        }
    }

    #[test]
    fn slowed_less_than_a_quarter_of_the_time_is_never_held_against_it(phases in proptest::collection::vec(0..4_u64, 300)) {
        let mut health = Health::default();
        for (quad, slow) in phases.into_iter().enumerate() {
            for second in 0..4 {
                let sample = if second == slow && quad % 2 == 0 { slowed() } else { well() };
                health.read(at(quad as u64 * 4 + second), &sample);
            }
            prop_assert_eq!(health.verdict(health.now), Verdict::Healthy);
        }
    }

    #[test]
    fn a_flapping_card_changes_its_verdict_at_most_twice_a_minute(
        flaps in proptest::collection::vec(any::<bool>(), 600),
    ) {
        let mut health = Health::default();
        let (mut last, mut turns) = (0, 0);
        for (second, lost) in flaps.into_iter().enumerate() {
            let now = at(second as u64);
            if lost { health.absent(now, Absence::Lost) } else { health.read(now, &well()) }
            let severity = severity(health.verdict(now));
            turns += u32::from(severity == 0 && last > 0);
            last = severity;
        }
        prop_assert!(turns <= 10, "back to healthy {} times in ten minutes", turns);
    }
}
