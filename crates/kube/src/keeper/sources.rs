//! How each feed fares, what is said of it, and whether enough is known to begin.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    error::{Source, Trouble},
    objects::Kind,
    watching::SourceState,
};

/// So long after the start a resource of its own trouble is waited for. The rest is served without it then: a broken conversion
/// of one version is no reason to serve nothing of the other.
pub(super) const WAIT: Duration = Duration::from_secs(30);

/// Each source with what is known of its feed.
pub(super) struct Sources {
    all: BTreeMap<Source, Standing>,
    /// When the first of them was read, or is known not to be there.
    heard: Option<Instant>,
    /// The API server did not answer the last who asked.
    is_away: bool,
}

/// What is known of a feed.
#[derive(Debug, Default)]
struct Standing {
    /// It has told all there is, or that it cannot.
    has_spoken: bool,
    /// It has told all there is, or that there is no such resource.
    was_read: bool,
    trouble: Option<Trouble>,
}

// === Sources ===

impl Sources {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        let all = sources.into_iter().map(|source| (source, Standing::default())).collect();
        Self { all, heard: None, is_away: false }
    }

    /// All there is was told. Whether that is the first time.
    pub(super) fn read(&mut self, source: &Source) -> bool {
        let standing = self.all.entry(source.clone()).or_default();
        let is_first = !standing.has_spoken || !standing.was_read;
        (standing.has_spoken, standing.was_read) = (true, true);
        self.heard.get_or_insert_with(Instant::now);
        is_first
    }

    /// Notes and says how a feed fares. Whether that is new.
    pub(super) fn stand(&mut self, source: &Source, now: Option<Trouble>) -> bool {
        let standing = self.all.entry(source.clone()).or_default();
        let is_final = now.as_ref().is_some_and(|trouble| trouble.is_final() || is_optional(source.kind));
        let is_absent = matches!(now, Some(Trouble::Absent));
        let was_read = is_absent && !std::mem::replace(&mut standing.was_read, true);
        let spoke = is_final && !std::mem::replace(&mut standing.has_spoken, true) || was_read;
        let is_same = match (&standing.trouble, &now) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is_like(now),
            _ => false,
        };
        if is_same {
            return spoke;
        }
        say(source, standing.trouble.as_ref(), now.as_ref());
        standing.trouble = now;
        self.say_whether_away();
        true
    }

    /// What all sources share is said once. It is over when it is over for all of them: where one alone is met by silence, the
    /// answers of the others are no news.
    fn say_whether_away(&mut self) {
        let mut away = self.all.iter().filter_map(|(source, standing)| {
            let trouble = standing.trouble.as_ref().filter(|trouble| trouble.is_everywhere())?;
            Some((source, trouble))
        });
        match away.next() {
            Some((source, trouble)) if !self.is_away => {
                tracing::warn!("{}", trouble.tell(source));
                self.is_away = true;
            }
            None if self.is_away => {
                tracing::info!("the Kubernetes API server answers again");
                self.is_away = false;
            }
            _ => {}
        }
    }

    /// Whether enough is known: before that, what was not read yet would seem to be gone.
    pub(super) fn are_known(&self, now: Instant) -> bool {
        self.needed().all(|(_, standing)| standing.has_spoken)
            || self.heard.is_some_and(|heard| now >= heard + WAIT)
                && self.has_any(&Kind::POOLS)
                && self.has_any(&[Kind::Pod])
    }

    /// Whether all that cannot be done without was read once, or is not there.
    pub(super) fn are_read(&self) -> bool {
        self.needed().all(|(_, standing)| standing.was_read)
    }

    /// When it is worth while to ask again whether enough is known, though nothing was told.
    pub(super) fn patience_ends(&self, now: Instant) -> Option<Instant> {
        self.heard.map(|heard| heard + WAIT).filter(|end| now < *end)
    }

    /// Whether there is word of what there is of these, where it is watched at all.
    fn has_any(&self, kinds: &[Kind]) -> bool {
        let is_told = |standing: &Standing| standing.has_spoken && !standing.is_absent();
        let mut of_these = self.all.iter().filter(|(source, _)| kinds.contains(&source.kind)).peekable();
        of_these.peek().is_none() || of_these.any(|(_, standing)| is_told(standing))
    }

    fn needed(&self) -> impl Iterator<Item = (&Source, &Standing)> {
        self.all.iter().filter(|(source, _)| !is_optional(source.kind))
    }

    /// What is wrong with watching, each once. It was said when it came to be known.
    pub(super) fn troubles(&self) -> BTreeSet<String> {
        let trouble = |(source, standing): (&Source, &Standing)| match standing.trouble.as_ref()? {
            Trouble::Absent => None,
            trouble => Some(trouble.tell(source)),
        };
        self.all.iter().filter_map(trouble).collect()
    }

    /// What is served without, and without a word of its own on why.
    pub(super) fn unread(&self) -> Vec<String> {
        let is_unread = |standing: &Standing| {
            let has_own_word = standing.trouble.as_ref().is_some_and(|trouble| !trouble.is_everywhere());
            !standing.was_read && !has_own_word
        };
        let unread = self.needed().filter(|(_, standing)| is_unread(standing));
        unread.map(|(source, _)| format!("{source}: not read yet, and served without")).collect()
    }

    pub(super) fn no_pools(&self) -> Option<String> {
        let of_pools = || self.all.iter().filter(|(source, _)| Kind::POOLS.contains(&source.kind));
        let are_absent = of_pools().next().is_some() && of_pools().all(|(_, standing)| standing.is_absent());
        let why = "the cluster has no InferencePool in any version that is known: are its CRDs installed?";
        are_absent.then(|| why.to_owned())
    }

    /// Each source but those that the cluster does not have.
    pub(super) fn states(&self) -> Vec<SourceState> {
        let state = |(source, standing): (&Source, &Standing)| SourceState {
            source: source.clone(),
            is_up: standing.was_read && standing.trouble.is_none(),
        };
        self.all.iter().filter(|(_, standing)| !standing.is_absent()).map(state).collect()
    }
}

// === Standing ===

impl Standing {
    fn is_absent(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Absent))
    }
}

/// Without it pools are served all the same.
fn is_optional(kind: Kind) -> bool {
    !(Kind::POOLS.contains(&kind) || kind == Kind::Pod)
}

/// Says what is new about one feed. What all feeds share is said once for all, and that a resource is not there is nothing to
/// worry about.
fn say(source: &Source, before: Option<&Trouble>, now: Option<&Trouble>) {
    match (before, now) {
        (_, Some(trouble)) if trouble.is_everywhere() => {}
        (_, Some(trouble @ Trouble::Absent)) => tracing::debug!("{}", trouble.tell(source)),
        (_, Some(trouble)) => tracing::warn!("{}", trouble.tell(source)),
        (Some(Trouble::Forbidden { .. } | Trouble::Busy { .. } | Trouble::Failed(_)), None) => {
            tracing::info!("{source} can be watched again");
        }
        (Some(Trouble::Absent), None) => tracing::info!("{source}: now there"),
        (_, None) => {}
    }
}
