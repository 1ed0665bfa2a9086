//! The path of a request, stage by stage. [`serve`] reads top-down in the order in which things happen.

use std::time::{Duration, Instant};

use warmlane_engine::body::{Api, RequestBody};

use crate::{
    decisions::{Outcome, Ticket},
    error::Fault,
    front::Client,
    metrics::{Answered, ErrorReason, Listener, Opened, Running},
    spans::Place,
    stage::Stage,
    worker::Worker,
};

mod admit;
mod connect;
mod done;
mod hints;
mod pick;
mod read;
mod relay;
mod request_id;
mod tokens;

pub(crate) use admit::{Admitted, judge};
pub use done::Next;
pub use hints::{Hints, Offered};
pub(crate) use pick::{Asking, Question, adapter};
pub use pick::{Destination, Plan, Reasons, moved};
#[cfg(test)]
pub(crate) use read::read as read_http;
pub use read::{Incoming, api_of};
pub(crate) use relay::STUCK;
pub use request_id::RequestId;
pub(crate) use tokens::Coming;

/// Where a request is, since when, and what has been learnt about it: for the access line and the metrics.
#[derive(Debug)]
pub struct Trace {
    /// Which listener took it.
    pub listener: Listener,
    /// When its first byte was there.
    pub began: Instant,
    /// The id it came with or was given.
    pub request_id: RequestId,
    /// Where what was decided is kept.
    pub decision: Option<Ticket>,
    /// Its place among its model's requests.
    pub model: Option<Running>,
    /// Its head could be read.
    pub has_head: bool,
    /// The session it belongs to; 0 is none.
    pub session: u64,
    /// Why it went where it did, where that will be told.
    pub reasons: Option<Reasons>,
    /// Its place among the spans of its trace, where there are any.
    pub place: Option<Place>,
    stage: Stage,
    entered: Instant,
    spent: [Duration; Stage::ALL.len()],
}

/// Serves one request whose first bytes have arrived.
pub async fn serve(worker: &Worker, client: &mut Client, listener: Listener) -> Next {
    let _open = Opened::on(&*worker.metrics);
    let mut trace = Trace::begin(listener);
    let outcome = exchange(worker, client, &mut trace).await;
    if outcome.is_err() {
        trace.enter(Stage::Done);
    }
    done::done(worker, client, trace, outcome).await
}

async fn exchange(worker: &Worker, client: &mut Client, trace: &mut Trace) -> Result<relay::Relayed, Fault> {
    let request = read::read(worker, client, trace).await?;
    if request.lists_models
        && let Some(list) = worker.world.models.load_full()
    {
        let relayed = relay::models(worker, client, trace, &list).await;
        trace.enter(Stage::Done);
        return Ok(relayed);
    }
    trace.session = request.session;
    let now = trace.enter(Stage::Admit);
    let admitted = admit::admit(&worker.chooser, client.asked(), request, trace)?;
    // Admission takes less time than looking at a clock: it is not timed by itself.
    trace.enter_at(Stage::Pick, now);
    let asked = client.api.zip(client.asked());
    let now = match tokens::ask(worker, asked, &admitted, trace.listener, || client.content()) {
        None => now,
        Some(coming) => {
            coming.wait().await;
            Instant::now()
        }
    };
    let plan = pick::pick(worker, client.asked(), admitted, trace, worker.world.time(now))?;
    let now = trace.enter(Stage::Connect);
    let answered = connect::connect(worker, client, plan, trace, now).await?;
    let now = trace.enter(Stage::Relay);
    relay::relay(worker, client, answered, trace, now).await
}

/// Admits for a front that has read the request by itself; [`choose`] is next, once what is coming is there.
pub(crate) fn admit(
    worker: &Worker,
    asked: Option<(Api, &RequestBody)>,
    request: Incoming,
    trace: &mut Trace,
    content: impl FnOnce() -> Vec<u8>,
) -> Result<(Admitted, Option<Coming>), Fault> {
    trace.session = request.session;
    let now = trace.enter(Stage::Admit);
    let admitted = admit::admit(&worker.chooser, asked.map(|(_, body)| body), request, trace)?;
    trace.enter_at(Stage::Pick, now);
    let coming = tokens::ask(worker, asked, &admitted, trace.listener, content);
    Ok((admitted, coming))
}

/// Picks, for a front that leaves the connecting to others.
pub(crate) fn choose(
    worker: &Worker,
    asked: Option<&RequestBody>,
    admitted: Admitted,
    trace: &mut Trace,
) -> Result<Plan, Fault> {
    pick::pick(worker, asked, admitted, trace, worker.world.now())
}

// === Trace ===

impl Trace {
    /// A request begins.
    pub fn begin(listener: Listener) -> Self {
        let now = Instant::now();
        let spent = Default::default();
        Self {
            listener,
            began: now,
            request_id: RequestId::default(),
            decision: None,
            model: None,
            has_head: false,
            session: 0,
            reasons: None,
            place: None,
            stage: Stage::Read,
            entered: now,
            spent,
        }
    }

    /// The request moves on to another stage, now; entering the same one again closes its time so far.
    pub fn enter(&mut self, stage: Stage) -> Instant {
        let now = Instant::now();
        self.enter_at(stage, now);
        now
    }

    /// The same at a moment that is known: looking at the clock is a good part of what a request costs.
    pub fn enter_at(&mut self, stage: Stage, now: Instant) {
        // A clock may stand still between two looks; a stage that was entered still counts.
        let spent = now.duration_since(self.entered).max(Duration::from_nanos(1));
        self.spent[self.stage as usize] += spent;
        (self.stage, self.entered) = (stage, now);
    }

    /// What is left of it is counting: its last stage ends where it began, but counts.
    pub fn close(&mut self) {
        self.enter_at(self.stage, self.entered);
    }

    /// The same as text, for the access line.
    pub fn shown(&self) -> String {
        let micros = |stage: Stage| self.spent[stage as usize].as_micros();
        Stage::ALL.map(|stage| format!("{}={}us", stage.name(), micros(stage))).join(" ")
    }

    /// Whether somebody will be told of it when it has ended.
    pub fn is_told(&self, worker: &Worker) -> bool {
        worker.config.log.access || self.place.as_ref().is_some_and(|place| place.is_sampled)
    }

    /// What became of it is known: kept beside what was decided.
    pub fn ended(&self, worker: &Worker, outcome: impl FnOnce() -> Outcome) {
        if let Some((ring, ticket)) = worker.chooser.ring.as_ref().zip(self.decision) {
            ring.end(ticket, &outcome());
        }
    }

    /// Counts it among its model's requests as ended, well or by a failure.
    pub fn end_of_model(&mut self, answered: Result<Answered, ErrorReason>) {
        let Some(model) = self.model.take() else { return };
        match answered {
            Ok(answered) => model.done(self.spent.iter().sum(), &answered),
            Err(reason) => model.failed(reason),
        }
    }

    /// Time spent in every stage; zero in those that it has not been in.
    pub fn all_spent(&self) -> [Duration; Stage::ALL.len()] {
        self.spent
    }

    /// Time spent in each stage it has been in.
    pub fn spent(&self) -> impl Iterator<Item = (Stage, Duration)> {
        Stage::ALL.into_iter().zip(self.spent).filter(|(_, spent)| !spent.is_zero())
    }
}
