//! Watching cards through the real wrapper of NVML and a scripted library behind it.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;
use warmlane_agent::gpu::{
    Absence, Cause, Gpu, Sample, Verdict,
    sample::{Clocks, Ecc, Memory, Pcie, Remap, Slowdown, Throttle, Utilisation},
    xid::Class,
};
use warmlane_tests::nvml::{FakeNvml, until};

/// More than any step of the watch takes here, and less than a hang.
const MOMENT: Duration = Duration::from_secs(2);

fn whole(index: u32) -> Sample {
    Sample {
        index,
        slice: None,
        uuid: Some(format!("GPU-{index}").into()),
        parent: None,
        name: Some("NVIDIA A10".into()),
        memory: Some(Memory { total: 24_000_000_000, used: 21_000_000_000 }),
        utilisation: Some(Utilisation { gpu: 97, memory: 61 }),
        temperature: Some(66),
        slowdown_at: Some(95),
        power: Some(141_000),
        power_limit: Some(150_000),
        energy: Some(5_000_000_000),
        clocks: Clocks { sm: Some(1_410), memory: Some(6_251) },
        throttle: Some(Throttle(4)),
        ecc: Ecc { corrected: Some(3), uncorrected: Some(0) },
        remap: Remap {
            correctable: Some(1),
            uncorrectable: Some(0),
            pending: Some(true),
            failed: Some(false),
        },
        pcie: Pcie { generation: Some(4), width: Some(16), replays: Some(2) },
    }
}

fn all_read(gpus: &[Gpu], count: usize) -> bool {
    gpus.len() == count && gpus.iter().all(|gpu| gpu.read_at.is_some())
}

fn failed(gpu: &Gpu) -> Option<Cause> {
    gpu.verdict.why().filter(|_| gpu.verdict.is_failed())
}

/// Whether this was read after then.
fn is_fresh(gpu: &Gpu, then: Instant) -> bool {
    gpu.read_at.is_some_and(|at| at > then)
}

#[tokio::test]
async fn every_value_arrives_and_changes_follow() {
    let mut fake = FakeNvml::new(2);
    let watch = fake.watch();
    let gpus = until(&watch, "two cards", |gpus| all_read(gpus, 2)).await;
    for (index, gpu) in (0..).zip(&gpus) {
        assert_eq!(*gpu.sample, whole(index));
        assert_eq!(gpu.verdict, Verdict::Healthy);
    }
    fake.change(|script| script["devices"][1]["values"]["nvmlDeviceGetPowerUsage"] = json!(60_000));
    let gpus = until(&watch, "the change", |gpus| gpus[1].sample.power == Some(60_000)).await;
    assert_eq!(*gpus[0].sample, whole(0));
}

/// What is missing from a sample when a call fails.
type Loss = fn(&mut Sample);

const LOSSES: [(&str, Loss); 16] = [
    ("nvmlDeviceGetUUID", |sample| sample.uuid = None),
    ("nvmlDeviceGetName", |sample| sample.name = None),
    ("nvmlDeviceGetMemoryInfo_v2", |sample| sample.memory = None),
    ("nvmlDeviceGetUtilizationRates", |sample| sample.utilisation = None),
    ("nvmlDeviceGetTemperature", |sample| sample.temperature = None),
    ("nvmlDeviceGetTemperatureThreshold", |sample| sample.slowdown_at = None),
    ("nvmlDeviceGetPowerUsage", |sample| sample.power = None),
    ("nvmlDeviceGetEnforcedPowerLimit", |sample| sample.power_limit = None),
    ("nvmlDeviceGetTotalEnergyConsumption", |sample| sample.energy = None),
    ("nvmlDeviceGetClockInfo", |sample| sample.clocks = Clocks::default()),
    ("nvmlDeviceGetCurrentClocksThrottleReasons", |sample| sample.throttle = None),
    ("nvmlDeviceGetTotalEccErrors", |sample| sample.ecc = Ecc::default()),
    ("nvmlDeviceGetFieldValues", |sample| sample.remap = Remap::default()),
    ("nvmlDeviceGetCurrPcieLinkGeneration", |sample| sample.pcie.generation = None),
    ("nvmlDeviceGetCurrPcieLinkWidth", |sample| sample.pcie.width = None),
    ("nvmlDeviceGetPcieReplayCounter", |sample| sample.pcie.replays = None),
];

#[tokio::test]
async fn a_call_that_fails_takes_only_its_own_value() {
    // Every card loses another call, each to an error of another kind: unknown, no permission, not supported.
    let mut fake = FakeNvml::new(LOSSES.len());
    fake.change(|script| {
        for (index, (call, _)) in LOSSES.iter().enumerate() {
            let error = [999, 4, 3][index % 3];
            script["devices"][index]["fail"] = json!({ *call: error });
        }
    });
    let watch = fake.watch();
    let gpus = until(&watch, "all cards", |gpus| all_read(gpus, LOSSES.len())).await;
    for ((index, (call, lose)), gpu) in (0..).zip(LOSSES).zip(&gpus) {
        let mut expected = whole(index);
        lose(&mut expected);
        assert_eq!(*gpu.sample, expected, "{call}");
        assert_eq!(gpu.verdict, Verdict::Healthy, "{call}");
    }
}

#[tokio::test]
async fn a_card_whose_every_call_fails_counts_as_silent() {
    let mut fake = FakeNvml::new(1);
    let watch = fake.watch();
    until(&watch, "a card", |gpus| all_read(gpus, 1)).await;
    fake.change(|script| {
        script["devices"][0]["fail"] =
            LOSSES.iter().map(|(call, _)| ((*call).to_owned(), json!(999))).collect();
    });
    let gpus = until(&watch, "silence noticed", |gpus| gpus[0].verdict != Verdict::Healthy).await;
    assert_eq!(gpus[0].verdict, Verdict::Degraded { why: Cause::Unresponsive });
    assert_eq!(*gpus[0].sample, whole(0), "what was last known");
}

#[tokio::test]
async fn calls_of_the_library_itself_that_fail_are_survived() {
    for call in ["nvmlEventSetCreate", "nvmlEventSetWait_v2", "nvmlSystemGetDriverVersion"] {
        let mut fake = FakeNvml::new(1);
        fake.change(|script| script["fail"] = json!({ call: 999 }));
        let watch = fake.watch();
        let gpus = until(&watch, "a card", |gpus| all_read(gpus, 1)).await;
        assert_eq!(*gpus[0].sample, whole(0), "{call}");
    }
}

#[tokio::test]
async fn xids_arrive_by_events_within_a_second() {
    let mut fake = FakeNvml::new(2);
    // A card that refuses events does not keep them from the other.
    fake.change(|script| script["devices"][0]["fail"] = json!({ "nvmlDeviceRegisterEvents": 999 }));
    let watch = fake.watch();
    until(&watch, "two cards", |gpus| all_read(gpus, 2)).await;
    fake.listened_to(&watch, 1).await;
    let raised = Instant::now();
    fake.raise(1, 13);
    fake.raise(1, 79);
    let gpus = until(&watch, "XID 79", |gpus| gpus[1].verdict.is_failed()).await;
    assert!(raised.elapsed() < Duration::from_secs(1), "after {:?}", raised.elapsed());
    assert_eq!(failed(&gpus[1]), Some(Cause::Xid { code: 79, class: Class::OffBus }));
    assert_eq!(gpus[0].verdict, Verdict::Healthy);
}

#[tokio::test]
async fn a_reset_seen_in_the_counters_ends_what_an_xid_began() {
    let mut fake = FakeNvml::new(1);
    let watch = fake.watch();
    until(&watch, "a card", |gpus| all_read(gpus, 1)).await;
    fake.listened_to(&watch, 0).await;
    fake.raise(0, 119);
    until(&watch, "XID 119", |gpus| gpus[0].verdict.is_failed()).await;
    fake.change(|script| {
        script["devices"][0]["values"]["nvmlDeviceGetTotalEnergyConsumption"] = json!(1_000);
    });
    let gpus = until(&watch, "the reset", |gpus| !gpus[0].verdict.is_failed()).await;
    let why = Cause::Xid { code: 119, class: Class::Reset };
    assert_eq!(gpus[0].verdict, Verdict::Degraded { why }, "until it has been well for a minute");
}

#[tokio::test]
async fn a_lost_card_fails_the_others_are_read_on_and_it_is_found_again() {
    let mut fake = FakeNvml::new(3);
    let watch = fake.watch();
    until(&watch, "three cards", |gpus| all_read(gpus, 3)).await;
    let lost = Instant::now();
    fake.change(|script| {
        script["devices"][1]["lost"] = json!(true);
        script["devices"][1]["xids"] = json!([79]);
    });
    let gpus = until(&watch, "a lost card", |gpus| gpus[1].verdict.is_failed()).await;
    assert_eq!(gpus[1].sample.temperature, Some(66), "what was last known of it stays, with its age");
    // Longer than it takes to open the library anew, which happens for the lost card.
    let later = lost + MOMENT;
    let is_read_on = |gpus: &[Gpu]| is_fresh(&gpus[0], later) && is_fresh(&gpus[2], later);
    let gpus = until(&watch, "the others read on", is_read_on).await;
    let verdicts: Vec<_> = gpus.iter().map(failed).collect();
    assert_eq!(verdicts, [None, Some(Cause::Absent(Absence::Lost)), None]);
    fake.change(|script| script["devices"][1]["lost"] = json!(false));
    until(&watch, "the card again", |gpus| !gpus[1].verdict.is_failed()).await;
}

#[tokio::test]
async fn a_card_that_the_driver_lists_no_more_stays_failed_in_the_list() {
    let mut fake = FakeNvml::new(3);
    let watch = fake.watch();
    until(&watch, "three cards", |gpus| all_read(gpus, 3)).await;
    fake.change(|script| script["devices"][0]["lost"] = json!(true));
    until(&watch, "a lost card", |gpus| gpus[0].verdict.is_failed()).await;
    fake.change(|script| drop(script["devices"].as_array_mut().expect("cards").remove(0)));
    let moved =
        |gpus: &[Gpu]| gpus.iter().any(|gpu| gpu.sample.index == 1 && gpu.sample.uuid == whole(2).uuid);
    let gpus = until(&watch, "the others moved up", moved).await;
    assert_eq!(gpus.len(), 3);
    for gpu in gpus {
        assert_eq!(gpu.verdict.is_failed(), gpu.sample.uuid == whole(0).uuid, "{gpu:?}");
    }
}

#[tokio::test]
async fn a_card_that_hangs_holds_up_neither_the_others_nor_the_end() {
    let mut fake = FakeNvml::new(2);
    let watch = fake.watch();
    until(&watch, "two cards", |gpus| all_read(gpus, 2)).await;
    fake.change(|script| script["devices"][0]["hang_ms"] = json!({ "nvmlDeviceGetPowerUsage": 600_000 }));
    let gpus = until(&watch, "silence noticed", |gpus| gpus[0].verdict != Verdict::Healthy).await;
    assert_eq!(gpus[0].verdict, Verdict::Degraded { why: Cause::Unresponsive });
    assert_eq!(gpus[1].verdict, Verdict::Healthy);
    assert!(gpus[1].read_at.is_some_and(|at| at.elapsed() < MOMENT), "read on all the time");
    let ending = Instant::now();
    drop(watch);
    assert!(ending.elapsed() < MOMENT, "took {:?}", ending.elapsed());
    // Lets the thread that was left behind go.
    fake.change(|script| script["devices"][0]["hang_ms"] = json!({}));
}

#[tokio::test]
async fn a_card_that_hangs_costs_one_thread_however_often_the_library_is_opened_anew() {
    // More cards than any other test has: threads are told apart by the index in their names.
    let (lost, hung, well) = (16, 17, 18);
    let mut fake = FakeNvml::new(19);
    let watch = fake.watch();
    until(&watch, "all cards", |gpus| all_read(gpus, 19)).await;
    fake.change(|script| {
        // For this one the library is opened anew, about once a second.
        script["devices"][lost]["lost"] = json!(true);
        script["devices"][hung]["hang_ms"] = json!({ "nvmlDeviceGetPowerUsage": 600_000 });
    });
    let gpus = until(&watch, "silence noticed", |gpus| gpus[hung].verdict != Verdict::Healthy).await;
    assert_eq!(failed(&gpus[lost]), Some(Cause::Absent(Absence::Lost)));
    assert_eq!(gpus[well].verdict, Verdict::Healthy);
    assert!(gpus[well].read_at.is_some_and(|at| at.elapsed() < MOMENT), "read on all the time");
    assert_eq!(threads_named("gpu-17"), 1);
    let freed = Instant::now();
    fake.change(|script| script["devices"][hung]["hang_ms"] = json!({}));
    until(&watch, "an answer after all", |gpus| is_fresh(&gpus[hung], freed)).await;
}

fn threads_named(name: &str) -> usize {
    let threads = fs::read_dir("/proc/self/task").expect("this process has threads");
    let names = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}

#[tokio::test]
async fn a_library_that_hangs_does_not_hold_up_the_end() {
    let mut fake = FakeNvml::new(1);
    fake.change(|script| script["hang_ms"] = json!({ "nvmlInit_v2": 600_000 }));
    let watch = fake.watch();
    // Time to get there: a call that hangs cannot be seen from here.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ending = Instant::now();
    drop(watch);
    assert!(ending.elapsed() < MOMENT, "took {:?}", ending.elapsed());
    fake.change(|script| script["hang_ms"] = json!({}));
}

#[tokio::test]
async fn a_card_that_asks_for_a_reset_fails() {
    let mut fake = FakeNvml::new(1);
    let watch = fake.watch();
    until(&watch, "a card", |gpus| all_read(gpus, 1)).await;
    fake.change(|script| script["devices"][0]["fail"] = json!({ "nvmlDeviceGetPowerUsage": 16 }));
    let gpus = until(&watch, "the refusal", |gpus| gpus[0].verdict.is_failed()).await;
    assert_eq!(failed(&gpus[0]), Some(Cause::Absent(Absence::ResetRequired)));
}

#[tokio::test]
async fn a_card_that_hangs_from_the_start_is_listed_without_a_reading() {
    let mut fake = FakeNvml::new(2);
    fake.change(|script| script["devices"][1]["hang_ms"] = json!({ "nvmlDeviceGetUUID": 600_000 }));
    let watch = fake.watch();
    let is_noticed = |gpus: &[Gpu]| gpus.len() == 2 && gpus[1].verdict != Verdict::Healthy;
    let gpus = until(&watch, "silence noticed", is_noticed).await;
    assert_eq!((gpus[1].sample.index, gpus[1].read_at), (1, None));
    fake.change(|script| script["devices"][1]["hang_ms"] = json!({}));
    let gpus = until(&watch, "an answer after all", |gpus| all_read(gpus, 2)).await;
    assert_eq!(*gpus[1].sample, whole(1));
    assert_eq!(gpus[1].verdict, Verdict::Degraded { why: Cause::Unresponsive }, "one answer proves little");
}

#[tokio::test]
async fn slices_carry_the_verdict_of_their_card() {
    let mut fake = FakeNvml::new(2);
    fake.change(|script| {
        script["devices"][0]["slices"] = json!([
            { "uuid": "MIG-a", "name": "MIG 1g.10gb", "values": {
                "nvmlDeviceGetMemoryInfo_v2.total": 10, "nvmlDeviceGetMemoryInfo_v2.used": 4 } },
            { "uuid": "MIG-b" },
        ]);
    });
    let watch = fake.watch();
    let gpus = until(&watch, "cards and slices", |gpus| all_read(gpus, 4)).await;
    let slice = |place, uuid: &str| Sample {
        slice: Some(place),
        uuid: Some(uuid.into()),
        parent: whole(0).uuid,
        ..Sample::default()
    };
    let (name, memory) = (Some("MIG 1g.10gb".into()), Some(Memory { total: 10, used: 4 }));
    assert_eq!(*gpus[1].sample, Sample { name, memory, ..slice(0, "MIG-a") });
    assert_eq!(*gpus[2].sample, Sample { name: Some("".into()), ..slice(1, "MIG-b") });
    assert_eq!(*gpus[3].sample, whole(1));
    fake.change(|script| script["devices"][0]["values"]["field.145"] = json!(1));
    let gpus = until(&watch, "a failed card", |gpus| gpus[0].verdict.is_failed()).await;
    let verdicts: Vec<_> = gpus.iter().map(failed).collect();
    let why = Some(Cause::RowRemapFailed);
    assert_eq!(verdicts, [why, why, why, None]);
    fake.change(|script| drop(script["devices"][0]["slices"].as_array_mut().expect("slices").pop()));
    until(&watch, "a slice less", |gpus| gpus.len() == 3).await;
}

#[tokio::test]
async fn new_uncorrectable_errors_degrade_and_so_does_heat_that_lasts() {
    let mut fake = FakeNvml::new(2);
    let watch = fake.watch();
    until(&watch, "two cards", |gpus| all_read(gpus, 2)).await;
    fake.change(|script| {
        script["devices"][0]["values"]["nvmlDeviceGetTotalEccErrors.1.0"] = json!(2);
        script["devices"][1]["values"]["nvmlDeviceGetCurrentClocksThrottleReasons"] = json!(0x48);
    });
    let gpus = until(&watch, "new errors", |gpus| gpus[0].verdict != Verdict::Healthy).await;
    assert_eq!(gpus[0].verdict, Verdict::Degraded { why: Cause::UncorrectableEcc { errors: 2 } });
    assert_eq!(gpus[1].verdict, Verdict::Healthy, "not yet");
    let gpus = until(&watch, "heat", |gpus| gpus[1].verdict != Verdict::Healthy).await;
    assert_eq!(gpus[1].verdict, Verdict::Degraded { why: Cause::Slowed(Slowdown::Thermal) });
}

#[tokio::test]
async fn a_library_that_comes_later_is_found() {
    let fake = FakeNvml::new(1);
    fake.set_there(false);
    let watch = fake.watch();
    // Time for the first try: nothing but the log tells that it failed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(watch.gpus().borrow().is_empty());
    fake.set_there(true);
    until(&watch, "a card", |gpus| all_read(gpus, 1)).await;
}

#[tokio::test]
async fn a_driver_that_is_reloaded_is_found_again() {
    let mut fake = FakeNvml::new(2);
    let watch = fake.watch();
    until(&watch, "two cards", |gpus| all_read(gpus, 2)).await;
    // One card hears of it first. The other is not asked any more, which must count against it all the same.
    fake.change(|script| {
        script["fail"] = json!({ "nvmlInit_v2": 9 });
        script["devices"][0]["fail"] = json!({ "nvmlDeviceGetTemperature": 9 });
    });
    let is_silent = |gpu: &Gpu| gpu.verdict == Verdict::Degraded { why: Cause::Unresponsive };
    let gpus = until(&watch, "cards nobody can ask", |gpus| gpus.iter().all(is_silent)).await;
    assert_eq!(*gpus[0].sample, whole(0));
    let reloaded = Instant::now();
    fake.change(|script| {
        script["fail"] = json!({});
        script["devices"][0]["fail"] = json!({});
    });
    until(&watch, "the cards again", |gpus| gpus.iter().all(|gpu| is_fresh(gpu, reloaded))).await;
}
