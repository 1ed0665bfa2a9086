//! What a frame means: the next one, one that was seen already, or a sign that some were missed. Pure.
//!
//! An engine numbers its frames from 0 and keeps the last ten thousand to be replayed. Frames go missing when a connection
//! breaks and when a subscriber is slow. A number alone does not tell whether the engine is still the same process, so the
//! last frame that was taken is asked for again: if it has not the same bytes, all that is known is of another process.

use xxhash_rust::xxh3::xxh3_64;

/// Where a stream of frames stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The last frame that was taken.
    last: Option<Mark>,
    /// A replay is under way, and nothing of it has come.
    opening: bool,
    /// The replay has brought something new.
    progressed: bool,
    /// A replay brought nothing at all, or there is none: what came before cannot be learnt.
    unreplayed: bool,
}

/// A frame, known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    seq: u64,
    print: u64,
}

/// What is due for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Take it.
    Take,
    /// Forget all blocks, then take it. `whole`: nothing came before it, so that what follows is all there is.
    Anew {
        /// See above.
        whole: bool,
    },
    /// Nothing: it was seen.
    Skip,
    /// Ask for a replay: frames were missed, or are another process's. All is to be forgotten where [`Order::is_new`].
    Replay,
}

// === Order ===

impl Order {
    /// The first frame to ask for, at the beginning, after a broken connection, or when frames were missed.
    pub fn begin_replay(&mut self) -> u64 {
        (self.opening, self.progressed) = (true, false);
        self.last.map_or(0, |last| last.seq)
    }

    /// Whether no frame has been taken, so that a replay brings all there is.
    pub fn is_new(&self) -> bool {
        self.last.is_none()
    }

    /// Nothing is known any more: the next replay begins at the first frame.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// A frame of a replay.
    pub fn replayed(&mut self, seq: u64, payload: &[u8]) -> Step {
        let opening = std::mem::take(&mut self.opening);
        let print = xxh3_64(payload);
        let step = match self.last {
            Some(last) if opening && last == (Mark { seq, print }) => return Step::Skip,
            // Another process, of which there is more than was asked for.
            Some(last) if opening && last.seq == seq && seq > 0 => {
                self.forget();
                return Step::Replay;
            }
            // Too much was missed.
            _ if opening => Step::Anew { whole: seq == 0 },
            Some(last) if seq <= last.seq => return Step::Skip,
            Some(last) if seq == last.seq + 1 => Step::Take,
            // Lost on the way: what is missing can be asked for again, as long as that gets on.
            _ if self.progressed => return Step::Replay,
            _ => Step::Anew { whole: false },
        };
        self.progressed = true;
        self.last = Some(Mark { seq, print });
        step
    }

    /// The replay is over. [`Step::Replay`] when nothing came of it, not even the frame that was known: another process
    /// has not got so far yet.
    pub fn end_replay(&mut self) -> Step {
        let is_empty = std::mem::take(&mut self.opening);
        let is_other = is_empty && self.last.take().is_some();
        self.unreplayed = is_empty && !is_other;
        if is_other { Step::Replay } else { Step::Skip }
    }

    /// The replay broke off. [`Step::Replay`] when it got on: the rest may be asked for.
    pub fn break_replay(&mut self) -> Step {
        self.opening = false;
        if self.progressed { Step::Replay } else { Step::Skip }
    }

    /// There is no replay: frames are taken from the next one on.
    pub fn without_replay(&mut self) {
        *self = Self { unreplayed: true, ..Self::default() };
    }

    /// A frame as it was published.
    pub fn published(&mut self, seq: u64, payload: &[u8]) -> Step {
        let print = xxh3_64(payload);
        match self.last {
            // Nothing had been published when the replay was asked for.
            None if seq == 0 => {}
            None if self.unreplayed => {
                self.last = Some(Mark { seq, print });
                return Step::Anew { whole: false };
            }
            None => return Step::Replay,
            Some(last) if seq <= last.seq => return Step::Skip,
            Some(last) if seq == last.seq + 1 => {}
            Some(_) => return Step::Replay,
        }
        self.last = Some(Mark { seq, print });
        Step::Take
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(process: u8, seq: u64) -> Vec<u8> {
        [&[process][..], &seq.to_le_bytes()].concat()
    }

    /// Replays an engine's frames from what is asked for on; it keeps `kept` of them.
    fn replay(order: &mut Order, process: u8, published: u64, kept: u64) -> Vec<Step> {
        let from = order.begin_replay().max(published.saturating_sub(kept));
        let mut steps = Vec::new();
        for seq in from..published {
            steps.push(order.replayed(seq, &payload(process, seq)));
            if steps.last() == Some(&Step::Replay) {
                return steps;
            }
        }
        order.end_replay();
        steps
    }

    #[test]
    fn the_first_replay_is_all_there_is_and_live_frames_go_on_from_it() {
        let mut order = Order::default();
        assert!(order.is_new());
        assert_eq!(replay(&mut order, 1, 3, 9), [Step::Anew { whole: true }, Step::Take, Step::Take]);
        assert!(!order.is_new());
        assert_eq!(order.published(1, &payload(1, 1)), Step::Skip, "in both");
        assert_eq!(order.published(3, &payload(1, 3)), Step::Take);
    }

    #[test]
    fn an_engine_that_has_published_nothing_is_followed_from_its_first_frame() {
        let mut order = Order::default();
        assert_eq!(replay(&mut order, 1, 0, 9), []);
        assert_eq!(order.published(0, &payload(1, 0)), Step::Take);
    }

    #[test]
    fn an_engine_that_replays_nothing_is_followed_from_where_it_is() {
        let mut order = Order::default();
        assert_eq!(replay(&mut order, 1, 57, 0), []);
        assert_eq!(order.published(57, &payload(1, 57)), Step::Anew { whole: false });
        assert_eq!(order.published(58, &payload(1, 58)), Step::Take);
        order.without_replay();
        assert_eq!(order.published(80, &payload(1, 80)), Step::Anew { whole: false });
    }

    #[test]
    fn what_a_replay_loses_on_the_way_is_asked_for_again() {
        let mut order = Order::default();
        assert_eq!(order.begin_replay(), 0);
        assert_eq!(order.replayed(0, &payload(1, 0)), Step::Anew { whole: true });
        assert_eq!(order.replayed(2, &payload(1, 2)), Step::Replay);
        assert!(order.begin_replay() == 0 && !order.is_new());
        assert_eq!(order.replayed(0, &payload(1, 0)), Step::Skip);
        assert_eq!(
            order.replayed(2, &payload(1, 2)),
            Step::Anew { whole: false },
            "it does not get on: it has none"
        );
        order.begin_replay();
        assert_eq!(order.break_replay(), Step::Skip);
    }

    #[test]
    fn a_gap_is_filled_by_a_replay_that_begins_with_the_last_frame_known() {
        let mut order = Order::default();
        replay(&mut order, 1, 3, 9);
        assert_eq!(order.published(5, &payload(1, 5)), Step::Replay);
        assert_eq!(replay(&mut order, 1, 6, 9), [Step::Skip, Step::Take, Step::Take, Step::Take]);
        assert_eq!(order.published(5, &payload(1, 5)), Step::Skip);
    }

    #[test]
    fn too_old_a_gap_starts_anew() {
        let mut order = Order::default();
        replay(&mut order, 1, 3, 9);
        assert_eq!(replay(&mut order, 1, 50, 2), [Step::Anew { whole: false }, Step::Take]);
    }

    #[test]
    fn another_process_is_known_by_its_bytes_even_with_the_same_numbers() {
        let mut order = Order::default();
        replay(&mut order, 1, 3, 9);
        assert_eq!(replay(&mut order, 2, 5, 9), [Step::Replay], "there is more of it than was asked for");
        assert_eq!(replay(&mut order, 2, 5, 9)[..2], [Step::Anew { whole: true }, Step::Take]);
        let mut order = Order::default();
        replay(&mut order, 1, 30, 99);
        // It has not got so far yet.
        let from = order.begin_replay();
        assert_eq!((from, order.end_replay()), (29, Step::Replay));
        assert_eq!((order.begin_replay(), order.end_replay()), (0, Step::Skip));
        assert_eq!(order.published(0, &payload(2, 0)), Step::Take);
    }

    proptest! {
        /// Whatever is lost on the way, and wherever a replay comes in: what is taken since the last new start is a run
        /// without a gap, and after a replay it reaches the end.
        #[test]
        fn what_is_taken_has_no_gap(lost in proptest::collection::vec(any::<bool>(), 1..80), kept in 1_u64..20) {
            let (mut order, mut taken) = (Order::default(), Vec::new());
            let note = |taken: &mut Vec<u64>, step, seq| match step {
                Step::Take => taken.push(seq),
                Step::Anew { .. } => *taken = vec![seq],
                Step::Skip | Step::Replay => {}
            };
            for (seq, lost) in (0_u64..).zip(lost) {
                if lost {
                    continue;
                }
                let step = order.published(seq, &payload(1, seq));
                note(&mut taken, step, seq);
                if step == Step::Replay {
                    let from = order.begin_replay().max((seq + 1).saturating_sub(kept));
                    for again in from..=seq {
                        let step = order.replayed(again, &payload(1, again));
                        note(&mut taken, step, again);
                    }
                    prop_assert_eq!(order.end_replay(), Step::Skip);
                    prop_assert_eq!(taken.last(), Some(&seq));
                }
            }
            prop_assert!(taken.windows(2).all(|pair| pair[1] == pair[0] + 1), "{taken:?}");
        }
    }
}
