//! What other pages than its own look up on a sheet.

use super::{
    super::{Amounts, Durations, Label},
    Exchanges, ProxyMetrics,
};
use crate::stage::Stage;

impl ProxyMetrics {
    pub(in super::super) fn stage_durations(&self, stage: Stage) -> &Durations {
        &self.stages[stage.index()]
    }

    pub(in super::super) fn hits(&self) -> &Amounts {
        &self.hits
    }

    pub(in super::super) fn exchanges(&self) -> &Exchanges {
        &self.exchanges
    }

    pub(in super::super) fn unpicked_in_all(&self) -> u64 {
        self.unpicked.get()
    }

    /// By all strategies.
    pub(in super::super) fn picked_in_all(&self) -> u64 {
        self.picks.rows().map(|(_, count)| count).sum()
    }
}
