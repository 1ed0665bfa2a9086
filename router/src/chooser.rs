//! What choosing takes: the state of the world, and buffers. A worker has its own, and so have the debug pages.

use std::{cell::RefCell, sync::Arc};

use warmlane_engine::body::{Api, BodyReader, Limits};
use warmlane_picker::Live;

use crate::{config::Config, decisions::Ring, holders::Holders, world::World};

/// See the module's header.
pub struct Chooser {
    /// The pool's state and the tables.
    pub world: Arc<World>,
    /// Settings.
    pub config: Arc<Config>,
    /// Randomness.
    pub rng: RefCell<fastrand::Rng>,
    /// Buffers.
    pub scratch: RefCell<Scratch>,
    /// Where decisions are kept; `None`: they are not.
    pub ring: Option<Arc<Ring>>,
}

/// Buffers that every pick of a thread reuses.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The ledger, read.
    pub live: Vec<Live>,
    /// Who holds how much of the prompt.
    pub holders: Holders,
}

// === Chooser ===

impl Chooser {
    /// One that keeps its decisions, where any are kept.
    pub fn of_worker(world: Arc<World>, config: Arc<Config>) -> Self {
        let ring = world.decisions.ring();
        Self { ring, ..Self::of_pages(world, config) }
    }

    /// One for questions that change nothing.
    pub fn of_pages(world: Arc<World>, config: Arc<Config>) -> Self {
        let (rng, scratch) = (RefCell::new(fastrand::Rng::new()), RefCell::default());
        Self { world, config, rng, scratch, ring: None }
    }

    /// A new reader of bodies of this shape.
    pub fn body_reader(&self, api: Api) -> BodyReader {
        let limits = Limits { block_bytes: self.config.prefix.block_bytes, ..Limits::default() };
        BodyReader::new(api, limits)
    }
}
