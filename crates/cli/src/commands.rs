//! Which pages each command asks for, and what it makes of them.

use std::{fs::File, io::BufReader, path::Path};

use warmlane_api::admin::{Agents, Decisions, Endpoints, Explanation, GroupPins, Lane, Pins, Pools, path};

use crate::{
    args::{Format, Options, Question, Replay},
    client::Client,
    error::{CliError, Side},
    question,
    replay::{Change, Replayed},
    screen::Screen,
    status::{Pages, Status},
    views::{self, View},
};

/// What a command says.
#[derive(Debug)]
pub(crate) struct Report {
    /// For standard output.
    pub(crate) text: String,
    /// Whether the answer is yes, where there was a question.
    pub(crate) is_yes: bool,
}

/// How what was asked for is to be shown.
#[derive(Clone, Copy)]
struct Form {
    format: Format,
    screen: Screen,
}

/// Does it; with warnings about who answered, also where it fails.
pub(crate) async fn perform(
    question: &Question,
    options: &Options,
    screen: Screen,
) -> (Result<Report, CliError>, Vec<String>) {
    let mut router = Client::new(Side::Router, options.router.clone(), options.patience());
    let form = Form { format: options.output, screen };
    let report = report(question, &mut router, form).await;
    (report, router.warning().into_iter().collect())
}

async fn report(question: &Question, router: &mut Client, form: Form) -> Result<Report, CliError> {
    match question {
        Question::Status => form.of(&status(router).await?),
        Question::Endpoints { sort } => {
            form.of(&views::Endpoints::new(router.page(path::ENDPOINTS).await?, *sort))
        }
        Question::Pods => {
            let endpoints: Endpoints = router.page(path::ENDPOINTS).await?;
            form.of(&views::Pods::new(endpoints, &router.page(path::AGENTS).await?))
        }
        Question::Gpus => form.of(&views::Gpus::new(router.page(path::AGENTS).await?)),
        Question::Agents => form.of(&router.page::<Agents>(path::AGENTS).await?),
        Question::Pools => form.of(&router.page::<Pools>(path::POOLS).await?),
        Question::Pins(limit) => {
            form.of(&router.page::<Pins>(&format!("{}?limit={}", path::PINS, limit.limit)).await?)
        }
        Question::Groups(limit) => {
            form.of(&router.page::<GroupPins>(&format!("{}?limit={}", path::GROUPS, limit.limit)).await?)
        }
        Question::Lane => form.of(&router.page::<Lane>(path::LANE).await?),
        Question::Explain(why) => form.of(&router.answer::<Explanation>(&question::why(why)?).await?),
        Question::Decisions(recall) => match &recall.save {
            None => form.of(&router.answer::<Decisions>(&question::recall(recall)).await?),
            Some(file) => save(&router.bytes(&question::recall(recall)).await?, file),
        },
    }
}

/// A line says how much there was.
fn save(decisions: &[u8], file: &Path) -> Result<Report, CliError> {
    std::fs::write(file, decisions)
        .map_err(|error| CliError::File { path: file.to_owned(), why: error.to_string() })?;
    let marker = b"{\"decision\"";
    let count = decisions.split(|byte| *byte == b'\n').filter(|line| line.starts_with(marker)).count();
    let text = format!("{count} decisions are in {}; `warmlane replay` makes them again\n", file.display());
    Ok(Report { text, is_yes: true })
}

/// Makes recorded decisions again.
pub(crate) fn replay(replay: &Replay, options: &Options, screen: Screen) -> Result<Report, CliError> {
    let weights = replay.weights.as_deref().map(Change::read_weights).transpose();
    let weights = weights.map_err(|why| CliError::Option(format!("--weights: {why}")))?;
    let change = Change { strategy: replay.strategy, weights: weights.unwrap_or_default() };
    let unreadable = |why: String| CliError::File { path: replay.file.clone(), why };
    let file = File::open(&replay.file).map_err(|error| unreadable(error.to_string()))?;
    let replayed =
        Replayed::of(BufReader::new(file), &change).map_err(|error| unreadable(error.to_string()))?;
    Form { format: options.output, screen }.of(&replayed)
}

async fn status(router: &mut Client) -> Result<Status, CliError> {
    let pages = Pages {
        router: router.page(path::ROUTER).await?,
        endpoints: router.page(path::ENDPOINTS).await?,
        agents: router.page(path::AGENTS).await?,
        pools: router.page(path::POOLS).await?,
        lane: router.page(path::LANE).await?,
    };
    Ok(Status::of(router.address().to_string(), &pages))
}

// === Form ===

impl Form {
    fn of(self, view: &impl View) -> Result<Report, CliError> {
        Ok(Report { text: views::show(view, self.format, self.screen)?, is_yes: view.is_yes() })
    }
}
