//! Which pages each command asks for, and what it makes of them.

use warmlane_api::admin::{Agents, Endpoints, GroupPins, Lane, Pins, Pools, path};

use crate::{
    args::{Format, Options, Question},
    client::Client,
    error::{CliError, Side},
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
    }
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
