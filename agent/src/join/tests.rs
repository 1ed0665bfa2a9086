use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::gpu::{Cause, Sample};

const HEALTHY: Verdict = Verdict::Healthy;
const DEGRADED: Verdict = Verdict::Degraded { why: Cause::Unresponsive };
const FAILED: Verdict = Verdict::Failed { why: Cause::RowRemapFailed };

fn gpu(uuid: &str, parent: Option<&str>, verdict: Verdict) -> Gpu {
    let sample = Sample { uuid: Some(uuid.into()), parent: parent.map(Arc::from), ..Sample::default() };
    Gpu { sample: Arc::new(sample), verdict, read_at: None }
}

fn pod(name: &str, devices: &[&str]) -> Pod {
    Pod { name: name.parse().expect("a name"), devices: devices.iter().map(|id| (*id).to_owned()).collect() }
}

fn name(text: &str) -> PodName {
    text.parse().expect("a name")
}

#[test]
fn an_engine_has_its_pods_devices_and_the_worst_verdict_on_them() {
    let gpus = [gpu("GPU-0", None, HEALTHY), gpu("GPU-1", None, DEGRADED), gpu("GPU-2", None, FAILED)];
    let pods =
        [pod("llm/a", &["GPU-0", "GPU-1"]), pod("llm/b", &["GPU-1", "GPU-2"]), pod("llm/c", &["GPU-0"])];
    let verdict = |pod: &str| join(Some(&name(pod)), 3, &gpus, Some(&pods));
    let joined = |gpus: &[&str], verdict| Joined {
        gpus: gpus.iter().map(|id| (*id).to_owned()).collect(),
        verdict: Some(verdict),
    };
    assert_eq!(verdict("llm/a"), joined(&["GPU-0", "GPU-1"], DEGRADED));
    assert_eq!(verdict("llm/b"), joined(&["GPU-1", "GPU-2"], FAILED));
    assert_eq!(verdict("llm/c"), joined(&["GPU-0"], HEALTHY));
    assert_eq!(verdict("other/a"), Joined::default(), "the same name in another namespace is another pod");
}

#[test]
fn a_slice_has_its_own_verdict_and_its_cards_failure() {
    let pods = [pod("llm/a", &["MIG-a"])];
    for (card, slice, verdict) in [
        (HEALTHY, HEALTHY, HEALTHY),
        (HEALTHY, DEGRADED, DEGRADED),
        (DEGRADED, HEALTHY, HEALTHY),
        (FAILED, HEALTHY, FAILED),
        (HEALTHY, FAILED, FAILED),
    ] {
        let gpus = [gpu("GPU-0", None, card), gpu("MIG-a", Some("GPU-0"), slice), gpu("GPU-1", None, FAILED)];
        let joined = join(Some(&name("llm/a")), 2, &gpus, Some(&pods));
        assert_eq!(joined.verdict, Some(verdict), "{card:?} {slice:?}");
    }
}

#[test]
fn a_device_that_nvml_does_not_show_is_named_and_not_judged() {
    let joined = join(Some(&name("llm/a")), 2, &[], Some(&[pod("llm/a", &["GPU-9"])]));
    assert_eq!(joined, Joined { gpus: vec!["GPU-9".to_owned()], verdict: None });
}

#[test]
fn a_pod_without_devices_does_not_go_down_with_the_nodes_only_gpu() {
    let gpus = [gpu("GPU-0", None, FAILED)];
    assert_eq!(join(Some(&name("llm/cpu")), 1, &gpus, Some(&[])), Joined::default());
}

#[test]
fn where_nobody_knows_only_clear_nodes_are_joined() {
    let gpus = [gpu("GPU-0", None, FAILED), gpu("GPU-1", None, HEALTHY)];
    let a = name("llm/a");
    for (pod, pods) in [(Some(&a), None), (None, Some(&[][..])), (None, None)] {
        assert_eq!(join(pod, 1, &gpus, pods).verdict, Some(FAILED));
        assert_eq!(join(pod, 7, &gpus[..1], pods).verdict, Some(FAILED));
        assert_eq!(join(pod, 2, &gpus, pods), Joined::default());
    }
}

/// Cards, each with a verdict.
fn cards() -> impl Strategy<Value = Vec<Gpu>> {
    let verdict = prop_oneof![Just(HEALTHY), Just(DEGRADED), Just(FAILED)];
    let named = |verdicts: Vec<Verdict>| {
        verdicts.into_iter().enumerate().map(|(n, verdict)| gpu(&format!("GPU-{n}"), None, verdict)).collect()
    };
    prop::collection::vec(verdict, 0..8).prop_map(named)
}

proptest! {
    #[test]
    fn a_failure_reaches_exactly_the_pods_that_have_the_card(
        gpus in cards(),
        has in prop::collection::vec(prop::collection::btree_set(0..8usize, 0..4), 1..6),
    ) {
        let pods: Vec<Pod> = has.iter().enumerate().map(|(n, cards)| Pod {
            name: name(&format!("llm/p{n}")),
            devices: cards.iter().map(|card| format!("GPU-{card}")).collect(),
        }).collect();
        for (pod, cards) in pods.iter().zip(&has) {
            let joined = join(Some(&pod.name), pods.len(), &gpus, Some(&pods));
            let is_failed = |card: &usize| gpus.get(*card).is_some_and(|gpu| gpu.verdict.is_failed());
            prop_assert_eq!(joined.verdict.is_some_and(Verdict::is_failed), cards.iter().any(is_failed));
            prop_assert_eq!(joined.gpus, pod.devices.clone());
        }
    }
}
