//! The one thread that knows all cards: takes letters from the crew, judges, publishes, and sees to the crew.
//!
//! ```text
//!   Waiting --(time)--> Opening --(opened)--> Open --(driver gone, or a card lost for `retry`)--> Waiting
//!      ^                    |
//!      +----(it failed)-----+
//! ```

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    Driver, Found, Settings, Stop,
    cards::{Cards, Who},
    crew,
};
use crate::gpu::nvml::{Library, LibrarySource, Outcome, Unavailable, Xid};

/// Longest time without a look at the clock: silence is judged so much late.
const TICK: Duration = Duration::from_millis(200);

/// What the crew gets to let go of the library before it is opened anew: sleepers wake at once, a wait for events ends
/// within 200 ms.
const GRACE: Duration = Duration::from_secs(1);

/// A letter to the desk.
#[derive(Debug)]
pub(super) enum Message {
    Opened(Result<Arc<Library>, Unavailable>),
    /// A reader begins a round of questions.
    Asked(Who),
    /// It ended.
    Answered {
        who: Who,
        outcome: Outcome,
        at: Instant,
    },
    Xid(Xid),
    Stop,
}

/// See the module's header.
pub(super) struct Desk {
    settings: Settings,
    /// For the crew.
    inbox: Sender<Message>,
    found: Arc<Found>,
    began: Instant,
    cards: Cards,
    phase: Phase,
    /// By index. One that hangs stays here, and its card gets no second one.
    readers: BTreeMap<u32, JoinHandle<()>>,
    listener: Option<JoinHandle<()>>,
    /// Why there were no readings, as last told.
    told: Option<String>,
}

enum Phase {
    Waiting {
        until: Duration,
    },
    Opening,
    Open {
        /// Weak: who drops the library last closes it, and that may hang.
        library: Weak<Library>,
        cards: u32,
        stop: Arc<Stop>,
        /// Until then lost cards are left alone.
        until: Duration,
    },
}

// === Desk ===

impl Desk {
    pub(super) fn new(settings: Settings, inbox: Sender<Message>, found: Arc<Found>) -> Self {
        Self {
            settings,
            inbox,
            found,
            began: Instant::now(),
            cards: Cards::default(),
            phase: Phase::Waiting { until: Duration::ZERO },
            readers: BTreeMap::new(),
            listener: None,
            told: None,
        }
    }

    pub(super) fn run(mut self, letters: &Receiver<Message>) {
        loop {
            self.see_to_the_crew();
            self.publish();
            let next = match letters.recv_timeout(TICK) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
                Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
            };
            if next.is_break() {
                break;
            }
        }
        self.dismiss();
    }

    fn take(&mut self, message: Message) -> ControlFlow<()> {
        let now = self.began.elapsed();
        match message {
            Message::Opened(Ok(library)) => self.opened(&library),
            Message::Opened(Err(why)) => self.give_up(&why),
            Message::Asked(who) => self.cards.asked(now, who),
            Message::Answered { who, outcome, at } => self.answered(now, who, outcome, at),
            Message::Xid(xid) => self.cards.xid(now, &xid),
            Message::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn answered(&mut self, now: Duration, who: Who, outcome: Outcome, at: Instant) {
        match outcome {
            Outcome::Read(reading) => self.cards.read(now, at, who, *reading),
            // The question stays open, and the card counts as silent.
            Outcome::Mute => {}
            Outcome::Absent(how) => {
                if !self.cards.is_any_absent() {
                    self.leave_in_peace(now + self.settings.retry);
                }
                self.cards.absent(now, who, how);
            }
            // Every reader says so; the first is enough.
            Outcome::NoDriver(why) => {
                if matches!(self.phase, Phase::Open { .. }) {
                    self.give_up(&why);
                }
            }
        }
    }

    fn publish(&mut self) {
        let now = self.began.elapsed();
        self.cards.tell(now);
        let gpus = self.cards.gpus(now);
        self.found.gpus.send_if_modified(|held| {
            let is_news = **held != *gpus;
            if is_news {
                *held = gpus;
            }
            is_news
        });
    }

    fn see_to_the_crew(&mut self) {
        let now = self.began.elapsed();
        match &self.phase {
            Phase::Waiting { until } if now >= *until => self.open(),
            Phase::Open { until, .. } if now >= *until && self.cards.is_any_absent() => self.wait(GRACE),
            Phase::Open { library, cards, stop, .. } if self.is_anyone_missing(*cards) => {
                let (library, cards, stop) = (library.upgrade(), *cards, Arc::clone(stop));
                match library {
                    Some(library) => self.man(&library, cards, &stop),
                    None => self.wait(GRACE),
                }
            }
            Phase::Waiting { .. } | Phase::Opening | Phase::Open { .. } => {}
        }
    }

    fn open(&mut self) {
        self.phase = Phase::Opening;
        // Its handle is not kept: all that is waited for is its letter.
        if let Err(error) = crew::open(self.settings.library.clone(), self.inbox.clone()) {
            self.give_up(&Unavailable::Thread(error));
        }
    }

    fn opened(&mut self, library: &Arc<Library>) {
        let cards = library.cards();
        tracing::info!(cards, driver = library.driver(), "reading the cards of this node");
        self.told = None;
        self.found.driver.send_replace(Driver::Open { version: library.driver().to_owned() });
        let stop = Arc::default();
        self.man(library, cards, &stop);
        let until = self.began.elapsed() + self.settings.retry;
        self.phase = Phase::Open { library: Arc::downgrade(library), cards, stop, until };
    }

    /// Fills every place that nobody holds. A thread left behind by an earlier crew still holds its own.
    fn man(&mut self, library: &Arc<Library>, cards: u32, stop: &Arc<Stop>) {
        let free: Vec<u32> = (0..cards).filter(|index| is_free(self.readers.get(index))).collect();
        for index in free {
            let (library, stop) = (Arc::clone(library), Arc::clone(stop));
            match crew::read(library, index, self.settings.every, stop, self.inbox.clone()) {
                Ok(thread) => drop(self.readers.insert(index, thread)),
                Err(error) => self.tell_once(&Unavailable::Thread(error)),
            }
        }
        if is_free(self.listener.as_ref()) {
            match crew::listen(Arc::clone(library), Arc::clone(stop), self.inbox.clone()) {
                Ok(thread) => self.listener = Some(thread),
                Err(error) => self.tell_once(&Unavailable::Thread(error)),
            }
        }
    }

    fn is_anyone_missing(&self, cards: u32) -> bool {
        is_free(self.listener.as_ref()) || (0..cards).any(|index| is_free(self.readers.get(&index)))
    }

    fn give_up(&mut self, why: &Unavailable) {
        self.tell_once(why);
        self.found.driver.send_replace(Driver::Unavailable { why: why.to_string() });
        self.wait(self.settings.retry.max(GRACE));
    }

    /// Sends the crew away, and opens the library anew after this time.
    fn wait(&mut self, time: Duration) {
        self.dismiss();
        let now = self.began.elapsed();
        self.cards.cut_off(now);
        self.phase = Phase::Waiting { until: now + time };
    }

    fn dismiss(&self) {
        if let Phase::Open { stop, .. } = &self.phase {
            stop.set();
        }
    }

    /// Does not open the library anew for lost cards before then.
    fn leave_in_peace(&mut self, then: Duration) {
        if let Phase::Open { until, .. } = &mut self.phase {
            *until = then;
        }
    }

    /// The same reason is told again only after there were readings.
    fn tell_once(&mut self, why: &Unavailable) {
        let reason = why.to_string();
        if self.told.as_ref() != Some(&reason) {
            tell_unavailable(why, &self.settings.library);
            self.told = Some(reason);
        }
    }
}

fn is_free(place: Option<&JoinHandle<()>>) -> bool {
    place.is_none_or(JoinHandle::is_finished)
}

/// A node without GPUs has no library; one that was named is another matter.
pub(super) fn tell_unavailable(why: &Unavailable, library: &LibrarySource) {
    match library {
        LibrarySource::Path(path) => {
            tracing::warn!("no GPU readings from {}: {why}. Load signals still work", path.display());
        }
        LibrarySource::Default | LibrarySource::None => {
            tracing::info!("no GPU readings: {why}. Load signals still work");
        }
    }
}
