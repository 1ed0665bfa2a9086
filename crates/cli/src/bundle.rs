//! `bundle`: an archive of what router, agent and this machine say, for somebody who was not there.
//!
//! Bounds: [`MOST_BYTES`] of contents in all before they are pressed, and a page's own ([`Client`]); what does not fit is left out. A
//! page that cannot be had costs no other: the manifest says why. Secrets and prompts leave nothing behind ([`secrets`]); with
//! `--redact` names do not either ([`pseudonyms`]).

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    address::Address,
    args::Bundle,
    clean::clean,
    client::Client,
    doctor::{Asked, Checkup, Machine},
    error::{CliError, Side},
    save::save,
    screen::{Screen, Tone},
    units,
    views::{View, hang},
};

mod archive;
mod facts;
mod pages;
mod pseudonyms;
mod secrets;

use archive::archive;
use facts::Facts;
use pages::{At, PAGES, Page, metrics};
use pseudonyms::Pseudonyms;
use secrets::Secrets;

/// Of all contents together, before they are pressed: more than a router of thousands of replicas has to say.
const MOST_BYTES: usize = 128 << 20;

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    name: &'static str,
    text: String,
}

/// What is in the archive, and what is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Manifest {
    /// The archive.
    archive: PathBuf,
    /// Of this program.
    version: &'static str,
    /// By this machine's clock.
    made: String,
    /// Names stand for others.
    redacted: bool,
    /// Places where a secret or a prompt stood.
    removed: usize,
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

/// What was got.
struct Gathered {
    files: Vec<File>,
    missing: Vec<Missing>,
    bytes: usize,
    bar: indicatif::ProgressBar,
}

/// Asks for everything, writes the archive, and says what is in it.
pub(crate) async fn bundle(asked: &Bundle, sources: Sources<'_>) -> Result<Manifest, CliError> {
    #[expect(clippy::disallowed_methods, reason = "a date for people is asked for")]
    let now = SystemTime::now();
    let secrets = Secrets::known(sources.token_file.as_deref());
    let mut gathered = Gathered::new();
    gathered.ask(asked, sources).await;
    let (mut files, mut missing) = gathered.take();
    gathered.bar.set_message("writing");
    let mut removed: usize = files.iter_mut().map(|file| secrets.remove(file)).sum();
    if asked.redact {
        let mut names = Pseudonyms::default();
        files.iter().for_each(|file| names.learn(file));
        files.iter_mut().for_each(|file| file.text = names.hide(file));
        missing.iter_mut().for_each(|missing| missing.why = names.text(&missing.why));
    }
    for missing in &mut missing {
        removed += secrets.remove_from(&mut missing.why);
    }
    let path = asked.file.clone().unwrap_or_else(|| named(now));
    let manifest = Manifest {
        archive: path.clone(),
        version: env!("CARGO_PKG_VERSION"),
        made: httpdate::fmt_http_date(now),
        redacted: asked.redact,
        removed,
        files: files.iter().map(|file| Listed { name: file.name, bytes: file.text.len() }).collect(),
        is_whole: is_whole(&files, &missing),
        missing,
    };
    let packed = archive(&manifest, &files, now).map_err(CliError::Start)?;
    save(&packed, &path)?;
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

// === Gathered ===

impl Gathered {
    fn new() -> Self {
        let bar = indicatif::ProgressBar::new(PAGES.len() as u64 + 4);
        // The template is a constant, so the fallback is never taken.
        let style =
            indicatif::ProgressStyle::with_template("  {bar:28} {pos:>2}/{len} {elapsed:>4} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
        Self { files: Vec::new(), missing: Vec::new(), bytes: 0, bar }
    }

    async fn ask(&mut self, asked: &Bundle, sources: Sources<'_>) {
        let Sources { router, agent, patience, .. } = sources;
        for page in PAGES {
            let client = match page.of {
                Side::Agent => &mut *agent,
                _ => &mut *router,
            };
            self.page(client, page).await;
        }
        let given = |who, address: &Option<Address>| {
            address.clone().map(|address| Client::new(who, address, patience))
        };
        let theirs = given(Side::Router, &asked.router_metrics).or_else(|| {
            let config = self.files.iter().find(|file| file.name == pages::CONFIG)?;
            match metrics(&config.text)? {
                At::Beside(port) => router.beside(port),
                At::There(address) => Some(Client::new(Side::Router, address, patience)),
            }
        });
        self.metrics(pages::ROUTER_METRICS, Side::Router, theirs).await;
        let theirs =
            given(Side::Agent, &asked.agent_metrics).or_else(|| agent.beside(pages::AGENT_METRICS_PORT));
        self.metrics(pages::AGENT_METRICS, Side::Agent, theirs).await;
        self.bar.set_message("this machine");
        let checkup = Checkup::of(&Machine::look(), &Asked::ask(router, agent).await);
        self.json("doctor.json", &checkup);
        self.json("machine.json", &Facts::look());
    }

    async fn page(&mut self, client: &mut Client, page: Page) {
        self.bar.inc(1);
        self.bar.set_message(format!("{}: {}", page.of, page.path));
        let answer = client.bytes(&crate::client::Ask::page(page.path)).await;
        self.keep(page.name, answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    }

    async fn metrics(&mut self, name: &'static str, of: Side, client: Option<Client>) {
        match client {
            Some(mut client) => self.page(&mut client, Page { name, of, path: "/metrics" }).await,
            None => {
                let why = "where it is cannot be told: give --router-metrics or --agent-metrics";
                self.lacks(name, why.to_owned());
            }
        }
    }

    fn json(&mut self, name: &'static str, value: &impl Serialize) {
        self.bar.inc(1);
        let text = serde_json::to_string_pretty(value).map(|text| text + "\n");
        self.keep(name, text.map_err(|error| CliError::Form { form: "JSON", why: error.to_string() }));
    }

    fn keep(&mut self, name: &'static str, answer: Result<String, CliError>) {
        match answer {
            Ok(text) if self.bytes + text.len() > MOST_BYTES => {
                let why = format!("it has {} bytes, for which there is no more room", text.len());
                self.lacks(name, why);
            }
            Ok(text) => {
                self.bytes += text.len();
                self.files.push(File { name, text });
            }
            Err(error) => self.lacks(name, error.to_string()),
        }
    }

    fn lacks(&mut self, name: &'static str, why: String) {
        self.missing.push(Missing { name, why });
    }

    fn take(&mut self) -> (Vec<File>, Vec<Missing>) {
        (std::mem::take(&mut self.files), std::mem::take(&mut self.missing))
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

// === Manifest ===

impl View for Manifest {
    fn draw(&self, screen: Screen, _wide: bool) -> String {
        let line = |label: &str, tone, text: &str| hang(screen, &format!("{label:<10}"), tone, &clean(text));
        let bytes: usize = self.files.iter().map(|file| file.bytes).sum();
        let summary = format!(
            "{} files, {} before they were pressed{}",
            self.files.len(),
            units::bytes(bytes as u64),
            if self.redacted { "; names stand for others" } else { "" }
        );
        let mut text = line("archive", Tone::Plain, &self.archive.display().to_string());
        text += &line("holds", Tone::Plain, &summary);
        if self.removed > 0 {
            text += &line("removed", Tone::Warn, &format!("{} secrets or prompts", self.removed));
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
