//! Which pages each command asks for, and what it makes of them.

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::de::DeserializeOwned;
use warmlane_api::admin::{
    Agents, Changed, Decisions, Endpoints, Explanation, GroupPins, Lane, Node, Pins, Pools, path,
};

use crate::{
    args::{self, Bundle, Format, Limit, Options, Question, Recall, Replay, Watch},
    bench::bench,
    bundle::{self, Sources},
    changes::Token,
    client::{Ask, Client},
    doctor::{Asked, Checkup, Machine},
    error::{CliError, Side},
    question,
    replay::{Change, Replayed},
    save::{Readers, save},
    screen::Screen,
    status::{Pages, Status},
    top::top,
    views::{self, View},
    watch::watch,
};

/// What a command says.
#[derive(Debug)]
pub(crate) struct Report {
    /// For standard output.
    pub(crate) text: String,
    /// Whether the answer is yes, where there was a question.
    pub(crate) is_yes: bool,
}

/// Who may be asked, and how the answer is to be shown.
pub(crate) struct Asking {
    router: Client,
    agent: Client,
    /// The agent was given: what it knows as well as the router is asked of it.
    of_node: bool,
    /// Of the router's token.
    token_file: Option<PathBuf>,
    /// For each page.
    patience: Duration,
    format: Format,
    screen: Screen,
}

// === Asking ===

impl Asking {
    /// Connects to nobody yet.
    pub(crate) fn new(options: &Options, screen: Screen) -> Self {
        let client = |who, address| match options.pod_of(who) {
            Some(pod) => Client::of_pod(pod, options.patience()),
            None => Client::new(who, address, options.patience()),
        };
        Self {
            router: client(Side::Router, options.router.clone()),
            agent: client(Side::Agent, options.agent_here()),
            of_node: options.is_of_node(),
            token_file: options.token_file.clone().filter(|file| !file.as_os_str().is_empty()),
            patience: options.patience(),
            format: options.output,
            screen,
        }
    }

    /// Asks what is to be asked.
    pub(crate) async fn report(&mut self, question: &Question) -> Result<Report, CliError> {
        match question {
            Question::Status => self.status().await,
            Question::Endpoints { sort } => {
                let page = self.router.page(path::ENDPOINTS).await?;
                self.show(&views::Endpoints::new(page, *sort))
            }
            Question::Pods => self.pods().await,
            Question::Gpus => self.gpus().await,
            Question::Agents if self.of_node => self.agent::<Node>(path::NODE).await,
            Question::Agents => self.router::<Agents>(path::AGENTS).await,
            Question::Pools => self.router::<Pools>(path::POOLS).await,
            Question::Pins(limit) => self.router::<Pins>(&limited(path::PINS, *limit)).await,
            Question::Groups(limit) => self.router::<GroupPins>(&limited(path::GROUPS, *limit)).await,
            Question::Lane => self.router::<Lane>(path::LANE).await,
            Question::Explain(why) => self.answer::<Explanation>(&question::why(why)?).await,
            Question::Decisions(recall) => self.decisions(recall).await,
            Question::Change(change) => {
                let ask = Token::read(self.token_file.as_deref())?.ask_for(change);
                self.answer::<Changed>(&ask).await
            }
            Question::Doctor => {
                let asked = Asked::ask(Ok(&mut self.router), Ok(&mut self.agent)).await;
                self.show(&Checkup::of(&Machine::look(), &asked))
            }
            Question::Bundle(asked) => self.bundle(asked).await,
            Question::Bench(asked) => {
                let figures = bench(asked, &mut self.router).await?;
                self.show(&figures)
            }
        }
    }

    /// Shows decisions as they are made.
    pub(crate) async fn watch(&mut self, asked: &Watch) -> Result<(), CliError> {
        watch(asked, &mut self.router, (self.format, self.screen)).await
    }

    /// Shows a live picture.
    pub(crate) async fn top(&mut self, asked: &args::Top) -> Result<(), CliError> {
        if matches!(self.format, Format::Json | Format::Yaml) {
            return Err(CliError::NoTerminal("JSON and YAML are for programs".to_owned()));
        }
        let agent = Some(&mut self.agent).filter(|_| self.of_node);
        top(asked, &mut self.router, agent, self.screen).await
    }

    /// Warnings about who answered.
    pub(crate) fn warnings(&self) -> Vec<String> {
        [&self.router, &self.agent].into_iter().filter_map(Client::warning).collect()
    }

    async fn bundle(&mut self, asked: &Bundle) -> Result<Report, CliError> {
        let (patience, token_file) = (self.patience, self.token_file.clone());
        let sources = Sources { router: &mut self.router, agent: &mut self.agent, patience, token_file };
        let manifest = bundle::bundle(asked, sources).await?;
        self.show(&manifest)
    }

    async fn status(&mut self) -> Result<Report, CliError> {
        let router = &mut self.router;
        let pages = Pages {
            router: router.page(path::ROUTER).await?,
            endpoints: router.page(path::ENDPOINTS).await?,
            agents: router.page(path::AGENTS).await?,
            pools: router.page(path::POOLS).await?,
            lane: router.page(path::LANE).await?,
        };
        self.show(&Status::of(self.router.address().to_string(), &pages))
    }

    async fn pods(&mut self) -> Result<Report, CliError> {
        let endpoints: Endpoints = self.router.page(path::ENDPOINTS).await?;
        let agents: Agents = self.router.page(path::AGENTS).await?;
        self.show(&views::Pods::new(endpoints, &agents))
    }

    async fn gpus(&mut self) -> Result<Report, CliError> {
        if self.of_node {
            let node = self.agent.page(path::NODE).await?;
            return self.show(&views::Cards::new(node));
        }
        let agents = self.router.page(path::AGENTS).await?;
        self.show(&views::Gpus::new(agents))
    }

    async fn decisions(&mut self, recall: &Recall) -> Result<Report, CliError> {
        let ask = question::recall(recall);
        match &recall.save {
            None => self.answer::<Decisions>(&ask).await,
            Some(file) => saved(&self.router.bytes(&ask).await?, file),
        }
    }

    /// The router's page as it is.
    async fn router<P: DeserializeOwned + View>(&mut self, path: &str) -> Result<Report, CliError> {
        self.answer::<P>(&Ask::page(path)).await
    }

    /// The router's answer as it is.
    async fn answer<P: DeserializeOwned + View>(&mut self, ask: &Ask) -> Result<Report, CliError> {
        let page: P = self.router.answer(ask).await?;
        self.show(&page)
    }

    /// The agent's.
    async fn agent<P: DeserializeOwned + View>(&mut self, path: &str) -> Result<Report, CliError> {
        let page: P = self.agent.page(path).await?;
        self.show(&page)
    }

    fn show(&self, view: &impl View) -> Result<Report, CliError> {
        Ok(Report { text: views::show(view, self.format, self.screen)?, is_yes: view.is_yes() })
    }
}

fn limited(path: &str, limit: Limit) -> String {
    format!("{path}?limit={}", limit.limit)
}

/// A line says how much there was.
fn saved(decisions: &[u8], file: &Path) -> Result<Report, CliError> {
    save(decisions, file, Readers::Usual)?;
    let marker = b"{\"decision\"";
    let count = decisions.split(|byte| *byte == b'\n').filter(|line| line.starts_with(marker)).count();
    let older = match warmlane_replay::file::left_out(decisions) {
        0 => String::new(),
        left_out => format!("; {left_out} older ones were left out, for its size"),
    };
    let text =
        format!("{count} decisions are in {}{older}; `warmlane replay` makes them again\n", file.display());
    Ok(Report { text, is_yes: true })
}

/// Makes recorded decisions again.
pub(crate) fn replay(replay: &Replay, options: &Options, screen: Screen) -> Result<Report, CliError> {
    let weights = replay.weights.as_deref().map(Change::read_weights).transpose();
    let weights = weights.map_err(|why| CliError::Option(format!("--weights: {why}")))?;
    let change = Change { strategy: replay.strategy, weights: weights.unwrap_or_default() };
    let unreadable = |why: String| CliError::File { path: replay.file.clone(), why };
    let replayed = if replay.file == Path::new("-") {
        Replayed::of(io::stdin().lock(), &change)
    } else {
        let file = File::open(&replay.file).map_err(|error| unreadable(error.to_string()))?;
        Replayed::of(BufReader::new(file), &change)
    };
    let replayed = replayed.map_err(|error| unreadable(error.to_string()))?;
    Ok(Report { text: views::show(&replayed, options.output, screen)?, is_yes: replayed.is_yes() })
}
