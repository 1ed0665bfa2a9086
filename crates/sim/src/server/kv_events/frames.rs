//! The frames published last, numbered.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use bytes::Bytes;
use tokio::sync::Notify;
use zeromq::ZmqMessage;

use super::{KvFormat, encode};
use crate::{metrics::unix_time, model};

/// Frames kept for replays: vLLM's `buffer_steps`.
pub(super) const KEPT: usize = 10_000;

/// What was published, and what is to be published next.
#[derive(Debug)]
pub(in crate::server) struct Frames {
    format: KvFormat,
    kept: RefCell<VecDeque<Frame>>,
    next: Cell<u64>,
    /// Signals that there is another frame.
    more: Notify,
}

/// One batch of events. Cloning is a reference count.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) number: u64,
    pub(super) payload: Bytes,
}

// === Frames ===

impl Frames {
    pub(in crate::server) fn new(format: KvFormat) -> Self {
        Self { format, kept: RefCell::default(), next: Cell::new(0), more: Notify::new() }
    }

    /// Makes a frame of what happened in one step, if anything did. Lost events leave a gap in the numbers.
    pub(in crate::server) fn push(&self, noted: &model::KvEvents) {
        let number = self.next.get() + u64::from(noted.lost);
        self.next.set(number);
        if noted.events.is_empty() {
            return;
        }
        let payload = encode::payload(self.format, unix_time(), &noted.events);
        let mut kept = self.kept.borrow_mut();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Frame { number, payload });
        self.next.set(number + 1);
        self.more.notify_one();
    }

    /// The first frame kept whose number is `number` or more.
    pub(super) fn first_from(&self, number: u64) -> Option<Frame> {
        let kept = self.kept.borrow();
        let at = kept.partition_point(|frame| frame.number < number);
        kept.get(at).cloned()
    }

    /// Resolves when there may be another frame.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }
}

// === Frame ===

impl Frame {
    /// Topic, number, payload.
    pub(super) fn message(&self) -> ZmqMessage {
        let mut message = ZmqMessage::from(Bytes::new());
        message.push_back(Bytes::copy_from_slice(&self.number.to_be_bytes()));
        message.push_back(self.payload.clone());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KvEvent;

    fn noted(lost: bool) -> model::KvEvents {
        model::KvEvents { events: vec![KvEvent::Cleared], lost }
    }

    fn number(frames: &Frames, from: u64) -> Option<u64> {
        frames.first_from(from).map(|frame| frame.number)
    }

    #[test]
    fn frames_are_numbered_and_lost_events_leave_a_gap() {
        let frames = Frames::new(KvFormat::Map);
        frames.push(&model::KvEvents::default());
        frames.push(&noted(false));
        frames.push(&noted(true));
        let numbers = [number(&frames, 0), number(&frames, 1), number(&frames, 2), number(&frames, 3)];
        assert_eq!(numbers, [Some(0), Some(2), Some(2), None]);
    }

    #[test]
    fn the_oldest_frames_go_at_the_bound() {
        let frames = Frames::new(KvFormat::Map);
        (0..KEPT + 5).for_each(|_| frames.push(&noted(false)));
        assert_eq!(number(&frames, 0), Some(5));
    }
}
