//! Asks for each page, and keeps what comes.
//!
//! Bounds: [`MOST_BYTES`]. A side that is away is waited for once.

use std::time::Duration;

use serde::Serialize;

use super::{
    File, Missing,
    facts::Facts,
    pages::{self, At, PAGES, Page, READY, metrics},
};
use crate::{
    address::Address,
    args::Bundle,
    client::{Ask, Client},
    doctor::{Asked, Checkup, Machine},
    error::{CliError, Side},
};

/// Of all contents together, before they are pressed: more than a router of thousands of replicas has to say.
pub(super) const MOST_BYTES: usize = 128 << 20;

/// See the module's header.
pub(super) struct Gathered {
    pub(super) files: Vec<File>,
    pub(super) missing: Vec<Missing>,
    bytes: usize,
    /// Why a side is not asked any more: each page would be waited for in vain.
    away: [Option<CliError>; 2],
    /// Words that are quoted may have names in them.
    redact: bool,
    pub(super) bar: indicatif::ProgressBar,
}

// === Gathered ===

impl Gathered {
    pub(super) fn new(redact: bool) -> Self {
        let bar = indicatif::ProgressBar::new(PAGES.len() as u64 + 4);
        // The template is a constant, so the fallback is never taken.
        let style =
            indicatif::ProgressStyle::with_template("  {bar:28} {pos:>2}/{len} {elapsed:>4} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
        Self { files: Vec::new(), missing: Vec::new(), bytes: 0, away: [None, None], redact, bar }
    }

    pub(super) async fn ask(
        &mut self,
        asked: &Bundle,
        (router, agent): (&mut Client, &mut Client),
        patience: Duration,
    ) {
        for page in PAGES {
            let client = match page.of {
                Side::Agent => &mut *agent,
                _ => &mut *router,
            };
            self.page(client, page).await;
        }
        self.all_metrics(asked, (&*router, &*agent), patience).await;
        self.bar.set_message("this machine");
        let [no_router, no_agent] = std::mem::take(&mut self.away);
        let asked = Asked::ask(no_router.map_or(Ok(router), Err), no_agent.map_or(Ok(agent), Err)).await;
        let checkup = Checkup::of(&Machine::look(), &asked);
        self.json("doctor.json", &checkup);
        self.json("machine.json", &Facts::look());
    }

    async fn all_metrics(&mut self, asked: &Bundle, (router, agent): (&Client, &Client), patience: Duration) {
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
        // Where nobody is at its admin port, somebody may be at the other; not where there is no way, or no answer.
        let no_way =
            matches!(self.away[Side::Agent as usize], Some(CliError::Silent { .. } | CliError::Kube(_)));
        let beside = || agent.beside(pages::AGENT_METRICS_PORT).filter(|_| !no_way);
        let theirs = given(Side::Agent, &asked.agent_metrics).or_else(beside);
        self.metrics(pages::AGENT_METRICS, Side::Agent, theirs).await;
    }

    /// Of an admin port. Once that is away, its other pages are not asked for: each would be waited for.
    async fn page(&mut self, client: &mut Client, page: Page) {
        if self.lacks_side(page.name, page.of) {
            self.bar.inc(1);
            return;
        }
        let answer = self.get(client, page).await;
        if let Err(CliError::Unreachable { .. } | CliError::Silent { .. } | CliError::Kube(_)) = answer {
            self.away[page.of as usize] = answer.err();
            self.lacks_side(page.name, page.of);
            return;
        }
        self.keep(page.name, answer);
    }

    async fn metrics(&mut self, name: &'static str, of: Side, client: Option<Client>) {
        if let Some(mut client) = client {
            let answer = self.get(&mut client, Page { name, of, path: "/metrics" }).await;
            self.keep(name, answer);
        } else if !self.lacks_side(name, of) {
            let why = "where it is cannot be told: give --router-metrics or --agent-metrics";
            self.lacks(name, why.to_owned());
        }
    }

    async fn get(&self, client: &mut Client, page: Page) -> Result<String, CliError> {
        self.bar.inc(1);
        self.bar.set_message(format!("{}: {}", page.of, page.path));
        match client.bytes(&Ask::page(page.path)).await {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            // That it is not ready, and why, is what was asked for.
            Err(CliError::Refused { status: 503, message, .. }) if page.path == READY => Ok(message + "\n"),
            Err(error) => Err(error),
        }
    }

    /// Whether it lacks this because its side is away.
    fn lacks_side(&mut self, name: &'static str, of: Side) -> bool {
        let Some(why) = self.away[of as usize].as_ref().map(|error| self.why(error)) else { return false };
        self.lacks(name, why);
        true
    }

    fn why(&self, error: &CliError) -> String {
        match error {
            // Users of the cluster and its namespaces are names that nothing else tells of.
            CliError::Kube(_) if self.redact => {
                "no way to a pod; what kubectl says may have names in it, and is left out".to_owned()
            }
            error => error.to_string(),
        }
    }

    fn json(&mut self, name: &'static str, value: &impl Serialize) {
        self.bar.inc(1);
        let text = serde_json::to_string_pretty(value).map(|text| text + "\n");
        self.keep(name, text.map_err(|error| CliError::Form { form: "JSON", why: error.to_string() }));
    }

    pub(super) fn keep(&mut self, name: &'static str, answer: Result<String, CliError>) {
        match answer {
            Ok(text) if self.bytes + text.len() > MOST_BYTES => {
                let why = format!("it has {} bytes, for which there is no more room", text.len());
                self.lacks(name, why);
            }
            Ok(text) => {
                self.bytes += text.len();
                self.files.push(File { name, text });
            }
            Err(error) => {
                let why = self.why(&error);
                self.lacks(name, why);
            }
        }
    }

    fn lacks(&mut self, name: &'static str, why: String) {
        self.missing.push(Missing { name, why });
    }

    pub(super) fn take(&mut self) -> (Vec<File>, Vec<Missing>) {
        (std::mem::take(&mut self.files), std::mem::take(&mut self.missing))
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
