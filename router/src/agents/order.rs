//! Whether a stream's updates come as they should: first everything, then each next one. Pure.

use warmlane_api::node::Update;

/// Where a stream stands.
#[derive(Debug, Default)]
pub(super) struct Order {
    generation: u64,
    sequence: u64,
}

/// Why a stream cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// Something was lost, or another process speaks.
    #[error("update {got} came where {due} was due")]
    Gap {
        /// What should have come.
        due: u64,
        /// What came.
        got: u64,
    },
    /// What came before is not known.
    #[error("its first update is not the full state: is it an agent of another version?")]
    NotFull,
    /// What was told before would be left standing.
    #[error("it tells everything again in the middle of a stream: is it an agent of another version?")]
    FullAgain,
}

// === Order ===

impl Order {
    /// Takes the next update.
    pub(super) fn next(&mut self, update: &Update) -> Result<(), Broken> {
        if self.sequence == 0 {
            if !update.full {
                return Err(Broken::NotFull);
            }
            self.generation = update.generation;
        } else if update.full {
            return Err(Broken::FullAgain);
        }
        let due = self.sequence + 1;
        if update.sequence != due || update.generation != self.generation {
            return Err(Broken::Gap { due, got: update.sequence });
        }
        self.sequence = due;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(generation: u64, sequence: u64, full: bool) -> Update {
        Update { generation, sequence, full, ..Update::default() }
    }

    #[test]
    fn a_stream_begins_with_everything_and_has_no_gap() {
        let mut order = Order::default();
        assert_eq!(order.next(&update(7, 1, false)), Err(Broken::NotFull));
        assert!(order.next(&update(7, 1, true)).is_ok() && order.next(&update(7, 2, false)).is_ok());
        assert_eq!(order.next(&update(7, 4, false)), Err(Broken::Gap { due: 3, got: 4 }));
        assert_eq!(order.next(&update(8, 3, false)), Err(Broken::Gap { due: 3, got: 3 }), "another process");
        assert_eq!(order.next(&update(7, 3, true)), Err(Broken::FullAgain));
        assert!(order.next(&update(7, 3, false)).is_ok());
    }
}
