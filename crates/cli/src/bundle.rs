//! `bundle`: an archive of what router, agent and this machine say, for somebody who was not there.
//!
//! Bounds: [`gathered::MOST_BYTES`] of contents in all before they are pressed, and a page's own ([`Client`]); what does not fit is left out. A
//! page that cannot be had costs no other: the manifest says why. Secrets and prompts leave nothing behind ([`secrets`]); with
//! `--redact` names do not either ([`pseudonyms`]).

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    args::Bundle,
    clean::clean,
    client::Client,
    error::CliError,
    save::{Readers, save},
    screen::{Screen, Tone},
    units,
    views::{View, hang},
};

mod archive;
mod facts;
mod gathered;
mod pages;
mod pseudonyms;
mod secrets;

use archive::archive;
use gathered::Gathered;
use pseudonyms::Pseudonyms;
use secrets::Secrets;

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    name: &'static str,
    text: String,
}

/// What is in the archive, and what is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Manifest {
    /// The archive's name. Not its folder, which may be called as its user is.
    archive: String,
    /// Where it is.
    #[serde(skip)]
    path: PathBuf,
    /// Of this program.
    version: &'static str,
    /// By this machine's clock.
    made: String,
    /// Names stand for others.
    redacted: bool,
    /// Places where a secret or a prompt stood, by file, or by what there is instead of it.
    removed: BTreeMap<&'static str, usize>,
    files: Vec<Listed>,
    missing: Vec<Missing>,
    /// Neither of both said anything, or one that answers did not say all.
    #[serde(skip)]
    is_whole: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Listed {
    name: &'static str,
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Missing {
    name: &'static str,
    why: String,
}

/// Who is asked, and by which means.
pub(crate) struct Sources<'c> {
    pub(crate) router: &'c mut Client,
    pub(crate) agent: &'c mut Client,
    /// For each page.
    pub(crate) patience: Duration,
    /// Where the router's token is, which must not be in the archive.
    pub(crate) token_file: Option<PathBuf>,
}

/// Asks for everything, writes the archive, and says what is in it.
pub(crate) async fn bundle(asked: &Bundle, sources: Sources<'_>) -> Result<Manifest, CliError> {
    #[expect(clippy::disallowed_methods, reason = "a date for people is asked for")]
    let now = SystemTime::now();
    let secrets = Secrets::known(sources.token_file.as_deref());
    let mut gathered = Gathered::new(asked.redact);
    let Sources { router, agent, patience, .. } = sources;
    gathered.ask(asked, (&mut *router, &mut *agent), patience).await;
    let (mut files, mut missing) = gathered.take();
    gathered.bar.set_message("writing");
    let mut removed: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &mut files {
        *removed.entry(file.name).or_default() += secrets.remove(file);
    }
    if asked.redact {
        let mut names = Pseudonyms::default();
        [&*router, &*agent].into_iter().for_each(|client| names.own(client.address(), client.pod()));
        let given = [&asked.router_metrics, &asked.agent_metrics];
        given.into_iter().flatten().for_each(|address| names.own(address, None));
        missing.iter().for_each(|missing| names.learn_text(&missing.why));
        files.iter().for_each(|file| names.learn(file));
        files.iter_mut().for_each(|file| file.text = names.hide(file));
        missing.iter_mut().for_each(|missing| missing.why = names.text(&missing.why));
    }
    for missing in &mut missing {
        *removed.entry(missing.name).or_default() += secrets.remove_from_text(&mut missing.why);
    }
    removed.retain(|_, count| *count > 0);
    let path = asked.file.clone().unwrap_or_else(|| named(now));
    let manifest = Manifest {
        archive: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: path.clone(),
        version: env!("CARGO_PKG_VERSION"),
        made: httpdate::fmt_http_date(now),
        redacted: asked.redact,
        removed,
        files: files.iter().map(|file| Listed { name: file.name, bytes: file.text.len() }).collect(),
        is_whole: is_whole(&files, &missing),
        missing,
    };
    let packed = archive(&manifest, &files, now).map_err(CliError::Start)?;
    // What it says of a machine is for whoever it is given to.
    save(&packed, &path, Readers::User)?;
    Ok(manifest)
}

fn named(now: SystemTime) -> PathBuf {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("warmlane-bundle-{seconds}.tar.gz").into()
}

/// A side of which nothing came may be elsewhere; of one that answers, all must have come.
fn is_whole(files: &[File], missing: &[Missing]) -> bool {
    let answers = |side: &str| files.iter().any(|file| file.name.starts_with(side));
    let lacks = |side: &str| missing.iter().any(|missing| missing.name.starts_with(side));
    let (router, agent) = ("router/", "agent/");
    (answers(router) || answers(agent))
        && [router, agent].into_iter().all(|side| !answers(side) || !lacks(side))
}

// === Manifest ===

impl View for Manifest {
    fn draw(&self, screen: Screen, _wide: bool) -> String {
        let line = |label: &str, tone, text: &str| hang(screen, &format!("{label:<10}"), tone, &clean(text));
        let bytes: usize = self.files.iter().map(|file| file.bytes).sum();
        let summary = format!(
            "{} files and the list of them, {} before they were pressed{}",
            self.files.len(),
            units::bytes(bytes as u64),
            if self.redacted { "; names stand for others" } else { "" }
        );
        let mut text = line("archive", Tone::Plain, &self.path.display().to_string());
        text += &line("holds", Tone::Plain, &summary);
        if !self.removed.is_empty() {
            let places = self.removed.iter().map(|(name, count)| format!("{count} in {name}"));
            let places = places.collect::<Vec<_>>().join(", ");
            text += &line("removed", Tone::Warn, &format!("what may be a secret or a prompt: {places}"));
        }
        for (why, names) in self.missing_by_reason() {
            let more = match names.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            text += &line("lacks", Tone::Warn, &format!("{}{more}: {why}", names[0]));
        }
        text
    }

    fn is_yes(&self) -> bool {
        self.is_whole
    }
}

impl Manifest {
    /// One that cannot be reached lacks all its pages for one reason.
    fn missing_by_reason(&self) -> Vec<(&str, Vec<&str>)> {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for Missing { name, why } in &self.missing {
            let why = why.lines().next().unwrap_or_default();
            match reasons.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, names)) => names.push(name),
                None => reasons.push((why, vec![name])),
            }
        }
        reasons
    }
}

#[cfg(test)]
mod tests;
