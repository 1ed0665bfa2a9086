//! `top`: a live picture of one router's replicas on a terminal.
//!
//! What is known and what is drawn are pure (`state`, `draw`); asking (`source`) and the terminal (`terminal`) stand apart.
//! Here they meet: each page, key and signal that comes, and each second that passes, is drawn once.

use std::{
    io::{self, IsTerminal as _},
    pin::pin,
    time::Duration,
};

use signal_hook::low_level::emulate_default_handler;
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

mod column;
mod draw;
#[cfg(test)]
pub(crate) mod example;
mod key;
mod look;
mod rates;
mod row;
mod source;
mod state;
mod terminal;
mod view;

pub use column::Column;
use draw::draw;
use key::{Deed, Key};
use look::{Look, is_utf8};
use source::{Source, Wish};
use state::Top;
use terminal::{Held, keys};

use crate::{args, client::Client, error::CliError, screen::Screen};

/// Ages are seen to pass.
const TICK: Duration = Duration::from_secs(1);
/// Pages that wait to be drawn.
const NEWS: usize = 4;

/// How it is to end.
enum End {
    /// Somebody has seen enough.
    Wanted,
    /// As this signal ends a process.
    Signal(i32),
}

/// Signals that end it, and the one that says it was stopped before.
struct Signals {
    ending: [(i32, Signal); 4],
    going_on: Signal,
}

/// Shows it until it is told to end.
pub(crate) async fn top(
    asked: &args::Top,
    router: &mut Client,
    mut agent: Option<&mut Client>,
    screen: Screen,
) -> Result<(), CliError> {
    let look = look(screen)?;
    let mut top = Top::new(router.address().to_string(), asked.sort, asked.interval);
    let mut source = Source::new(router, agent.as_deref_mut(), asked.interval);
    // Before the terminal is taken: where nobody answers, that is all there is to say.
    let start = Instant::now();
    top.hear(source.page().await?, Duration::ZERO);
    let signals = Signals::catch().map_err(CliError::Start)?;
    let mut held = Held::take(look).map_err(|error| CliError::NoTerminal(error.to_string()))?;
    let end = show(&mut top, source, (&mut held, look), signals, start).await;
    drop(held);
    match end {
        Ok(End::Wanted) => Ok(()),
        Ok(End::Signal(number)) => {
            // Nothing is dropped after it: kubectl would stay.
            [Some(router), agent].into_iter().flatten().for_each(Client::close);
            // Whoever waits for it sees what it ended by.
            emulate_default_handler(number).map_err(CliError::Start)
        }
        Err(error) => Err(CliError::Output(error)),
    }
}

async fn show(
    top: &mut Top,
    source: Source<'_>,
    (held, look): (&mut Held, Look),
    mut signals: Signals,
    start: Instant,
) -> io::Result<End> {
    let (wish, wishes) = watch::channel(Wish::default());
    let (to, mut news) = mpsc::channel(NEWS);
    let mut telling = pin!(source.tell(wishes, to));
    let mut keys = keys();
    loop {
        held.draw(|frame| draw(frame, top, look, start.elapsed()))?;
        select! {
            () = &mut telling => return Ok(End::Wanted),
            Some(heard) = news.recv() => top.hear(heard, start.elapsed()),
            Some(key) = keys.recv() => {
                let mut next = Some(key);
                // All that were pressed meanwhile are drawn once.
                while let Some(key) = next {
                    match press(top, held, key, start)? {
                        true => return Ok(End::Wanted),
                        false => next = keys.try_recv().ok(),
                    }
                }
            }
            told = signals.next() => match told {
                Some(number) => return Ok(End::Signal(number)),
                None => held.retake()?,
            },
            () = sleep(TICK) => {}
        }
        let wished = Wish { paused: top.is_paused(), decisions_of: top.asked().map(str::to_owned) };
        wish.send_if_modified(|wish| std::mem::replace(wish, wished.clone()) != wished);
    }
}

/// Whether it is to end.
fn press(top: &mut Top, held: &mut Held, key: Key, start: Instant) -> io::Result<bool> {
    match top.press(key, start.elapsed()) {
        Deed::Nothing => {}
        Deed::Redraw => held.forget()?,
        Deed::Suspend => held.suspend()?,
        Deed::End => return Ok(true),
    }
    Ok(false)
}

/// How it is to look, where it can be seen at all.
fn look(screen: Screen) -> Result<Look, CliError> {
    let variable = |name| std::env::var(name).ok();
    if !io::stdout().is_terminal() {
        return Err(CliError::NoTerminal("standard output is none".to_owned()));
    }
    if variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return Err(CliError::NoTerminal("TERM says that this one cannot be drawn on".to_owned()));
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(variable);
    let utf8 = is_utf8(locale.each_ref().map(Option::as_deref));
    Ok(Look { color: screen.color, utf8 })
}

// === Signals ===

impl Signals {
    fn catch() -> io::Result<Self> {
        let kinds =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
        let [terminate, interrupt, hangup, quit] =
            kinds.map(|kind| Ok::<_, io::Error>((kind.as_raw_value(), signal(kind)?)));
        let going_on = signal(SignalKind::from_raw(signal_hook::consts::SIGCONT))?;
        Ok(Self { ending: [terminate?, interrupt?, hangup?, quit?], going_on })
    }

    /// The one that ends it; `None`: it was stopped, and goes on.
    async fn next(&mut self) -> Option<i32> {
        let [(first, a), (second, b), (third, c), (fourth, d)] = &mut self.ending;
        select! {
            _ = a.recv() => Some(*first),
            _ = b.recv() => Some(*second),
            _ = c.recv() => Some(*third),
            _ = d.recv() => Some(*fourth),
            _ = self.going_on.recv() => None,
        }
    }
}

#[cfg(test)]
mod tests;
