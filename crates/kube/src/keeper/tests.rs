//! The keeper with news by hand and a clock that stands still.

use serde_json::json;
use tokio::{sync::mpsc::Sender, time::advance};

use super::*;
use crate::{
    error::Trouble,
    members::Members,
    name::ObjectName,
    objects::{Kind, Meta, reduce},
};

/// The addresses of the pool `default/qwen`.
#[derive(Debug, Default, PartialEq)]
struct Desired {
    found: bool,
    addresses: Vec<String>,
    troubles: Vec<String>,
    stands_on_all: bool,
}

struct Scene {
    news: Sender<News>,
    desired: watch::Receiver<Arc<Desired>>,
    _task: tokio::task::JoinHandle<()>,
}

impl Scene {
    fn new(kinds: &[Kind]) -> Self {
        let (news, inbox) = mpsc::channel(64);
        let (sender, desired) = watch::channel(Arc::default());
        let sources = kinds.iter().map(|kind| source(*kind)).collect();
        let keeper = Keeper::new(resolve, sources, sender);
        Self { news, desired, _task: tokio::spawn(keeper.run(inbox)) }
    }

    async fn tell(&self, kind: Kind, what: What) {
        self.news.send(News { source: source(kind), what }).await.expect("keeper");
    }

    async fn pool(&self, port: u16) {
        let pool = json!({"spec": {"selector": {"app": "qwen"}, "targetPortNumber": port}});
        let object = reduce(Kind::PoolX, &pool, Meta::default());
        self.tell(Kind::PoolX, What::Listed(vec![(ObjectName::new("default", "qwen"), object)])).await;
    }

    async fn pod(&self, ip: &str) {
        let pod = json!({"metadata": {"labels": {"app": "qwen"}}, "status": {"podIP": ip}});
        let object = reduce(Kind::Pod, &pod, Meta::default());
        self.tell(Kind::Pod, What::Applied(ObjectName::new("default", "a"), Box::new(object))).await;
    }

    fn addresses(&self) -> Vec<String> {
        self.desired.borrow().addresses.clone()
    }
}

impl Resolved for Desired {
    fn troubles(&mut self) -> &mut Vec<String> {
        &mut self.troubles
    }

    fn stands(&mut self, on_all: bool) {
        self.stands_on_all = on_all;
    }
}

fn resolve(objects: &Objects) -> Desired {
    let name = ObjectName::new("default", "qwen");
    let Some(declared) = objects.pool(&name) else { return Desired::default() };
    let members = Members::select(objects, &objects.pools());
    let replicas = members.replicas(&name, &declared.pool.ports);
    let addresses = replicas.into_iter().map(|replica| replica.address).collect();
    Desired { found: true, addresses, ..Desired::default() }
}

fn source(kind: Kind) -> Source {
    Source { kind, namespace: Some("default".to_owned()) }
}

fn away() -> What {
    What::Failing(Trouble::Unreachable("refused".to_owned()))
}

/// Lets the keeper take in what waits; the clock stays.
async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_before_pools_and_pods_were_read() {
    let mut scene = Scene::new(&[Kind::PoolX, Kind::Pod, Kind::Model]);
    scene.pool(1).await;
    scene.tell(Kind::Pod, away()).await;
    scene.tell(Kind::Model, away()).await;
    settle().await;
    advance(GATHER * 3).await;
    settle().await;
    assert!(!scene.desired.borrow().found, "the pods are not known");
    assert_eq!(scene.desired.borrow().troubles.len(), 1, "what stands in the way is");
    scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
    scene.desired.wait_for(|desired| desired.found).await.expect("without the models, which can wait");
}

#[tokio::test(start_paused = true)]
async fn what_is_forbidden_or_absent_is_not_waited_for() {
    let mut scene = Scene::new(&[Kind::PoolX, Kind::PoolV1, Kind::Pod]);
    scene.pool(1).await;
    scene.tell(Kind::PoolV1, What::Failing(Trouble::Absent)).await;
    let forbidden = Trouble::Forbidden { verb: "list", says: "no".to_owned() };
    scene.tell(Kind::Pod, What::Failing(forbidden)).await;
    scene.desired.changed().await.expect("published");
    let troubles = scene.desired.borrow().troubles.clone();
    assert!(troubles.iter().any(|trouble| trouble.contains("not allowed to list pods")), "{troubles:?}");
    assert!(!troubles.iter().any(|trouble| trouble.contains("CRDs")), "one version is there: {troubles:?}");
    assert!(!scene.desired.borrow().stands_on_all, "pods are not known");
    scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
    scene.desired.wait_for(|desired| desired.stands_on_all).await.expect("all is known or not there");
}

#[tokio::test(start_paused = true)]
async fn news_are_gathered_from_the_first_and_later_ones_do_not_delay_it() {
    let mut scene = Scene::new(&[Kind::PoolX, Kind::Pod]);
    scene.pool(1).await;
    scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
    scene.desired.changed().await.expect("published");
    let begun = Instant::now();
    for last in 1..=8 {
        scene.pod(&format!("10.0.0.{last}")).await;
        settle().await;
        if scene.desired.has_changed().expect("keeper") {
            break;
        }
        advance(GATHER / 4).await;
        settle().await;
    }
    assert_eq!(begun.elapsed(), GATHER);
    assert_eq!(scene.addresses(), ["10.0.0.4:1"], "what had come until then");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_changes_nothing_of_what_is_served() {
    let mut scene = Scene::new(&[Kind::PoolX, Kind::Pod]);
    scene.pool(1).await;
    scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
    scene.pod("10.0.0.1").await;
    scene.desired.changed().await.expect("published");
    for kind in [Kind::PoolX, Kind::Pod] {
        scene.tell(kind, away()).await;
    }
    scene.desired.changed().await.expect("the trouble");
    advance(Duration::from_secs(600)).await;
    settle().await;
    assert_eq!(scene.addresses(), ["10.0.0.1:1"]);
    assert!(scene.desired.borrow().found);
    assert_eq!(scene.desired.borrow().troubles.len(), 1, "{:?}", scene.desired.borrow().troubles);
    for kind in [Kind::PoolX, Kind::Pod] {
        scene.tell(kind, What::Working).await;
    }
    scene.desired.wait_for(|desired| desired.troubles.is_empty()).await.expect("over");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_pools_is_told_once_and_quietly_about_the_rest() {
    let mut scene = Scene::new(&[Kind::PoolX, Kind::PoolV1, Kind::Model, Kind::Pod]);
    for kind in [Kind::PoolX, Kind::PoolV1, Kind::Model] {
        scene.tell(kind, What::Listed(Vec::new())).await;
        scene.tell(kind, What::Failing(Trouble::Absent)).await;
    }
    scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
    scene.desired.changed().await.expect("published");
    let troubles = scene.desired.borrow().troubles.clone();
    assert_eq!(troubles.iter().filter(|trouble| trouble.contains("CRDs")).count(), 1, "{troubles:?}");
    assert!(!troubles.iter().any(|trouble| trouble.contains("inferencemodels")), "{troubles:?}");
}

fn busy(code: u16) -> What {
    What::Failing(Trouble::Busy { code, says: "broken".to_owned() })
}

#[tokio::test(start_paused = true)]
async fn one_version_of_pools_that_cannot_be_read_is_waited_for_and_then_named() {
    let mut scene = Scene::new(&[Kind::PoolX, Kind::PoolV1, Kind::Pod]);
    scene.pool(1).await;
    scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
    scene.tell(Kind::PoolV1, busy(500)).await;
    settle().await;
    advance(sources::WAIT - GATHER).await;
    settle().await;
    assert!(!scene.desired.borrow().found, "it may still be read");
    advance(GATHER).await;
    scene.desired.wait_for(|desired| desired.found).await.expect("published");
    let now = scene.desired.borrow().clone();
    assert!(now.found && now.troubles.iter().any(|trouble| trouble.contains("answered 500")), "{now:?}");
    scene.tell(Kind::PoolV1, What::Listed(Vec::new())).await;
    scene.tell(Kind::PoolV1, What::Working).await;
    scene.desired.wait_for(|desired| desired.troubles.is_empty()).await.expect("over");
}

#[tokio::test(start_paused = true)]
async fn a_version_of_pools_that_is_met_by_silence_is_named_too() {
    let mut scene = Scene::new(&[Kind::PoolX, Kind::PoolV1, Kind::Pod]);
    scene.pool(1).await;
    scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
    scene.tell(Kind::PoolV1, away()).await;
    settle().await;
    advance(sources::WAIT).await;
    scene.desired.wait_for(|desired| desired.found).await.expect("published");
    let troubles = scene.desired.borrow().troubles.clone();
    let named = "inferencepools.inference.networking.k8s.io in namespace default: not read yet";
    assert!(troubles.iter().any(|trouble| trouble.contains(named)), "{troubles:?}");
}

#[tokio::test(start_paused = true)]
async fn pods_that_pass_no_word_are_not_taken_for_none_however_long_it_lasts() {
    for passing in [busy(429), busy(503), away()] {
        let mut scene = Scene::new(&[Kind::PoolX, Kind::Pod]);
        scene.pool(1).await;
        scene.tell(Kind::Pod, passing).await;
        settle().await;
        advance(sources::WAIT * 3).await;
        settle().await;
        assert!(!scene.desired.borrow().found, "pools without pods");
        scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
        scene.desired.wait_for(|desired| desired.found).await.expect("published");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_passes_changes_nothing_of_what_is_known() {
    let mut scene = Scene::new(&[Kind::PoolX, Kind::Pod]);
    scene.pool(1).await;
    scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
    scene.pod("10.0.0.1").await;
    scene.desired.changed().await.expect("published");
    scene.tell(Kind::Pod, busy(429)).await;
    scene.desired.changed().await.expect("the trouble");
    assert_eq!(
        (scene.addresses(), scene.desired.borrow().troubles.len()),
        (vec!["10.0.0.1:1".to_owned()], 1)
    );
}
