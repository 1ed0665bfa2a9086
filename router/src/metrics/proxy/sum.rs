//! One sheet added to another.

use super::{super::Tally, ProxyMetrics};

impl ProxyMetrics {
    /// Adds another sheet's counts. Takes it apart by name, so that no field is left out.
    pub(in super::super) fn absorb(&self, other: &Self) {
        let Self {
            requests,
            errors,
            stages,
            retries,
            retries_refused,
            aborts,
            shed,
            picks,
            unpicked,
            lookups,
            prompt_tokens,
            matched_tokens,
            matches,
            connections,
            open,
            connections_refused,
            handshakes_failed,
            floods,
            certificate_loads,
            exchanges,
            aims,
            misses,
            rides,
            refusals,
            used,
            hits,
            by_model,
        } = other;
        let add = |mine: &Tally, more: &Tally| mine.add(more.get());
        let statuses = self.requests.iter().flatten().zip(requests.iter().flatten());
        statuses.for_each(|(mine, more)| add(mine, more));
        self.errors.iter().zip(errors).for_each(|(mine, more)| mine.absorb(more));
        self.stages.iter().zip(stages).for_each(|(mine, more)| mine.absorb(more));
        self.connections.iter().zip(connections).for_each(|(mine, more)| add(mine, more));
        add(&self.open, open);
        add(&self.retries_refused, retries_refused);
        add(&self.aborts, aborts);
        add(&self.shed, shed);
        add(&self.unpicked, unpicked);
        add(&self.lookups, lookups);
        add(&self.prompt_tokens, prompt_tokens);
        add(&self.matched_tokens, matched_tokens);
        self.retries.absorb(retries);
        self.picks.absorb(picks);
        self.matches.absorb(matches);
        self.connections_refused.absorb(connections_refused);
        self.handshakes_failed.absorb(handshakes_failed);
        self.floods.absorb(floods);
        self.certificate_loads.absorb(certificate_loads);
        self.exchanges.absorb(exchanges);
        self.hits.absorb(hits);
        self.aims.absorb(aims);
        self.misses.absorb(misses);
        add(&self.rides, rides);
        self.refusals.absorb(refusals);
        self.by_model.absorb(by_model);
        self.used.iter().zip(used).for_each(|(mine, more)| add(mine, more));
    }
}
