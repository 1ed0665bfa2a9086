//! A lane on a cgroup that is named: the wrong one, and one that goes.

use std::path::Path;

use warmlane_router::lane::Lane;
use warmlane_tests::lane::object;

use super::*;

/// What a router says that is told to use this one.
fn why_off(cgroup: &Path) -> String {
    let mut config = Config::for_endpoints(vec!["127.0.0.1:1".to_owned()]);
    (config.lane.mode, config.lane.object) = (LaneMode::All, object());
    config.lane.cgroup = cgroup.to_owned();
    Lane::lay(&config).why_off().expect("it is off").to_owned()
}

#[test]
fn a_folder_that_is_no_cgroup_is_told_with_its_flag() {
    let why = why_off(Path::new("/proc"));
    assert!(why.contains("/proc: not a cgroup of version 2") && why.contains("--lane-cgroup"), "{why}");
}

#[test]
fn a_cgroup_that_the_router_is_not_below_is_told_with_its_flag() {
    let cgroup = Cgroup::new();
    let why = why_off(cgroup.path());
    let named = format!("not below the cgroup {} (--lane-cgroup)", cgroup.path().display());
    assert!(why.contains(&named), "{why}");
    cgroup.enter();
    let mut node = Node::with(|config| config.lane.cgroup = cgroup.path().to_owned());
    let mut client = node.router.aware();
    node.begin(&mut client);
    node.say_by_lane(1);
}

#[test]
fn a_lane_whose_cgroup_is_removed_is_off_and_responses_are_copied() {
    let cgroup = Cgroup::new();
    cgroup.enter();
    let mut node = Node::with(|config| config.lane.cgroup = cgroup.path().to_owned());
    let mut client = node.router.aware();
    node.begin(&mut client);
    node.say_by_lane(2);
    let carried = node.carried();
    cgroup.remove();
    eventually("it is noticed", || node.router.metric("warmlane_lane_on") == 0.0);
    let page = node.router.admin().get("/debug/lane").json();
    assert!(page["why_off"].as_str().is_some_and(|why| why.contains("was removed")), "{page}");
    assert_eq!(page["on"], false, "{page}");
    node.finish();
    assert_eq!(client.take(node.said.len()), node.said);
    node.begin(&mut client);
    for _ in 0..4 {
        let event = node.say_event();
        assert_eq!(client.take(event.len()), event);
        thread::sleep(Duration::from_millis(2));
    }
    node.finish();
    assert_eq!(client.take(END.len()), END);
    assert_eq!((node.carried(), node.rides()), (carried, 1.0), "what was counted stays");
}
