//! What the picker is asked for a request, and how that is kept.

use warmlane_engine::body::RequestBody;
use warmlane_picker::{self as picker, Chain, Decision, Group, GroupTable, Slot, SlotSet, Snapshot, Time};

use super::super::{Trace, admit::Admitted};
use crate::{
    chooser::{Chooser, Scratch},
    config::UnknownModel,
    decisions::{self, Made, Refused, Ring, Ticket},
    holders::Holders,
    world::{Edition, World},
};

/// A request that may go on, and who it may go to.
pub(crate) struct Asking<'a> {
    pub(crate) chooser: &'a Chooser,
    /// Its body, where it is an inference call.
    pub(crate) asked: Option<&'a RequestBody>,
    pub(crate) admitted: &'a Admitted,
    pub(crate) snapshot: &'a Edition,
}

/// What the picker is asked, but for what stands in the buffers.
pub(crate) struct Question<'a> {
    model: Option<&'a str>,
    admitted: &'a Admitted,
    /// Hash of the adapter's name; 0: none.
    pub(crate) adapter: u64,
    session: Option<Slot>,
    /// The prefix group it belongs to.
    pub(crate) group: Option<Group>,
    offered: Option<SlotSet>,
}

/// How the prompt's group is found: counting the request, or not.
type FindGroup = fn(&GroupTable, &Chain, Time) -> Option<Group>;

// === Asking ===

impl<'a> Asking<'a> {
    /// The name that is sent on.
    pub(crate) fn model(&self) -> Option<&'a str> {
        let rewrite = self.admitted.rewrite.as_deref();
        self.asked.map(|body| rewrite.unwrap_or(&body.model))
    }

    /// The same, if it is an adapter's.
    fn adapter(&self) -> Option<&'a str> {
        self.model().and_then(|model| adapter(self.snapshot, model))
    }

    /// Keeps a decision.
    pub(crate) fn keep(
        &self,
        ring: &Ring,
        question: &Question<'_>,
        scratch: &Scratch,
        chosen: Result<(&Decision, &str), Refused>,
        trace: &Trace,
        (at, seed): (Time, u64),
    ) -> Ticket {
        let made = Made {
            request_id: &trace.request_id,
            id_hash: decisions::id_hash(&self.chooser.world, &trace.request_id),
            listener: trace.listener,
            pool: &self.admitted.pool.name,
            asked: self.asked.map_or("", |body| &body.model),
            chosen,
            edition: self.snapshot.number(),
            profile: &self.admitted.pool.rules().profile,
            session: self.admitted.incoming.session,
            chain: scratch.holders.chain(),
            tokens_per_block: scratch.holders.tokens_per_block(),
            request: &question.request(scratch),
            at,
            seed,
        };
        ring.add(made)
    }
}

// === Question ===

impl<'a> Question<'a> {
    /// Reads the ledger. All that admission takes; the prompt is not looked at.
    pub(crate) fn new(asking: &Asking<'a>, scratch: &mut Scratch) -> Self {
        let Asking { chooser, admitted, snapshot, .. } = *asking;
        let (world, model) = (&*chooser.world, asking.model());
        let adapter = asking.adapter().map_or(0, |name| world.hash(name.as_bytes()));
        world.ledger.read(snapshot, adapter, &mut scratch.live);
        let passes = chooser.config.unknown_model == UnknownModel::Pass;
        let is_unknown = |model: &str| passes && snapshot.serving(model).is_none();
        Self {
            // One that nobody lists may go to anybody.
            model: model.filter(|model| !is_unknown(model)),
            admitted,
            adapter,
            session: None,
            group: None,
            offered: admitted.incoming.hints.offered.as_ref().map(|offered| offered.positions(snapshot)),
        }
    }

    /// Finds who holds the prompt, too, and whom session and group are pinned to.
    pub(crate) fn with_prompt(
        mut self,
        asking: &Asking<'a>,
        scratch: &mut Scratch,
        now: Time,
        find_group: FindGroup,
    ) -> Self {
        let world = &*asking.chooser.world;
        let needs_prefix = self.admitted.pool.rules().profile.strategy.needs_prefix();
        let prompt = asking.asked.zip(asking.model()).filter(|_| needs_prefix);
        find(world, prompt, asking.adapter(), &mut scratch.holders);
        self.session = session(world, self.admitted.incoming.session, now);
        self.group = find_group(&world.groups, scratch.holders.chain(), now);
        self
    }

    /// The same, with the buffers.
    pub(crate) fn request<'q>(&'q self, scratch: &'q Scratch) -> picker::Request<'q> {
        picker::Request {
            model: self.model,
            prompt_tokens: self.admitted.prompt_tokens,
            output_tokens: self.admitted.output_tokens,
            criticality: self.admitted.criticality,
            prefix: scratch.holders.matches(),
            session: self.session,
            group: self.group.as_ref(),
            offered: self.offered.as_ref(),
            live: &scratch.live,
        }
    }
}

/// Finds who holds the prompt.
pub(super) fn find(
    world: &World,
    asked: Option<(&RequestBody, &str)>,
    adapter: Option<&str>,
    holders: &mut Holders,
) {
    match asked {
        Some((body, model)) => holders.find(world, seed(world, body, model, adapter), &body.prompt),
        None => holders.nobody(),
    }
}

/// Where the prompt's chain starts.
pub(crate) fn seed(world: &World, body: &RequestBody, model: &str, adapter: Option<&str>) -> u64 {
    Chain::seed(world.key, model, adapter, body.cache_salt.as_deref())
}

/// The name, if it is an adapter's.
pub(crate) fn adapter<'m>(snapshot: &Snapshot, model: &'m str) -> Option<&'m str> {
    Some(model).filter(|model| snapshot.serving(model).is_some_and(|serving| serving.adapter))
}

fn session(world: &World, key: u64, now: Time) -> Option<Slot> {
    if key == 0 { None } else { world.pins.get(key, now) }
}
