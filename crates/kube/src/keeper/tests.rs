//! The keeper with news by hand and a clock that stands still.

use serde_json::json;
use tokio::{sync::mpsc::Sender, time::advance};

use super::*;
use crate::{
    members::Members,
    name::ObjectName,
    objects::{Meta, reduce},
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
    let mut members = Members::select(objects, &objects.pools());
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
    assert!(!scene.desired.has_changed().expect("keeper"), "the pods are not known");
    scene.tell(Kind::Pod, What::Listed(Vec::new())).await;
    scene.desired.changed().await.expect("published");
    assert!(scene.desired.borrow().found, "without the models, which can wait");
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
