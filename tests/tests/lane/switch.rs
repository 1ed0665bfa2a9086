//! A lane that is switched off by hand, and on again.

use warmlane_tests::admin::{Answer, Door};

use super::*;

fn node() -> (Node, Door, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("admin.sock");
    let node = Node::with(|config| config.admin.socket.clone_from(&path));
    (node, Door::socket(&path), folder)
}

fn switch(door: &Door, on: bool) -> Answer {
    let answer = door.ask("POST", "/debug/lane", "", &format!("{{\"on\": {on}}}"));
    assert_eq!((answer.status, &answer.page["on"]), (200, &on.into()), "{answer:?}");
    answer
}

#[test]
fn what_rides_when_it_is_switched_off_goes_on_and_nothing_new_does() {
    let (mut node, door, _folder) = node();
    let mut client = node.router.aware();
    node.begin(&mut client);
    node.say_by_lane(3);
    assert_eq!(switch(&door, false).page["changed"], true);
    let page = node.router.admin().get("/debug/lane").json();
    assert!(page["why_off"].as_str().is_some_and(|why| why.contains("by hand")), "{page}");
    assert_eq!((&page["on"], node.router.metric("warmlane_lane_on")), (&false.into(), 0.0));
    for _ in 0..3 {
        node.say_event();
    }
    node.finish();
    assert_eq!(client.take(node.said.len()), node.said, "every byte, in its order");
    eventually("it is done", || node.router.in_flight() == 0);
    let carried = node.carried();
    node.copied(&mut client);
    assert_eq!((node.carried(), node.rides()), (carried, 1.0));
    assert_eq!(switch(&door, false).page["changed"], false);
    assert_eq!(switch(&door, true).page["changed"], true);
    node.begin(&mut client);
    node.say_by_lane(3);
    node.finish();
    assert_eq!(client.take(node.said.len()), node.said);
    eventually("it is counted", || node.rides() == 2.0);
    assert_eq!(ended(&node.router, "lane"), 0.0);
}

#[test]
fn a_response_that_has_begun_gets_no_order_after_it_was_switched_off() {
    let (mut node, door, _folder) = node();
    let mut client = node.router.aware();
    node.begin(&mut client);
    switch(&door, false);
    for _ in 0..5 {
        let event = node.say_event();
        assert_eq!(client.take(event.len()), event);
        thread::sleep(Duration::from_millis(2));
    }
    node.finish();
    assert_eq!(client.take(END.len()), END);
    let refused = "warmlane_lane_refusals_total{reason=\"off\"}";
    eventually("it is told", || node.router.metric(refused) == 1.0);
    assert_eq!((node.carried(), node.rides()), (0.0, 0.0));
}
