//! Which pod of this node has which GPU, as the kubelet tells (its pod-resources API, v1).
//!
//! ```text
//!   question --> call: a new connection, one answer --> pods: devices of each pod --> memory --> watch channel
//! ```
//!
//! Each question has a connection of its own: a kubelet that restarts makes its socket anew, and a connection held over that
//! would be to nobody. Asking costs the kubelet well under a millisecond, and comes every [`Settings::every`].
//!
//! What it told last counts for [`Settings::keep`] without an answer, for a kubelet that restarts moves no pod. Then it is
//! dropped: unknown, which is not the same as no pod having a GPU.
//!
//! Bounds: one question at a time, [`Settings::timeout`] for each; 16 MiB for an answer, which is
//! dropped before the next question; [`pods::MOST_PODS`] and [`pods::MOST_DEVICES`] for what is kept of it.

use std::{
    collections::BTreeSet,
    future::pending,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use crate::gpu::Gpu;
use memory::Memory;

mod call;
mod memory;
pub mod pods;
mod tell;

pub use call::Trouble;
pub use pods::{Pod, PodName};

/// The pods that have GPUs; `None` where that is unknown.
pub type Known = Option<Arc<[Pod]>>;

/// How to ask.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The kubelet's socket.
    pub socket: PathBuf,
    /// Between two questions.
    pub every: Duration,
    /// For one question, from connecting to the last byte.
    pub timeout: Duration,
    /// After the first failure; doubles up to `every`.
    pub retry: Duration,
    /// How long the last answer counts.
    pub keep: Duration,
}

/// Asks for as long as it runs.
#[derive(Debug)]
pub struct Follower {
    settings: Settings,
    gpus: watch::Receiver<Arc<[Gpu]>>,
    hint: Arc<Notify>,
    known: watch::Sender<Known>,
    memory: Memory,
    teller: tell::Teller,
    began: Instant,
}

// === Settings ===

impl Settings {
    /// As an agent asks.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            // Pods come and go in minutes: an engine takes that long to load its model.
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            retry: Duration::from_millis(500),
            keep: Duration::from_secs(60),
        }
    }
}

// === Follower ===

impl Follower {
    /// Asks nothing before it runs. A change among `gpus` (a card more, slices made anew) is a reason to ask soon.
    pub fn new(settings: Settings, gpus: watch::Receiver<Arc<[Gpu]>>) -> (Self, watch::Receiver<Known>) {
        let (known, receiver) = watch::channel(None);
        let memory = Memory::new(settings.keep);
        let teller = tell::Teller::new(settings.socket.clone(), settings.keep);
        let hint = Arc::default();
        (Self { settings, gpus, hint, known, memory, teller, began: Instant::now() }, receiver)
    }

    /// Has it ask soon whenever somebody has reason to think that pods came: it is asked for what they have.
    pub fn hinted_by(self, hint: Arc<Notify>) -> Self {
        Self { hint, ..self }
    }

    /// Never ends. `counted` hears how each question ended.
    pub async fn run(mut self, counted: impl Fn(Result<(), &Trouble>)) {
        let mut failures = 0;
        let mut seen = uuids(&self.gpus.borrow_and_update());
        loop {
            let answer = call::list(&self.settings.socket, self.settings.timeout).await;
            counted(answer.as_ref().map(|_| ()));
            failures = if answer.is_ok() { 0 } else { failures + 1 };
            self.take(answer);
            tokio::select! {
                () = sleep(self.pause(failures)) => {}
                // Soon, not at once: the device plugin hears of a change no earlier than this agent does.
                () = changed(&mut self.gpus, &mut seen) => sleep(self.settings.retry).await,
                // Pods come in swarms.
                () = self.hint.notified() => sleep(self.settings.retry).await,
            }
        }
    }

    fn take(&mut self, answer: Result<Vec<Pod>, Trouble>) {
        let now = self.began.elapsed();
        self.teller.tell(answer.as_ref());
        match answer {
            Ok(pods) => self.memory.heard(now, pods.into()),
            Err(_) => {
                if self.memory.failed(now) {
                    self.teller.tell_forgotten();
                }
            }
        }
        let known = self.memory.known();
        self.known.send_if_modified(|before| {
            let differs = *before != known;
            *before = known;
            differs
        });
    }

    /// Until the next question, which also comes when what is known has become too old.
    fn pause(&self, failures: u32) -> Duration {
        let pause = match failures {
            0 => return self.settings.every,
            _ => self.settings.retry.saturating_mul(1 << (failures - 1).min(10)).min(self.settings.every),
        };
        self.memory.left(self.began.elapsed()).map_or(pause, |left| pause.min(left.max(self.settings.retry)))
    }
}

/// Waits until other cards or slices are there than were seen.
async fn changed(gpus: &mut watch::Receiver<Arc<[Gpu]>>, seen: &mut BTreeSet<Arc<str>>) {
    loop {
        if gpus.changed().await.is_err() {
            return pending().await;
        }
        let now = uuids(&gpus.borrow_and_update());
        if *seen != now {
            *seen = now;
            return;
        }
    }
}

fn uuids(gpus: &[Gpu]) -> BTreeSet<Arc<str>> {
    gpus.iter().filter_map(|gpu| gpu.sample.uuid.clone()).collect()
}
