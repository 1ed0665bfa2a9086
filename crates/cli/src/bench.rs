//! `bench`: a small load through one route or two, and what came of it.
//!
//! Two routes take turns, a quarter of their requests each time and in the order A B B A A B B A, so that what changes meanwhile
//! meets both. Bounds: what [`Bench`] takes, and [`PATIENCE`] for a request.

use std::{
    collections::BTreeMap,
    future::pending,
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    net::lookup_host,
    signal::unix::{Signal, SignalKind, signal},
    time::interval,
};
use warmlane_api::admin::{Endpoints, path};
use warmlane_load::{
    Client, Failure, Outcome, Pace, Progress, Request, Run, run,
    workload::{Shape, Shared, Span, Workload},
};

use crate::{address::Address, args::Bench, client, error::CliError};

mod figures;
mod models;

use figures::{Figures, Route};

/// For a request, from its first byte to the last of its answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Turns of each route.
const TURNS: usize = 4;
/// Between two looks at how far it is.
const GLANCE: Duration = Duration::from_millis(100);

/// One route under way.
struct Lane {
    address: Address,
    client: Arc<Client>,
    /// A turn's each, the next one last.
    turns: Vec<Vec<Request>>,
    run: Run,
    /// By the router's word: requests that it sent to each replica meanwhile.
    sent: Option<BTreeMap<String, u64>>,
}

/// What all routes share.
struct Load<'c> {
    /// `None` once it has not answered.
    router: Option<&'c mut client::Client>,
    /// Heard from the beginning: none that comes between two turns is lost.
    enough: Option<Signal>,
    pace: Pace,
    progress: Arc<Progress>,
    bar: ProgressBar,
    interrupted: bool,
}

/// Sends the load.
pub(crate) async fn bench(asked: &Bench, router: &mut client::Client) -> Result<Figures, CliError> {
    let mut lanes = Vec::new();
    for address in &asked.routes {
        lanes.push(Lane::open(address).await?);
    }
    let model = match &asked.model {
        Some(model) => model.clone(),
        None => lanes[0].model().await?,
    };
    for (number, lane) in lanes.iter_mut().enumerate() {
        // Other words for each: what one route leaves in caches must not serve the other.
        lane.turns = turns(asked, &model, number as u64);
    }
    let mut load = Load {
        router: Some(router),
        // Where no signal can be waited for, it ends the program.
        enough: signal(SignalKind::interrupt()).ok(),
        pace: Pace::Closed { concurrency: asked.concurrency.into() },
        progress: Arc::default(),
        bar: bar(u64::from(asked.requests) * lanes.len() as u64),
        interrupted: false,
    };
    for turn in 0..TURNS {
        let mut order: Vec<&mut Lane> = lanes.iter_mut().collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for lane in order {
            load.turn(lane).await;
        }
    }
    load.bar.finish_and_clear();
    // Of one that is not interrupted there are none.
    let unfinished = load.interrupted.then(|| load.progress.sent() - load.progress.done());
    let routes = lanes.into_iter().map(|lane| Route::of(lane.address.to_string(), &lane.run, lane.sent));
    Ok(Figures::of(asked, model, unfinished, routes.collect()))
}

/// The requests of a route, its last turn first.
fn turns(asked: &Bench, model: &str, number: u64) -> Vec<Vec<Request>> {
    let rest = (asked.prompt_tokens / 4).max(1);
    let shape = Shared {
        prefixes: asked.prefixes.into(),
        prefix: asked.prompt_tokens - rest,
        rest: Span::new(rest, 0.1),
        output: Span::new(asked.output_tokens, 0.0),
    };
    // Another seed each time: what the last bench left in caches must not serve this one. Not of the process's number, which is the
    // same one in every container.
    let seed = RandomState::new().hash_one(number);
    let mut requests = Workload::new(Shape::Shared(shape), model, asked.requests.into(), seed);
    let each = usize::from(asked.requests).div_ceil(TURNS);
    let mut turns: Vec<Vec<Request>> = (0..TURNS).map(|_| requests.by_ref().take(each).collect()).collect();
    turns.reverse();
    turns
}

fn bar(requests: u64) -> ProgressBar {
    let bar = ProgressBar::new(requests);
    // The template is a constant, so the fallback is never taken.
    let style = ProgressStyle::with_template("  {bar:28} {pos:>5}/{len} {elapsed:>4} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

// === Lane ===

impl Lane {
    async fn open(address: &Address) -> Result<Self, CliError> {
        let Address::Tcp(host) = address else {
            return Err(CliError::Option(format!(
                "{address} is no route: give HOST:PORT or http://HOST:PORT"
            )));
        };
        let found = lookup_host(host).await.and_then(|mut found| {
            found.next().ok_or_else(|| std::io::Error::other("the name has no address"))
        });
        let target =
            found.map_err(|error| CliError::Route { route: host.clone(), why: error.to_string() })?;
        let client = Arc::new(Client::new(target).with_limit(PATIENCE));
        Ok(Self { address: address.clone(), client, turns: Vec::new(), run: Run::default(), sent: None })
    }

    /// The first one that is listed.
    async fn model(&self) -> Result<String, CliError> {
        let route = self.address.to_string();
        match self.client.get("/v1/models").await {
            Ok(page) => models::first(&page).ok_or_else(|| CliError::Answer {
                route,
                why: "no model is listed at /v1/models\n  Name one by --model.".to_owned(),
            }),
            Err(failure @ (Failure::Connect { .. } | Failure::Closed { .. } | Failure::Timeout { .. })) => {
                Err(CliError::Route { route, why: failure.to_string() })
            }
            Err(failure) => {
                let why =
                    format!("it does not tell its models at /v1/models: {failure}\n  Name one by --model.");
                Err(CliError::Answer { route, why })
            }
        }
    }

    fn add(&mut self, run: Run) {
        self.run.outcomes.extend::<Vec<Outcome>>(run.outcomes);
        self.run.elapsed += run.elapsed;
    }
}

// === Load ===

impl Load<'_> {
    /// The next turn of a route. Once somebody has had enough, nothing is sent.
    async fn turn(&mut self, lane: &mut Lane) {
        let requests = lane.turns.pop().unwrap_or_default();
        if self.interrupted || requests.is_empty() {
            return;
        }
        let before = self.requests().await;
        let run = self.send(lane.client.clone(), Workload::from_requests(requests), &lane.address).await;
        lane.add(run);
        if let (Some(before), Some(after)) = (before, self.requests().await) {
            let sent = lane.sent.get_or_insert_default();
            for (address, count) in after {
                let count = count.saturating_sub(before.get(&address).copied().unwrap_or_default());
                if count > 0 {
                    *sent.entry(address).or_default() += count;
                }
            }
        }
    }

    async fn send(&mut self, client: Arc<Client>, requests: Workload, to: &Address) -> Run {
        let progress = self.progress.clone();
        let mut run = pin!(run(client, self.pace, requests, progress.clone()));
        let signals = &mut self.enough;
        let mut enough = pin!(async {
            match signals {
                Some(signal) => signal.recv().await,
                None => pending().await,
            }
        });
        let mut glances = interval(GLANCE);
        loop {
            tokio::select! {
                run = &mut run => return run,
                Some(()) = &mut enough, if !self.interrupted => {
                    self.interrupted = true;
                    progress.stop();
                }
                _ = glances.tick() => {
                    self.bar.set_position(progress.done());
                    let failed = match progress.failed() {
                        0 => String::new(),
                        failed => format!(", {failed} failed"),
                    };
                    self.bar.set_message(format!("{to}{failed}"));
                }
            }
        }
    }

    /// By replica, as the router counts them; `None`: no router says so.
    async fn requests(&mut self) -> Option<BTreeMap<String, u64>> {
        let answer = self.router.as_mut()?.page::<Endpoints>(path::ENDPOINTS).await;
        if answer.is_err() {
            self.router = None;
        }
        let page = answer.ok()?;
        Some(page.endpoints.into_iter().map(|endpoint| (endpoint.address, endpoint.requests)).collect())
    }
}
