//! What of `top` is on the screen. Pure.

use std::time::Duration;

use warmlane_api::admin::Decision;

use super::{key::Key, row::Row};

/// What is on the screen.
#[derive(Clone, Debug)]
pub(crate) enum View {
    /// All replicas.
    Table,
    /// The same while a filter is typed.
    Typing,
    /// What keys do.
    Help,
    /// One replica.
    Details(Box<Details>),
}

/// One replica, also when it is gone.
#[derive(Clone, Debug)]
pub(crate) struct Details {
    pub(super) row: Row,
    pub(super) gone_since: Option<Duration>,
    /// `None`: not heard yet.
    pub(super) decisions: Option<Vec<Decision>>,
    pub(super) why: Option<String>,
    /// Lines above the screen.
    pub(super) above: usize,
}

// === Details ===

impl Details {
    /// Goes up and down in what there is.
    pub(super) fn scroll(&mut self, key: Key) {
        match key {
            Key::Up | Key::Char('k') => self.above = self.above.saturating_sub(1),
            // Drawing keeps it where there is something to see.
            Key::Down | Key::Char('j') => self.above += 1,
            Key::PageUp | Key::Home => self.above = 0,
            _ => {}
        }
    }
}
