//! The router and the replicas of one route, and the measurement of it.

use std::{
    net::SocketAddr,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use warmlane_load::{Client, Pace, Progress, Prompt, Request, Run, Summary};

use super::{
    Binaries,
    bar::Bar,
    cpu::Cpu,
    figures::Figures,
    kv::{self, Sample, Watch},
    plan::{MODEL, Plan},
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
        let endpoints: Vec<String> = replicas.iter().map(ToString::to_string).collect();
        let mut command = Command::new(&binaries.router);
        command.args(["--endpoint", &endpoints.join(",")]);
        for listener in ["--plain", "--aware", "--metrics", "--admin"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        if plan.envoy {
            command.args(["--ext-proc", "127.0.0.1:0"]);
        }
        command.args(["--strategy", &plan.strategy, "--plain-policy", route.plain_policy()]);
        let mut router = Process::start("router", &mut command)?;
        router.wait()?;
        let address = |name| router.address(Some(name));
        let (plain, aware) = (address("plain")?, address("aware")?);
        let (metrics, admin) = (address("metrics")?, address("admin")?);
        let mut cast = Self { route, envoy: None, router, plain, aware, metrics, admin, replicas };
        cast.wait_until_ready().await?;
        if plan.envoy {
            cast.put_envoy_before().await?;
        }
        cast.probe().await?;
        Ok(cast)
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
            let seen = admin.get("/debug/endpoints").await.map(|page| ready(&page));
            if matches!(seen, Ok(count) if count == self.replicas.len()) {
                return Ok(());
            }
            self.router.check()?;
            interrupt::checkpoint()?;
            anyhow::ensure!(
                Instant::now() < deadline,
                "after {} s the router does not see {} ready replicas but: {seen:?}; {}",
                READY_LIMIT.as_secs(),
                self.replicas.len(),
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

    /// Sends the whole load and watches it.
    pub(super) async fn measure(
        &mut self,
        plan: &Plan,
        replicas: &mut Replicas,
        seed: u64,
    ) -> anyhow::Result<Measured> {
        let number = Route::ALL.iter().position(|route| *route == self.route).unwrap_or_default();
        let requests = plan.requests(seed, number);
        let mut bar = Bar::start(self.route.title(), plan.prompts);
        let before = Cpu::now()?;
        let watch = Watch::start(&self.replicas);
        let run = self.send(plan, requests, replicas, &watch, &mut bar).await?;
        let busy = Cpu::now()?.busy_since(before);
        let samples = watch.finish();
        let loaded = run.loaded().unwrap_or((Duration::ZERO, run.elapsed));
        let summary = Summary::new(&run, plan.time_scale);
        let figures = Figures::new(&summary, kv::spread(&samples, loaded));
        bar.finish(&format!("machine {:.0} % busy, {} errors", busy * 100.0, figures.errors));
        Ok(Measured { route: self.route, figures, samples, loaded, busy, failure: summary.first_error })
    }

    async fn send(
        &mut self,
        plan: &Plan,
        requests: warmlane_load::workload::Workload,
        replicas: &mut Replicas,
        watch: &Watch,
        bar: &mut Bar,
    ) -> anyhow::Result<Run> {
        let progress = Arc::new(Progress::default());
        let client = Arc::new(Client::new(self.front()));
        let pace = Pace::Closed { concurrency: plan.concurrency };
        let mut run = std::pin::pin!(warmlane_load::run(client, pace, requests, Arc::clone(&progress)));
        let mut glances = tokio::time::interval(GLANCE);
        loop {
            tokio::select! {
                run = &mut run => return Ok(run),
                _ = glances.tick() => {
                    interrupt::checkpoint()?;
                    self.check(replicas)?;
                    bar.show(&progress, &watch.latest());
                }
            }
        }
    }

    /// An error once the router or a replica has ended.
    pub(super) fn check(&mut self, replicas: &mut Replicas) -> anyhow::Result<()> {
        self.router.check()?;
        replicas.check().context("a replica is gone")
    }
}

/// How many replicas the router calls ready on its debug page.
fn ready(page: &[u8]) -> usize {
    let page: serde_json::Value = serde_json::from_slice(page).unwrap_or_default();
    let endpoints = page["endpoints"].as_array().map_or(&[][..], Vec::as_slice);
    endpoints.iter().filter(|endpoint| endpoint["ready"] == true).count()
}

#[cfg(test)]
mod tests {
    use super::ready;

    #[test]
    fn only_ready_replicas_are_counted() {
        assert_eq!(ready(br#"{"endpoints":[{"ready":true},{"ready":false},{"ready":true}]}"#), 2);
        assert_eq!(ready(b"not json"), 0);
    }
}
