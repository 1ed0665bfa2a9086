//! What is counted of each model: a sheet for each model and target, on each thread.
//!
//! Bounds: [`MOST`] sheets a thread; what is beyond is counted as `other`, and a name that no replica lists and no rule has as
//! `unknown`: nobody outside makes labels.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use warmlane_engine::sse::payload::Usage;

use super::{Amounts, Counts, Durations, ErrorReason, Tally};
use used::Used;

mod used;

/// Pairs of model and target on one thread.
const MOST: usize = 256;

const UNKNOWN: &str = "unknown";
const OTHER: &str = "other";

/// The sheets of one thread, for those who read them.
#[derive(Debug, Default)]
pub struct ModelSheets(Mutex<Vec<Arc<ModelSheet>>>);

/// One model and target; only its thread may count on it.
#[derive(Debug)]
pub(super) struct ModelSheet {
    /// The name that clients use.
    pub(super) model: Box<str>,
    /// The name that is sent on.
    pub(super) target: Box<str>,
    pub(super) requests: Tally,
    pub(super) errors: Counts<ErrorReason>,
    pub(super) running: Tally,
    pub(super) durations: Durations,
    pub(super) first_bytes: Durations,
    /// Of requests' bodies, and of answers'.
    pub(super) sent: Amounts,
    pub(super) received: Amounts,
    /// As engines counted them.
    pub(super) used: Used,
}

/// What is known of an answer at its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answered {
    /// From the request's first byte to the answer's.
    pub first_byte: Option<Duration>,
    /// Of its body.
    pub bytes: Option<u64>,
    /// What its engine counted.
    pub usage: Option<Usage>,
}

/// The thread's own way to them.
#[derive(Default)]
pub struct Models {
    known: HashMap<Box<str>, Vec<Arc<ModelSheet>>>,
    count: usize,
    /// Most requests are of the same model as the one before.
    last: Option<Arc<ModelSheet>>,
}

/// A request of a model under way. Dropping it takes it off.
#[derive(Debug)]
pub struct Running(Arc<ModelSheet>);

// === ModelSheets ===

impl ModelSheets {
    fn add(&self, model: &str, target: &str) -> Arc<ModelSheet> {
        let sheet = Arc::new(ModelSheet::new(model, target));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sheet.clone());
        sheet
    }

    pub(super) fn all(&self) -> Vec<Arc<ModelSheet>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds another thread's counts.
    pub(super) fn absorb(&self, other: &Self) {
        let mut mine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for theirs in other.all() {
            let is_same =
                |sheet: &&Arc<ModelSheet>| sheet.model == theirs.model && sheet.target == theirs.target;
            let sheet = match mine.iter().find(is_same) {
                Some(sheet) => sheet.clone(),
                None => {
                    mine.push(Arc::new(ModelSheet::new(&theirs.model, &theirs.target)));
                    mine[mine.len() - 1].clone()
                }
            };
            sheet.absorb(&theirs);
        }
    }
}

// === ModelSheet ===

impl ModelSheet {
    fn new(model: &str, target: &str) -> Self {
        Self {
            model: model.into(),
            target: target.into(),
            requests: Tally::default(),
            errors: Counts::new(),
            running: Tally::default(),
            durations: Durations::default(),
            first_bytes: Durations::default(),
            sent: Amounts::of_bytes(),
            received: Amounts::of_bytes(),
            used: Used::default(),
        }
    }

    fn is_of(&self, model: &str, target: &str) -> bool {
        *self.model == *model && *self.target == *target
    }

    fn absorb(&self, other: &Self) {
        self.requests.add(other.requests.get());
        self.errors.absorb(&other.errors);
        self.running.add(other.running.get());
        self.durations.absorb(&other.durations);
        self.first_bytes.absorb(&other.first_bytes);
        self.sent.absorb(&other.sent);
        self.received.absorb(&other.received);
        self.used.absorb(&other.used);
    }
}

// === Models ===

impl Models {
    /// A request with a body of so many bytes begins: of a model that somebody serves or rules, or of one that nobody does.
    pub fn begin(&mut self, sheets: &ModelSheets, named: Option<(&str, &str)>, bytes: u64) -> Running {
        let (model, target) = named.unwrap_or((UNKNOWN, UNKNOWN));
        let sheet = match self.last.take().filter(|last| last.is_of(model, target)) {
            Some(last) => last,
            None => self.sheet(sheets, model, target),
        };
        self.last = Some(sheet.clone());
        sheet.requests.add(1);
        sheet.running.add(1);
        sheet.sent.observe(bytes);
        Running(sheet)
    }

    fn sheet(&mut self, sheets: &ModelSheets, model: &str, target: &str) -> Arc<ModelSheet> {
        match self.find(model, target) {
            Some(sheet) => sheet,
            None if self.count < MOST => self.add(sheets, model, target),
            None => self.find(OTHER, OTHER).unwrap_or_else(|| self.add(sheets, OTHER, OTHER)),
        }
    }

    fn find(&self, model: &str, target: &str) -> Option<Arc<ModelSheet>> {
        self.known.get(model)?.iter().find(|sheet| sheet.is_of(model, target)).cloned()
    }

    fn add(&mut self, sheets: &ModelSheets, model: &str, target: &str) -> Arc<ModelSheet> {
        let sheet = sheets.add(model, target);
        self.known.entry(model.into()).or_default().push(sheet.clone());
        self.count += 1;
        sheet
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models").field("count", &self.count).finish_non_exhaustive()
    }
}

// === Running ===

impl Running {
    /// It was answered after this long.
    pub fn done(&self, took: Duration, answered: &Answered) {
        self.0.durations.observe(took);
        if let Some(first_byte) = answered.first_byte {
            self.0.first_bytes.observe(first_byte);
        }
        if let Some(bytes) = answered.bytes {
            self.0.received.observe(bytes);
        }
        if let Some(usage) = answered.usage {
            self.0.used.observe(usage, took, answered.first_byte);
        }
    }

    /// It failed, or its answer was cut.
    pub fn failed(&self, reason: ErrorReason) {
        self.0.errors.add(reason);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_model_and_target_and_taken_off_when_they_end() {
        let (sheets, mut models) = (ModelSheets::default(), Models::default());
        let first = models.begin(&sheets, Some(("m", "m-v2")), 9);
        let second = models.begin(&sheets, Some(("m", "m-v2")), 9);
        drop(models.begin(&sheets, None, 0));
        second.failed(ErrorReason::Timeout);
        drop(second);
        let (one, other) = (ModelSheets::default(), ModelSheets::default());
        one.absorb(&sheets);
        one.absorb(&sheets);
        other.absorb(&one);
        let all = other.all();
        let m = all.iter().find(|sheet| *sheet.model == *"m").expect("counted");
        assert_eq!((m.requests.get(), m.running.get()), (4, 2), "twice the same");
        assert_eq!((m.errors.get(ErrorReason::Timeout), all.len()), (2, 2));
        drop(first);
        assert!(sheets.all().iter().all(|sheet| sheet.running.get() == 0));
    }

    #[test]
    fn there_are_no_more_sheets_than_there_may_be() {
        let (sheets, mut models) = (ModelSheets::default(), Models::default());
        for number in 0..10 * MOST {
            models.begin(&sheets, Some((&format!("m{number}"), "t")), 0);
        }
        let all = sheets.all();
        assert_eq!(all.len(), MOST + 1);
        let other = all.iter().find(|sheet| *sheet.model == *OTHER).expect("what is beyond");
        assert_eq!(other.requests.get(), 9 * MOST as u64);
    }
}
