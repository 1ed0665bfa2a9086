//! Decisions in a file: JSON, a line each. The first line says what it is:
//!
//! ```json
//! {"format":"warmlane-decisions","version":1}
//! ```
//!
//! Any other is one of
//!
//! - `{"state": {"id", "pool", "endpoints"}}`: the endpoints that the decisions below were made among,
//! - `{"profile": {"id", "strategy", "weights", ...}}`: how they were weighed,
//! - `{"decision": {"shown": {...}, "state": ID, "profile": ID, "inputs": {...}}}`: one decision, as `/debug/decisions` shows it,
//!   and what it was made of. `state` is `null` where that was no longer kept.
//!
//! The oldest decisions are left out where the file would be larger than [`MOST_BYTES`]; the first line then says how many, as
//! `left_out`.
//!
//! A state or profile stands before the first decision that names it. Keys that are not known are passed over. No prompt is in
//! the file, and no part of one: model names, addresses and the ids of requests are.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    io::BufRead,
    num::NonZeroU64,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use warmlane_api::admin::Decision;
use warmlane_picker::{Profile, Snapshot};

use crate::{Admit, Asked, Inputs, State, recorded::Recorded, state::ProfileState};

const FORMAT: &str = "warmlane-decisions";
const VERSION: u32 = 1;

/// Of a file, but for its first line.
pub const MOST_BYTES: usize = 48 << 20;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk's fault.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Another file.
    #[error("this is no file of recorded decisions: its first line is not {{\"format\":\"{FORMAT}\",...}}")]
    Foreign,
    /// A newer router wrote it.
    #[error("the file's version is {0} and this program reads {VERSION}: use a newer one")]
    Version(u32),
    /// A line that is none.
    #[error("line {line}: {cause}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        cause: String,
    },
}

/// One decision of a file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it was shown.
    pub decision: Decision,
    /// What it was made of.
    pub inputs: Inputs,
    /// How it was weighed.
    pub profile: Profile,
    /// Who was weighed; `None` where that was no longer kept.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// Writes a file, and holds no more of it than the file may have.
#[derive(Debug, Default)]
pub struct Writer {
    /// States and profiles.
    named: String,
    /// A line each; the oldest first.
    decisions: VecDeque<String>,
    bytes_of_decisions: usize,
    left_out: u64,
    states: HashSet<u64>,
    profiles: Vec<Profile>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<NonZeroU64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    State(State),
    Profile(NumberedProfile),
    Decision(Box<DecisionLine>),
}

#[derive(Serialize, Deserialize)]
struct NumberedProfile {
    id: u64,
    #[serde(flatten)]
    profile: ProfileState,
}

#[derive(Serialize, Deserialize)]
struct DecisionLine {
    shown: Decision,
    state: Option<u64>,
    profile: u64,
    inputs: Recorded,
}

/// What the lines so far have said.
#[derive(Default)]
struct Reader {
    snapshots: HashMap<u64, Arc<Snapshot>>,
    profiles: HashMap<u64, Profile>,
    entries: Vec<Entry>,
}

/// Reads a whole file, in the order in which it stands.
///
/// # Errors
/// [`FileError`] says what is wrong with it, and where.
pub fn read(file: impl BufRead) -> Result<Vec<Entry>, FileError> {
    let mut lines = file.lines().enumerate();
    let (_, first) = lines.next().ok_or(FileError::Foreign)?;
    let head: Head = serde_json::from_str(&first?).map_err(|_| FileError::Foreign)?;
    if head.format != FORMAT {
        return Err(FileError::Foreign);
    }
    if head.version != VERSION {
        return Err(FileError::Version(head.version));
    }
    let mut reader = Reader::default();
    for (at, line) in lines {
        let line = line?;
        if !line.trim().is_empty() {
            reader.line(&line).map_err(|cause| FileError::Line { line: at + 1, cause })?;
        }
    }
    Ok(reader.entries)
}

/// How many decisions the router left out of a file, for its size.
pub fn left_out(mut file: impl BufRead) -> u64 {
    let mut first = String::new();
    let head = file.read_line(&mut first).ok().and_then(|_| serde_json::from_str::<Head>(&first).ok());
    head.and_then(|head| head.left_out).map_or(0, NonZeroU64::get)
}

/// What is wrong with a line. The parser counts lines too: to it each is the first.
fn unreadable(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    match text.strip_suffix(&format!(" at line {} column {column}", error.line())) {
        Some(cause) => format!("{cause} at column {column}"),
        None => text,
    }
}

// === Entry ===

impl Entry {
    /// To be made again; `None` where too little was kept.
    pub fn asked<'a>(&'a self, profile: &'a Profile, admission: Admit) -> Option<Asked<'a>> {
        let snapshot = self.snapshot.as_deref()?;
        Some(Asked { profile, snapshot, inputs: &self.inputs, admission })
    }
}

// === Writer ===

impl Writer {
    /// One more decision. `state` gives what it was made among: a number and the snapshot.
    pub fn add(
        &mut self,
        shown: Decision,
        inputs: &Inputs,
        profile: &Profile,
        state: Option<(u64, &Snapshot)>,
    ) {
        if let Some((id, snapshot)) = state
            && self.states.insert(id)
        {
            self.named += &line(&Line::State(State::of(id, &shown.pool, snapshot)));
        }
        let profile = self.profile(profile);
        let (state, inputs) = (state.map(|(id, _)| id), Recorded::of(inputs));
        let decision = line(&Line::Decision(Box::new(DecisionLine { shown, state, profile, inputs })));
        self.bytes_of_decisions += decision.len();
        self.decisions.push_back(decision);
        while self.named.len() + self.bytes_of_decisions > MOST_BYTES
            && let Some(oldest) = self.decisions.pop_front()
        {
            self.bytes_of_decisions -= oldest.len();
            self.left_out += 1;
        }
    }

    /// The file.
    pub fn finish(self) -> String {
        let left_out = NonZeroU64::new(self.left_out);
        let mut text = line(&Head { format: FORMAT.to_owned(), version: VERSION, left_out });
        text.reserve_exact(self.named.len() + self.bytes_of_decisions);
        text += &self.named;
        self.decisions.iter().for_each(|decision| text += decision);
        text
    }

    fn profile(&mut self, profile: &Profile) -> u64 {
        if let Some(at) = self.profiles.iter().position(|known| known == profile) {
            return at as u64;
        }
        let id = self.profiles.len() as u64;
        self.profiles.push(*profile);
        self.named += &line(&Line::Profile(NumberedProfile { id, profile: ProfileState::of(profile) }));
        id
    }
}

fn line(value: &impl Serialize) -> String {
    // Strings and numbers always serialise.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

// === Reader ===

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        match serde_json::from_str(line).map_err(|error| unreadable(&error))? {
            Line::State(state) => {
                self.snapshots.insert(state.id, Arc::new(state.snapshot()));
            }
            Line::Profile(NumberedProfile { id, profile }) => {
                self.profiles.insert(id, profile.profile().map_err(|unknown| unknown.to_string())?);
            }
            Line::Decision(decision) => self.decision(*decision)?,
        }
        Ok(())
    }

    fn decision(&mut self, line: DecisionLine) -> Result<(), String> {
        let DecisionLine { shown, state, profile, inputs } = line;
        let snapshot = match state {
            None => None,
            Some(id) => {
                Some(self.snapshots.get(&id).ok_or(format!("no state {id} stands above it"))?.clone())
            }
        };
        let profile = *self.profiles.get(&profile).ok_or(format!("no profile {profile} stands above it"))?;
        if let Some(snapshot) = &snapshot
            && let endpoints = snapshot.endpoints().len()
            && let Some(position) = inputs.offered_beyond(endpoints)
        {
            return Err(format!("endpoint {position} was offered, and its state has {endpoints}"));
        }
        let inputs = inputs.inputs().ok_or("its inputs name a number or criticality that is none")?;
        self.entries.push(Entry { decision: shown, inputs, profile, snapshot });
        Ok(())
    }
}
