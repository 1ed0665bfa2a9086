//! Who waits for a request, and how the end is told.

use std::{cell::RefCell, rc::Rc};

use tokio::sync::oneshot;

use super::super::stream::Live;
use crate::{error::Error, model::Outcome};

/// One of those who wait.
pub(super) struct Sink {
    pub(super) max_tokens: u32,
    pub(super) reader: Reader,
}

/// Who waits for a request.
pub(super) enum Reader {
    Whole(oneshot::Sender<Result<Outcome, Error>>),
    Live(Rc<RefCell<Live>>),
}

// === Reader ===

impl Reader {
    pub(super) fn end(self, last: Option<u32>, outcome: &Outcome) {
        match self {
            // Nobody to tell: the client went away in the same moment.
            Self::Whole(done) => drop(done.send(Ok(*outcome))),
            Self::Live(live) => live.borrow_mut().end(last, outcome),
        }
    }

    pub(super) fn fail(self) {
        match self {
            Self::Whole(done) => drop(done.send(Err(Error::Stopped))),
            Self::Live(live) => live.borrow_mut().fail(&Error::Stopped),
        }
    }
}
