//! Reads every card of the node and publishes what it finds.
//!
//! ```text
//!   reader of card 0 --\
//!   reader of card 1 ---+--> desk --> watch channel of Arc<[Gpu]>
//!   listener for XIDs --/
//! ```
//!
//! The desk is the one thread that others wait for, and it never calls NVML. Every card is read by a thread of its own,
//! so a call that hangs delays that card only: its silence is judged by [`Health`](super::Health). A thread cannot be
//! ended from outside, so one that hangs is left behind when watching stops: at most one per card, and one each of
//! those that open the library and wait for events. It ends by itself when its call returns.
//!
//! A missing library, an unloaded driver and a lost card are tried again every [`Settings::retry`], by closing the
//! library and opening it anew: NVML finds a card that was reset only then. That leaves the other cards about a second
//! without readings; a bad card does not keep the library from opening, since `nvmlInit_v2` touches no card (nvml.h).
//!
//! Cards once seen stay in the list, also when the driver lists them no more: whoever asks for them should hear that
//! they failed.

use std::{
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Gpu,
    nvml::{LibrarySource, Unavailable},
};
use desk::{Desk, Message};

mod cards;
mod crew;
mod desk;
mod stop;

pub(super) use stop::Stop;

/// How to watch.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where NVML is.
    pub library: LibrarySource,
    /// Between two readings of a card.
    pub every: Duration,
    /// Between two tries to open the library, or to find a lost card again.
    pub retry: Duration,
}

/// How the NVIDIA driver was found last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// It is looked for.
    #[default]
    Sought,
    /// Its library is open.
    Open {
        /// Of the driver.
        version: String,
    },
    /// There are no readings.
    Unavailable {
        /// Why.
        why: String,
    },
}

/// Watches the cards for as long as it lives.
#[derive(Debug)]
pub struct Watch {
    gpus: watch::Receiver<Arc<[Gpu]>>,
    driver: watch::Receiver<Driver>,
    /// Keeps the channels open: without it, waiting for a change would end at once, again and again.
    _found: Arc<Found>,
    desk: Option<Running>,
}

/// Where the desk says what it found.
#[derive(Debug)]
struct Found {
    gpus: watch::Sender<Arc<[Gpu]>>,
    driver: watch::Sender<Driver>,
}

#[derive(Debug)]
struct Running {
    inbox: mpsc::Sender<Message>,
    thread: JoinHandle<()>,
}

// === Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            library: LibrarySource::default(),
            // NVML renews most of what it tells once a second or less often.
            every: Duration::from_secs(1),
            retry: Duration::from_secs(30),
        }
    }
}

// === Watch ===

impl Watch {
    /// Begins; fails only where no thread can be started. The list is empty until the first card has answered.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let ((gpus, gpus_found), (driver, driver_found)) =
            (watch::channel(Arc::from([])), watch::channel(Driver::Sought));
        let found = Arc::new(Found { gpus, driver });
        let desk = if settings.library == LibrarySource::None {
            desk::tell_unavailable(&Unavailable::Off, &LibrarySource::None);
            found.driver.send_replace(Driver::Unavailable { why: Unavailable::Off.to_string() });
            None
        } else {
            let (inbox, letters) = mpsc::channel();
            let desk = Desk::new(settings, inbox.clone(), Arc::clone(&found));
            let thread = thread::Builder::new().name("gpus".to_owned()).spawn(move || desk.run(&letters))?;
            Some(Running { inbox, thread })
        };
        Ok(Self { gpus: gpus_found, driver: driver_found, _found: found, desk })
    }

    /// The cards and their slices, by index, each slice after its card.
    pub fn gpus(&self) -> watch::Receiver<Arc<[Gpu]>> {
        self.gpus.clone()
    }

    /// How the driver was found last.
    pub fn driver(&self) -> watch::Receiver<Driver> {
        self.driver.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(Running { inbox, thread }) = self.desk.take() else { return };
        // Both fail only where the desk has ended already.
        let _ = inbox.send(Message::Stop);
        let _ = thread.join();
    }
}
