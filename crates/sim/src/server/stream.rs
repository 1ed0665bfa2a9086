//! A streamed answer between the engine, which puts events in, and the connection, which takes them out.
//!
//! Every event is one frame and so one HTTP chunk. Frames share one growing buffer that is reused once
//! they are sent, so a token costs no allocation.

use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};

use super::{replica::Lease, reply::Shape};
use crate::{error::Error, metrics::Visit, model::Outcome, model::tokens};

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
}

/// The body of a response; what it holds besides the bytes is undone when it goes.
pub(super) struct Reply {
    content: Content,
    /// Set where the route is counted.
    pub(super) visit: Option<Visit>,
}

enum Content {
    Whole(Option<Bytes>),
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
        Self { frames, shape, words, reader: None, over: false }
    }

    /// Output token `index`, not the last.
    pub(super) fn token(&mut self, index: u32) {
        self.shape.token(&mut self.frames, index, tokens::word(self.words, index));
        self.wake();
    }

    /// The end, with the last token where the answer came to its end.
    pub(super) fn end(&mut self, last: Option<u32>, outcome: &Outcome) {
        let word = last.map_or("", |index| tokens::word(self.words, index));
        self.shape.last(&mut self.frames, word, outcome);
        self.over = true;
        self.wake();
    }

    /// An end in the middle.
    pub(super) fn fail(&mut self, error: &Error) {
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

// === Reply ===

impl Reply {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Whole(Some(bytes.into())), visit: None }
    }

    pub(super) fn live(live: Rc<RefCell<Live>>, lease: Lease) -> Self {
        Self { content: Content::Live { live, _lease: lease }, visit: None }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match &mut self.get_mut().content {
            Content::Whole(bytes) => {
                bytes.take().filter(|bytes| !bytes.is_empty()).map_or(Poll::Ready(None), frame)
            }
            Content::Live { live, .. } => {
                let live = &mut *live.borrow_mut();
                if let Some(bytes) = live.frames.next() {
                    return frame(bytes);
                }
                if live.over {
                    return Poll::Ready(None);
                }
                live.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Live { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Content::Live { .. } => SizeHint::default(),
        }
    }
}
