//! A router that watches a fleet: what it takes at rest, while pods come and go, and until it knows the last of it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    Args,
    figures::{Engines, Figures, What},
    fleet::{Fleet, told},
};
use crate::{
    nodes::{engines, programs::Router},
    proxy::running::free_address,
};

/// Pods of the cluster that churns.
const PODS: usize = 1_000;
/// Smaller ones, to see what a pod costs.
const FEWER: [usize; 2] = [100, 300];
/// How long the cluster churns.
const CHURN: Duration = Duration::from_secs(10);
/// How long CPU is looked at while nothing changes; before that, how long what a start takes is let pass.
const REST: Duration = Duration::from_secs(5);
const CALM: Duration = Duration::from_secs(2);
/// Between two looks at the router.
const LOOK: Duration = Duration::from_millis(10);
/// What is not known by then will not be.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fleet, a router that watches it, and the engines of its pods.
struct Scene {
    fleet: Fleet,
    router: Router,
    answers: bool,
    _engines: Option<engines::Engines>,
    _folder: tempfile::TempDir,
}

pub(super) async fn measure(args: &Args, engines: Engines, figures: &mut Figures) -> anyhow::Result<()> {
    for pods in FEWER {
        Scene::new(args, engines, pods).await?.rest(engines, pods, figures).await;
    }
    let mut scene = Scene::new(args, engines, PODS).await?;
    scene.rest(engines, PODS, figures).await;
    let (before, began) = (scene.router.program.cpu_seconds(), Instant::now());
    let last = scene.fleet.churn(CHURN).await?;
    let share = (scene.router.program.cpu_seconds() - before) / began.elapsed().as_secs_f64();
    scene.known().await?;
    figures.add(What::Converged, engines, last.elapsed().as_secs_f64() * 1e3);
    figures.add(What::Churning, engines, share * 100.0);
    figures.add(What::Peak, engines, scene.router.program.peak_mb());
    Ok(())
}

/// Only the churn.
pub(super) async fn only(args: &Args, seconds: u64) -> anyhow::Result<()> {
    let mut scene = Scene::new(args, args.engines, PODS).await?;
    scene.fleet.churn(Duration::from_secs(seconds)).await?;
    scene.known().await
}

// === Scene ===

impl Scene {
    /// One where everything is known.
    async fn new(args: &Args, engines: Engines, pods: usize) -> anyhow::Result<Self> {
        let answering = match engines {
            Engines::Answer => Some(engines::Engines::everywhere().await?),
            Engines::Refuse => None,
        };
        let port = match &answering {
            Some(engines) => engines.addresses[0].port(),
            None => free_address()?.port(),
        };
        let (fleet, folder) = (Fleet::new(pods, port)?, tempfile::tempdir()?);
        let options = fleet.options(&folder.path().join("kubeconfig"))?;
        let router = Router::spawn(&args.router, options.into_iter())?;
        let answers = answering.is_some();
        let mut scene = Self { fleet, router, answers, _engines: answering, _folder: folder };
        scene.known().await?;
        Ok(scene)
    }

    /// Waits until the router knows what the cluster has: of each pool how many and how many are ready, and who they are.
    async fn known(&mut self) -> anyhow::Result<()> {
        let (counts, addresses) = (self.fleet.counts(self.answers), self.fleet.addresses());
        let until = Instant::now() + PATIENCE;
        loop {
            // A router that has just started does not listen yet.
            let page = self.router.get("/debug/pools").await.unwrap_or_default();
            let found = told(&page);
            if found == counts && self.addresses().await? == addresses {
                return Ok(());
            }
            let wrong = counts.iter().find(|(name, count)| found.get(*name) != Some(count));
            anyhow::ensure!(
                Instant::now() < until,
                "the router does not know {wrong:?}: {}",
                self.router.program.said()
            );
            sleep(LOOK).await;
        }
    }

    async fn addresses(&mut self) -> anyhow::Result<BTreeSet<String>> {
        let page = self.router.get("/debug/endpoints").await?;
        let rows = page["endpoints"].as_array().into_iter().flatten();
        Ok(rows.filter_map(|row| row["address"].as_str().map(str::to_owned)).collect())
    }

    /// What it takes while nothing changes.
    async fn rest(&mut self, engines: Engines, pods: usize, figures: &mut Figures) {
        sleep(CALM).await;
        let (before, began) = (self.router.program.cpu_seconds(), Instant::now());
        sleep(REST).await;
        let share = (self.router.program.cpu_seconds() - before) / began.elapsed().as_secs_f64();
        figures.add(What::Idle(pods), engines, share * 100.0);
        figures.add(What::Resident(pods), engines, self.router.program.resident_mb());
    }
}
