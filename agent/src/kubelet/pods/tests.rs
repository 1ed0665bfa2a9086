use proptest::prelude::*;
use warmlane_api::podresources::ContainerResources;

use super::*;

fn container(resource: &str, ids: &[&str]) -> ContainerResources {
    let device_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let devices = vec![ContainerDevices { resource_name: resource.to_owned(), device_ids }];
    ContainerResources { name: "engine".to_owned(), devices }
}

fn pod(name: &str, containers: Vec<ContainerResources>) -> PodResources {
    PodResources { name: name.to_owned(), namespace: "llm".to_owned(), containers }
}

/// The devices of one pod whose containers have these.
fn devices(containers: Vec<ContainerResources>) -> Vec<String> {
    let pods = pods(&ListPodResourcesResponse { pod_resources: vec![pod("vllm-0", containers)] });
    pods.into_iter().flat_map(|pod| pod.devices).collect()
}

#[test]
fn cards_slices_and_shares_of_time_are_known_by_their_uuid() {
    let told = |resource, ids: &[&str]| devices(vec![container(resource, ids)]);
    assert_eq!(told("nvidia.com/gpu", &["GPU-b", "GPU-a"]), ["GPU-a", "GPU-b"]);
    assert_eq!(told("nvidia.com/gpu.shared", &["GPU-a::3", "GPU-a::0"]), ["GPU-a"]);
    assert_eq!(told("nvidia.com/mig-1g.10gb", &["MIG-a", "MIG-b::1"]), ["MIG-a", "MIG-b"]);
    assert_eq!(told("nvidia.com/gpu", &["MIG-GPU-a/13/0"]), ["MIG-GPU-a/13/0"]);
    assert_eq!(told("aliyun.com/gpu-count", &["GPU-a"]), ["GPU-a"]);
}

#[test]
fn what_names_no_card_is_not_taken() {
    for (resource, id) in [
        ("rdma/hca", "GPU-a"),
        ("amd.com/gpu", "GPU-a"),
        ("nvidia.com/gpu", "0"),
        ("nvidia.com/gpu", ""),
        ("nvidia.com/gpu", "nvidia0/vgpu3"),
        ("aliyun.com/gpu-mem", "GPU-a-_-17"),
        ("nvidia.com/gpu", "GPU-a\n\u{1b}[31m"),
        ("nvidia.com/gpu", &format!("GPU-{}", "a".repeat(200))),
    ] {
        assert!(devices(vec![container(resource, &[id])]).is_empty(), "{resource} {id}");
    }
}

#[test]
fn a_pod_has_what_its_containers_have_and_pods_without_are_left_out() {
    let both =
        vec![container("nvidia.com/gpu", &["GPU-a"]), container("nvidia.com/gpu", &["GPU-b", "GPU-a"])];
    let answer = ListPodResourcesResponse {
        pod_resources: vec![
            pod("cpu", vec![container("cpu", &["GPU-a"])]),
            pod("empty", Vec::new()),
            pod("two", both),
        ],
    };
    let found = pods(&answer);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.to_string(), found[0].devices.len()), ("llm/two".to_owned(), 2));
}

#[test]
fn an_answer_out_of_all_bounds_leaves_no_more_than_the_bounds() {
    let ids: Vec<String> = (0..1_000).map(|n| format!("GPU-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let many = (0..2_000).map(|n| pod(&format!("p{n}"), vec![container("nvidia.com/gpu", &ids)])).collect();
    let found = pods(&ListPodResourcesResponse { pod_resources: many });
    assert_eq!((found.len(), found[0].devices.len()), (MOST_PODS, MOST_DEVICES));
}

#[test]
fn a_pods_name_is_one_that_kubernetes_allows() {
    for good in ["default/vllm-0", "a/b", "llm/qwen3.v1-7b"] {
        assert_eq!(good.parse::<PodName>().expect(good).to_string(), good);
    }
    let long = format!("a/{}", "b".repeat(254));
    for bad in [
        "", "/", "vllm-0", "default/", "/vllm-0", "a/b/c", "A/b", "a/B", "a.b/c", "-a/b", "a/b-", "a/b c",
        &long,
    ] {
        assert!(bad.parse::<PodName>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn whatever_stands_behind_two_colons_the_card_is_the_same(card in "GPU-[0-9a-f]{1,36}", share in ".{0,8}") {
        let id = format!("{card}::{share}");
        prop_assert_eq!(uuid(&id), Some(card.as_str()));
    }

    #[test]
    fn no_id_and_no_name_panics(id in ".*", name in ".*") {
        let told = uuid(&id);
        prop_assert!(told.is_none_or(|uuid| id.starts_with(uuid)));
        if let Ok(pod) = name.parse::<PodName>() {
            prop_assert_eq!(pod.to_string(), name);
        }
    }
}
