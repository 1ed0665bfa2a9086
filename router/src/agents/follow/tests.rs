use tokio::{sync::mpsc, time::timeout};
use warmlane_engine::metrics::EngineKind;

use super::*;
use crate::{config::Config, world::World};

const SLOT: Slot = Slot(0);

/// A follower of one of two agents, and what it tells the writer, which takes one word at a time.
fn follower() -> (Follower, mpsc::Receiver<Update>) {
    let mut config = Config::for_endpoints(vec!["10.0.0.1:8000".to_owned()]);
    config.agents = vec!["10.0.0.1:9010".to_owned(), "10.0.0.2:9010".to_owned()];
    let world = Arc::new(World::new(&config, 1));
    let (updates, told) = mpsc::channel(1);
    let entry = Entry {
        slot: SLOT,
        address: config.endpoints[0].as_str().into(),
        node: Some("node-a".into()),
        runtime: EngineKind::Unknown,
    };
    world.roster.send_replace(Arc::new(Roster::new(vec![entry])));
    let known = Known::new(&config.agents[0], false);
    let following = Following { world, config: Arc::new(config), credentials: None, updates };
    (Follower::new(following, Post { number: 0, agent: known, node: None }, Arc::default()), told)
}

fn failed_gpu() -> told::Endpoint {
    let verdict = told::Verdict { grade: told::verdict::Grade::Failed.into(), why: "XID 79".to_owned() };
    told::Endpoint {
        address: "10.0.0.1:8000".to_owned(),
        verdict: Some(verdict),
        ..told::Endpoint::default()
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_has_said_its_last_word_before_another_may_speak() {
    let (mut follower, mut told) = follower();
    let is_free = |follower: &Follower| follower.following.world.agents.coverage.claim(1, SLOT);
    assert_eq!(follower.claimed("10.0.0.1:8000"), Some(SLOT));
    follower.merge(SLOT, failed_gpu()).await;
    // The writer has not taken that yet, so what follows it waits.
    let waits = timeout(Duration::from_secs(1), follower.lose(&Lost::Closed)).await;
    assert!(waits.is_err() && !is_free(&follower), "a word of its own is under way");
    assert!(matches!(told.recv().await, Some(Update::Gpu { health: Health::Failed(_), .. })));
    follower.spoken_for.entry(SLOT).or_default().health = Health::Failed("XID 79".into());
    follower.lose(&Lost::Closed).await;
    assert!(is_free(&follower));
    assert!(matches!(told.try_recv(), Ok(Update::GpuUntold { .. })), "it said that first");
}

#[tokio::test]
async fn an_agents_word_counts_only_for_endpoints_of_its_node() {
    let (mut follower, _told) = follower();
    for (node, counts) in [(None, true), (Some("node-a"), true), (Some("node-b"), false)] {
        follower.node = node.map(str::to_owned);
        assert_eq!(follower.claimed("10.0.0.1:8000").is_some(), counts, "an agent of {node:?}");
    }
    assert_eq!(follower.claimed("10.0.0.9:8000"), None, "nobody is there");
}

#[tokio::test]
async fn who_gets_the_number_of_one_that_left_inherits_nothing_of_what_was_said() {
    let (mut follower, mut told) = follower();
    follower.claimed("10.0.0.1:8000").expect("it is there");
    follower.merge(SLOT, failed_gpu()).await;
    assert!(matches!(told.try_recv(), Ok(Update::Gpu { .. })));
    follower.merge(SLOT, failed_gpu()).await;
    assert!(told.try_recv().is_err(), "that is known");
    follower.forget_gone(&Roster::default());
    // Another pod on the same card.
    follower.merge(SLOT, failed_gpu()).await;
    assert!(matches!(told.try_recv(), Ok(Update::Gpu { health: Health::Failed(_), .. })));
}

fn told(addresses: &[&str]) -> Vec<told::Endpoint> {
    let endpoint =
        |address: &&str| told::Endpoint { address: (*address).to_owned(), ..told::Endpoint::default() };
    addresses.iter().map(endpoint).collect()
}

#[tokio::test]
async fn whom_it_tells_of_no_longer_is_left_to_the_router_and_what_was_said_is_taken_back() {
    let (mut follower, mut writer) = follower();
    let covered = |follower: &Follower| follower.following.world.agents.coverage.is_covered(SLOT);
    let shown = |follower: &Follower| follower.agent.lock().endpoints.clone();
    let begin = told::Update { full: true, endpoints: vec![failed_gpu()], ..told::Update::default() };
    let taken = tokio::spawn(async move { (follower.take(begin).await.is_ok(), follower) });
    while let Some(update) = writer.recv().await {
        if matches!(update, Update::Gpu { .. }) {
            break;
        }
    }
    let (_, mut follower) = taken.await.expect("it is taken");
    assert!(covered(&follower));
    let came = told::Update { endpoints: told(&["10.0.0.2:8000"]), ..told::Update::default() };
    follower.take(came).await.expect("it adds up");
    assert_eq!(shown(&follower), ["10.0.0.1:8000", "10.0.0.2:8000"]);
    assert_eq!(follower.agent.lock().ignored, 1, "that one is nobody's endpoint");
    let gone =
        told::Update { gone: vec!["10.0.0.9:1".into(), "10.0.0.1:8000".into()], ..told::Update::default() };
    follower.take(gone).await.expect("it adds up");
    assert!(!covered(&follower) && shown(&follower) == ["10.0.0.2:8000"]);
    assert!(matches!(writer.try_recv(), Ok(Update::GpuUntold { slot: SLOT })));
    assert!(!follower.tells_of.contains_key("10.0.0.1:8000"), "that it joins again concerns nobody here");
}

#[tokio::test]
async fn an_agent_cannot_tell_of_more_and_more_engines() {
    let (mut follower, _told) = follower();
    for number in 0..MOST_TOLD / 2 {
        follower.tells_of.insert(format!("10.0.0.1:{number}"), None);
    }
    let update = |count, full| {
        let endpoints = vec![told::Endpoint::default(); count];
        told::Update { full, endpoints, ..told::Update::default() }
    };
    assert!(!follower.is_too_much(&update(MOST_TOLD / 2, false)), "all of them told again");
    assert!(follower.is_too_much(&update(MOST_TOLD / 2 + 1, false)));
    assert!(!follower.is_too_much(&update(MOST_TOLD, true)), "what was told before does not count");
}

#[tokio::test]
async fn who_is_not_in_the_next_full_state_is_left_to_the_router() {
    let (mut follower, _told) = follower();
    follower.claimed("10.0.0.1:8000").expect("it is there");
    let full = |addresses: &[&str]| told::Update {
        full: true,
        endpoints: told(addresses),
        ..told::Update::default()
    };
    let covered = |follower: &Follower| follower.following.world.agents.coverage.is_covered(SLOT);
    follower.leave_gone(&full(&["10.0.0.1:8000", "10.0.0.2:8000"])).await;
    assert!(covered(&follower), "it is told of still");
    follower.leave_gone(&full(&["10.0.0.2:8000"])).await;
    assert!(!covered(&follower));
}

#[tokio::test]
async fn who_has_another_number_by_now_must_be_told_of_from_the_beginning() {
    let (mut follower, _told) = follower();
    let update = |full| told::Update { full, endpoints: told(&["10.0.0.1:8000"]), ..told::Update::default() };
    follower.note(&update(true));
    let entry =
        Entry { slot: Slot(7), address: "10.0.0.1:8000".into(), node: None, runtime: EngineKind::Unknown };
    let roster = Arc::new(Roster::new(vec![entry]));
    follower.following.world.roster.send_replace(roster.clone());
    follower.note(&update(false));
    assert!(follower.has_moved(&roster), "what came in between does not hide it");
}
