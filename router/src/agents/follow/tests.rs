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
