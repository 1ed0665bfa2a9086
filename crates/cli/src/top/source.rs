//! Asks for what `top` shows: replicas at every beat, what changes slowly every other second, decisions while somebody looks at
//! them, and nothing while it is paused.

use std::time::Duration;

use tokio::{
    select,
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use warmlane_api::admin::{Choice, Decisions, Endpoints, Explanation, Node, path};

use super::{
    row::Cards,
    state::{About, News},
};
use crate::{
    args::Filter,
    client::{Ask, Client},
    error::CliError,
    question,
};

/// Between two questions for what changes slowly, and for decisions.
const SLOW: Duration = Duration::from_secs(2);
/// Decisions that are shown of a replica.
const DECISIONS: &str = "20";

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) paused: bool,
    /// The replica whose decisions are wanted.
    pub(super) decisions_of: Option<String>,
}

/// See the module's header.
pub(super) struct Source<'c> {
    router: &'c mut Client,
    agent: Option<&'c mut Client>,
    every: Duration,
    asked_about: Option<Instant>,
    asked_decisions: Option<(String, Instant)>,
    /// The decision that was explained last, and how.
    explained: Option<(String, String)>,
}

// === Source ===

impl<'c> Source<'c> {
    pub(super) fn new(router: &'c mut Client, agent: Option<&'c mut Client>, every: Duration) -> Self {
        Self { router, agent, every, asked_about: None, asked_decisions: None, explained: None }
    }

    /// What there is now.
    pub(super) async fn page(&mut self) -> Result<News, CliError> {
        let page: Endpoints = self.router.page(path::ENDPOINTS).await?;
        let due = self.asked_about.is_none_or(|asked| asked.elapsed() >= SLOW);
        let about = if due { Some(Box::new(self.about().await?)) } else { None };
        Ok(News::Page(page.endpoints, about))
    }

    async fn about(&mut self) -> Result<About, CliError> {
        self.asked_about = Some(Instant::now());
        let (mut node, mut no_agent) = (None, None);
        if let Some(agent) = &mut self.agent {
            match agent.page::<Node>(path::NODE).await {
                Ok(page) => node = Some(page),
                Err(error) => no_agent = Some(error.to_string()),
            }
        }
        let router = self.router.page(path::ROUTER).await?;
        let lane = self.router.page(path::LANE).await?;
        let agents = self.router.page(path::AGENTS).await?;
        Ok(About { router, lane, cards: Cards::of(&agents, node.as_ref()), no_agent })
    }

    /// Tells what there is until nobody listens.
    pub(super) async fn tell(mut self, mut wishes: watch::Receiver<Wish>, news: mpsc::Sender<News>) {
        let mut beat = interval(self.every);
        // One that was late is not followed by two at once.
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first page was had before.
        beat.tick().await;
        loop {
            select! {
                _ = beat.tick() => {}
                wished = wishes.changed() => if wished.is_err() { return },
            }
            let wish = wishes.borrow_and_update().clone();
            if !wish.paused {
                let page = self.page().await.unwrap_or_else(|error| away(&error));
                if news.send(page).await.is_err() {
                    return;
                }
            }
            if let Some(address) = wish.decisions_of.filter(|address| self.is_due(address, wish.paused)) {
                let decisions = self.decisions(address).await.unwrap_or_else(|error| away(&error));
                if news.send(decisions).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Of another one at once; of the same one again after a while, unless that is not wanted.
    fn is_due(&self, address: &str, paused: bool) -> bool {
        match &self.asked_decisions {
            Some((of, asked)) if of == address => !paused && asked.elapsed() >= SLOW,
            _ => true,
        }
    }

    async fn decisions(&mut self, address: String) -> Result<News, CliError> {
        self.asked_decisions = Some((address.clone(), Instant::now()));
        let filter = Filter { endpoint: Some(address.clone()), ..Filter::default() };
        let ask = question::decisions(&filter, &[("limit", DECISIONS.to_owned())]);
        let page: Decisions = self.router.answer(&ask).await?;
        let why = match page.decisions.first() {
            Some(newest) => self.why(&newest.cursor, &newest.request_id).await,
            None => None,
        };
        Ok(News::Decisions(address, page.decisions, why))
    }

    /// Explained once: an explanation has all replicas in it.
    async fn why(&mut self, cursor: &str, request_id: &str) -> Option<String> {
        if self.explained.as_ref().is_none_or(|(explained, _)| explained != cursor) {
            let ask = Ask::page(&format!("{}/{}", path::DECISIONS, question::escaped(request_id)));
            // One that is no longer kept has no explanation, and that is no trouble.
            let explanation: Explanation = self.router.answer(&ask).await.ok()?;
            let why = explanation.then.as_ref().map(reasons)?;
            self.explained = Some((cursor.to_owned(), format!("{request_id}: {why}")));
        }
        self.explained.as_ref().map(|(_, why)| why.clone())
    }
}

fn reasons(choice: &Choice) -> String {
    match choice.fallbacks.as_slice() {
        [] => choice.why.clone(),
        fallbacks => format!("{}; else {}", choice.why, fallbacks.join(", ")),
    }
}

fn away(error: &CliError) -> News {
    News::Away(error.to_string())
}
