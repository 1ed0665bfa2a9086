//! Enums that are others' and label values too.

use warmlane_picker::{PlainPolicy, Source, Strategy};
use warmlane_scrape::Outcome;

use super::Label;
use crate::{kernel::Refusal, stage::Stage};

impl Label for Outcome {
    const ALL: &'static [Self] = Self::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Label for Stage {
    const ALL: &'static [Self] = &Self::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Label for Strategy {
    const ALL: &'static [Self] = &[Self::Default, Self::PrefixCache];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Label for Source {
    const ALL: &'static [Self] = &Self::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Label for Refusal {
    const ALL: &'static [Self] = &Self::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Label for PlainPolicy {
    const ALL: &'static [Self] = &[Self::Random, Self::RoundRobin, Self::LeastRequest];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}
