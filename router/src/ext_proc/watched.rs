//! The sessions of one connection, looked at from outside. A session is woken by what Envoy sends and by its own alarm,
//! but only while Envoy takes what is said to it; one whose answers are not taken would keep its place for ever.

use std::{
    cell::RefCell,
    convert::Infallible,
    rc::{Rc, Weak},
    time::Duration,
};

use tokio::time::{Instant, interval};

use super::session::Session;

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// So many are noted before those that are gone are left out.
const FEW: usize = 64;

/// See the module's header. Memory: a pointer for each, and for at most as many that are gone.
#[derive(Default)]
pub(super) struct Watched(RefCell<Noted>);

#[derive(Default)]
struct Noted {
    sessions: Vec<Weak<RefCell<Session>>>,
    /// When there are so many, those that are gone are left out.
    clear_at: usize,
}

// === Watched ===

impl Watched {
    /// One more.
    pub(super) fn add(&self, session: &Rc<RefCell<Session>>) {
        let mut noted = self.0.borrow_mut();
        if noted.sessions.len() >= noted.clear_at.max(FEW) {
            noted.sessions.retain(|session| session.strong_count() > 0);
            noted.clear_at = 2 * noted.sessions.len();
        }
        noted.sessions.push(Rc::downgrade(session));
    }

    /// Looks at them for as long as it is polled.
    pub(super) async fn watch(&self) -> Infallible {
        let mut beat = interval(LOOK);
        loop {
            let now = beat.tick().await;
            self.look(now);
        }
    }

    fn look(&self, now: Instant) {
        let sessions = std::mem::take(&mut self.0.borrow_mut().sessions);
        let sessions: Vec<_> = sessions.into_iter().filter(|session| session.strong_count() > 0).collect();
        for session in sessions.iter().filter_map(Weak::upgrade) {
            session.borrow_mut().let_go_if_unread(now);
        }
        self.0.borrow_mut().sessions = sessions;
    }
}
