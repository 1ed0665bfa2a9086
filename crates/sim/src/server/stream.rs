//! A streamed answer between the engine, which puts events in, and the connection, which takes them out.
//!
//! Every event is one frame and so one HTTP chunk. Frames share one growing buffer that is reused once
//! they are sent, so a token costs no allocation.

use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    replica::Lease,
    reply::Shape,
    trouble::{Cut, End},
};
use crate::{error::Error, metrics::Visit, model::Outcome, model::tokens};

/// Between the last frame of an answer that is cut and its end.
const BEFORE_CUT: Duration = Duration::from_millis(20);

/// Events not sent yet.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: BytesMut,
    lengths: VecDeque<usize>,
}

/// A streamed answer as the engine sees it.
pub(super) struct Live {
    frames: Frames,
    shape: Box<dyn Shape>,
    words: u64,
    reader: Option<Waker>,
    over: bool,
    /// Gives up at this token.
    fails_at: Option<u32>,
}

/// The body of a response; what it holds besides the bytes is undone when it goes.
pub(super) struct Reply {
    content: Content,
    /// Set where the route is counted.
    pub(super) visit: Option<Visit>,
    /// Where it ends before its end, and how: after so many frames.
    cut: Option<(u32, End)>,
    /// Until then, once it is to be cut.
    pause: Option<Pin<Box<Sleep>>>,
    /// How late each frame is.
    late: Option<(Duration, Pin<Box<Sleep>>)>,
}

/// What a body hands to its connection.
type NextFrame = Option<Result<Frame<Bytes>, Cut>>;

enum Content {
    Whole { bytes: Option<Bytes>, length: u64 },
    Live { live: Rc<RefCell<Live>>, _lease: Lease },
}

// === Frames ===

impl Frames {
    /// Adds one event made of `parts`.
    pub(super) fn push(&mut self, parts: &[&str]) {
        let length = parts.iter().map(|part| part.len()).sum();
        self.bytes.reserve(length);
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.lengths.push_back(length);
    }

    fn next(&mut self) -> Option<Bytes> {
        self.lengths.pop_front().map(|length| self.bytes.split_to(length).freeze())
    }
}

// === Live ===

impl Live {
    /// `words` is the filler text of the answer.
    pub(super) fn new(mut shape: Box<dyn Shape>, words: u64) -> Self {
        let mut frames = Frames::default();
        shape.open(&mut frames);
        Self { frames, shape, words, reader: None, over: false, fails_at: None }
    }

    /// Gives up at this output token, or at once.
    pub(super) fn fail_at(&mut self, index: u32) {
        self.fails_at = Some(index);
        if index == 0 {
            self.fail(&Error::Stopped);
        }
    }

    /// Output token `index`, not the last.
    pub(super) fn token(&mut self, index: u32) {
        if self.over {
            return;
        }
        if self.fails_at.is_some_and(|at| index >= at) {
            return self.fail(&Error::Stopped);
        }
        self.shape.token(&mut self.frames, index, tokens::word(self.words, index));
        self.wake();
    }

    /// The end, with the last token where the answer came to its end.
    pub(super) fn end(&mut self, last: Option<u32>, outcome: &Outcome) {
        if self.over {
            return;
        }
        let word = last.map_or("", |index| tokens::word(self.words, index));
        self.shape.last(&mut self.frames, word, outcome);
        self.over = true;
        self.wake();
    }

    /// An end in the middle.
    pub(super) fn fail(&mut self, error: &Error) {
        if self.over {
            return;
        }
        self.shape.fail(&mut self.frames, error);
        self.over = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

// === Content ===

impl Content {
    /// Waits until there is a frame, or the end.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Self::Live { live, .. } = self {
            let live = &mut *live.borrow_mut();
            if live.frames.lengths.is_empty() && !live.over {
                live.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Whole { bytes, .. } => bytes.take().filter(|bytes| !bytes.is_empty()),
            Self::Live { live, .. } => live.borrow_mut().frames.next(),
        }
    }
}

// === Reply ===

impl Reply {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self {
            visit: None,
            cut: None,
            pause: None,
            late: None,
            content: Content::Whole { bytes: Some(bytes), length },
        }
    }

    pub(super) fn live(live: Rc<RefCell<Live>>, lease: Lease) -> Self {
        Self {
            content: Content::Live { live, _lease: lease },
            visit: None,
            cut: None,
            pause: None,
            late: None,
        }
    }

    /// Ends after so many frames; of a whole answer half is sent.
    pub(super) fn cut_after(&mut self, frames: u32, end: End) {
        if let Content::Whole { bytes: Some(bytes), .. } = &mut self.content {
            bytes.truncate(bytes.len() / 2);
        }
        self.cut = Some((frames, end));
    }

    /// Announces a whole answer to be longer than it is.
    pub(super) fn announce_more(&mut self) {
        if let Content::Whole { length, .. } = &mut self.content {
            *length += 7;
        }
    }

    /// Sends each frame so much later.
    pub(super) fn delay(&mut self, by: Duration) {
        self.late = Some((by, Box::pin(sleep(by))));
    }

    /// Waits until the next frame is late enough.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some((by, timer)) = &mut self.late {
            ready!(timer.as_mut().poll(context));
            timer.as_mut().reset(Instant::now() + *by);
        }
        Poll::Ready(())
    }

    /// The end on purpose, once its frames are sent; `None` while some are left.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> Option<Poll<NextFrame>> {
        let Some((0, end)) = &self.cut else { return None };
        let line = match end {
            End::Hang => return Some(Poll::Pending),
            End::Close => None,
            End::Reset(line) => Some(line),
        };
        // What was sent before must be on its way: an error here drops it, and a reset overtakes it.
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(BEFORE_CUT)));
        if pause.as_mut().poll(context).is_pending() {
            return Some(Poll::Pending);
        }
        line.inspect(|line| line.reset());
        Some(Poll::Ready(Some(Err(Cut))))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(end) = this.poll_cut(context) {
            return end;
        }
        ready!(this.content.poll_next(context));
        ready!(this.poll_late(context));
        let next = this.content.next();
        if let Some((left, _)) = &mut this.cut {
            *left = left.saturating_sub(1);
            if next.is_none() {
                // It is over before it was to be cut: cut here.
                *left = 0;
                return this.poll_cut(context).unwrap_or(Poll::Ready(None));
            }
        }
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole { length, .. } => *length == 0,
            Content::Live { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole { length, .. } => SizeHint::with_exact(*length),
            Content::Live { .. } => SizeHint::default(),
        }
    }
}
