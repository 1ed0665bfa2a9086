//! The router and the replicas of one route, with an agent on each node, and the measurement of it.

use std::{
    net::SocketAddr,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;
use tokio::time::MissedTickBehavior;
use warmlane_load::{Client, Pace, Progress, Prompt, Request, Run, Summary};
use warmlane_router::config::LaneMode;

use super::{
    Binaries,
    bar::Bar,
    cpu::Cpu,
    fault::{self, Fault, Incident},
    figures::Figures,
    kv::{self, Sample, Watch},
    nodes::Node,
    plan::{Engines, MODEL, Plan},
    process::Process,
    replicas::Replicas,
    route::Route,
};
use crate::envoy::{Bootstrap, Envoy};
use warmlane_xtask::interrupt;

/// How often a run is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// The router must see every replica within this time.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// A router in front of replicas.
#[derive(Debug)]
pub(super) struct Cast {
    route: Route,
    /// In front of the router, and so gone before it.
    envoy: Option<Envoy>,
    router: Process,
    /// One per simulated replica; real engines have none. Behind the router, or it would see them fall.
    nodes: Vec<Node>,
    pub(super) plain: SocketAddr,
    pub(super) aware: SocketAddr,
    pub(super) metrics: SocketAddr,
    pub(super) admin: SocketAddr,
    replicas: Vec<SocketAddr>,
}

/// What one route gave.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) route: Route,
    pub(super) figures: Figures,
    pub(super) samples: Vec<Sample>,
    /// The loaded part of the run, in wall time since its start.
    pub(super) loaded: (Duration, Duration),
    /// Share of the machine's cores that was busy.
    pub(super) busy: f64,
    /// The first failure, where there was one.
    pub(super) failure: Option<String>,
}

impl Cast {
    /// Starts the router for `route` and waits until it knows its replicas.
    pub(super) async fn start(
        plan: &Plan,
        binaries: &Binaries,
        route: Route,
        replicas: &Replicas,
    ) -> anyhow::Result<Self> {
        let replicas = replicas.addresses()?;
        let nodes = match plan.engines {
            Engines::Sim => Node::start_all(binaries, &plan.cards, &replicas)?,
            Engines::Real => Vec::new(),
        };
        let agents = nodes.iter().map(Node::address).collect::<anyhow::Result<Vec<_>>>()?;
        let mut command = Command::new(&binaries.router);
        command.args(["--endpoint", &list(&replicas)]);
        if !agents.is_empty() {
            command.args(["--agent", &list(&agents)]);
        }
        for listener in ["--plain", "--aware", "--metrics", "--admin"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        if plan.envoy {
            command.args(["--ext-proc", "127.0.0.1:0"]);
        }
        command.args(["--lane", &plan.lane.to_string()]);
        command.args(["--strategy", &plan.strategy, "--plain-policy", route.plain_policy()]);
        let mut router = Process::start("router", &mut command)?;
        router.wait()?;
        let address = |name| router.address(Some(name));
        let (plain, aware) = (address("plain")?, address("aware")?);
        let (metrics, admin) = (address("metrics")?, address("admin")?);
        let mut cast = Self { route, envoy: None, router, nodes, plain, aware, metrics, admin, replicas };
        cast.wait_until_ready().await?;
        cast.check_lane(plan.lane).await?;
        if plan.envoy {
            cast.put_envoy_before().await?;
        }
        cast.probe().await?;
        Ok(cast)
    }

    /// An error where the kernel lane was asked for and is not on.
    async fn check_lane(&self, lane: LaneMode) -> anyhow::Result<()> {
        let page: Value = serde_json::from_slice(&Client::new(self.admin).get("/debug/lane").await?)?;
        let why = page["why_off"].as_str().unwrap_or_default();
        anyhow::ensure!(lane == LaneMode::Off || page["on"] == true, "--lane {lane}: it is off: {why}");
        Ok(())
    }

    /// The share of responses so far that took the kernel lane, for people; empty where none may.
    async fn ridden(&self, lane: LaneMode) -> anyhow::Result<String> {
        if lane == LaneMode::Off {
            return Ok(String::new());
        }
        let page = String::from_utf8(Client::new(self.metrics).get("/metrics").await?)?;
        let rode = crate::metric(&page, "warmlane_lane_responses_total");
        let share = rode / crate::metric(&page, "warmlane_requests_total").max(1.0);
        Ok(format!(", {:.0} % of responses by the kernel lane", share * 100.0))
    }

    /// From here on clients speak to Envoy.
    async fn put_envoy_before(&mut self) -> anyhow::Result<()> {
        let policy = format!("lb_policy: {}", self.route.envoy_policy());
        let bootstrap =
            Bootstrap::of("override-host.yaml", self.router.address(Some("ext-proc"))?, &self.replicas)
                .change("lb_policy: ROUND_ROBIN", &policy);
        let start = move || {
            let envoy = bootstrap.start();
            envoy.wait_for_picker(true);
            envoy
        };
        let envoy = tokio::task::spawn_blocking(start).await.context("Envoy did not start")?;
        (self.plain, self.aware) = (envoy.plain(), envoy.aware());
        self.envoy = Some(envoy);
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let admin = Client::new(self.admin).with_limit(Duration::from_secs(2));
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let replicas = admin.get("/debug/endpoints").await.map(|page| ready(&page));
            let nodes = admin.get("/debug/agents").await.map(|page| connected(&page));
            if matches!((&replicas, &nodes), (Ok(ready), Ok(connected))
                if *ready == self.replicas.len() && *connected == self.nodes.len())
            {
                return Ok(());
            }
            self.router.check()?;
            self.nodes.iter_mut().try_for_each(Node::check)?;
            interrupt::checkpoint()?;
            anyhow::ensure!(
                Instant::now() < deadline,
                "after {} s the router does not see {} ready replicas and {} agents but: {replicas:?} and {nodes:?}; {}",
                READY_LIMIT.as_secs(),
                self.replicas.len(),
                self.nodes.len(),
                self.router.last_words()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One small request: if it fails, so would all.
    async fn probe(&self) -> anyhow::Result<()> {
        let client = Client::new(self.front()).with_limit(Duration::from_secs(60));
        let outcome = client.send(&Request::new(MODEL, Prompt::Text("hello".into()), 1)).await;
        match outcome.failure {
            None => Ok(()),
            Some(failure) => {
                anyhow::bail!(
                    "a first request through the router failed: {failure}\n{}",
                    self.router.last_words()
                )
            }
        }
    }

    /// The listener of this route.
    fn front(&self) -> SocketAddr {
        match self.route {
            Route::Plain | Route::PlainLeastRequest => self.plain,
            Route::Aware => self.aware,
        }
    }

    /// A fault that strikes in the load that is measured next.
    pub(super) fn incident(&self, plan: &Plan, fault: Fault) -> anyhow::Result<Incident> {
        Incident::prepare(fault, plan.due(), &self.nodes, &self.replicas, self.admin)
    }

    /// Sends the whole load and watches it.
    pub(super) async fn measure(
        &mut self,
        plan: &Plan,
        replicas: &mut Replicas,
        seed: u64,
        incident: Option<&mut Incident>,
    ) -> anyhow::Result<Measured> {
        let number = Route::ALL.iter().position(|route| *route == self.route).unwrap_or_default();
        let requests = plan.requests(seed, number);
        let mut bar = Bar::start(self.route.title(), incident.is_none().then_some(plan.prompts));
        let before = Cpu::now()?;
        let watch = Watch::start(&self.replicas);
        let run = self.send(plan, requests, replicas, &watch, &mut bar, incident).await?;
        let busy = Cpu::now()?.busy_since(before);
        let samples = watch.finish();
        let loaded = run.loaded().unwrap_or((Duration::ZERO, run.elapsed));
        let summary = Summary::new(&run, plan.time_scale);
        let figures = Figures::new(&summary, kv::spread(&samples, loaded));
        let ridden = self.ridden(plan.lane).await?;
        bar.finish(&format!("machine {:.0} % busy, {} errors{ridden}", busy * 100.0, figures.errors));
        Ok(Measured { route: self.route, figures, samples, loaded, busy, failure: summary.first_error })
    }

    async fn send(
        &mut self,
        plan: &Plan,
        requests: warmlane_load::workload::Workload,
        replicas: &mut Replicas,
        watch: &Watch,
        bar: &mut Bar,
        mut incident: Option<&mut Incident>,
    ) -> anyhow::Result<Run> {
        let progress = Arc::new(Progress::default());
        let client = Arc::new(Client::new(self.front()));
        let pace = Pace::Closed { concurrency: plan.concurrency };
        let mut run = std::pin::pin!(warmlane_load::run(client, pace, requests, Arc::clone(&progress)));
        let mut glances = tokio::time::interval(if incident.is_some() { fault::GLANCE } else { GLANCE });
        glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                run = &mut run => return Ok(run),
                _ = glances.tick() => {
                    interrupt::checkpoint()?;
                    self.check(replicas)?;
                    if let Some(incident) = incident.as_deref_mut() {
                        incident.look(&mut self.nodes, &progress, bar).await?;
                    }
                    bar.show(&progress, &watch.latest());
                }
            }
        }
    }

    /// An error once the router, an agent or a replica has ended.
    pub(super) fn check(&mut self, replicas: &mut Replicas) -> anyhow::Result<()> {
        self.router.check()?;
        self.nodes.iter_mut().try_for_each(Node::check)?;
        replicas.check().context("a replica is gone")
    }
}

/// How many replicas the router calls ready on its debug page.
fn ready(page: &[u8]) -> usize {
    count(page, "endpoints", "ready")
}

/// How many agents the router follows.
fn connected(page: &[u8]) -> usize {
    count(page, "agents", "connected")
}

/// Rows of a debug page of which this is true.
fn count(page: &[u8], rows: &str, what: &str) -> usize {
    let page: Value = serde_json::from_slice(page).unwrap_or_default();
    let rows = page[rows].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().filter(|row| row[what] == true).count()
}

/// As flags take several addresses.
fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::{connected, ready};

    #[test]
    fn only_ready_replicas_are_counted() {
        assert_eq!(ready(br#"{"endpoints":[{"ready":true},{"ready":false},{"ready":true}]}"#), 2);
        assert_eq!(ready(b"not json"), 0);
    }

    #[test]
    fn only_connected_agents_are_counted() {
        assert_eq!(connected(br#"{"agents":[{"connected":false},{"connected":true}]}"#), 1);
    }
}
