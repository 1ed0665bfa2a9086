//! `top` of pages that are made up, for pictures of it.

use std::time::Duration;

use ratatui::Frame;
use warmlane_api::admin::Endpoint;

use super::{
    column::Column,
    draw::draw,
    look::Look,
    row::Cards,
    state::{About, News, Top},
};
use crate::status::Pages;

/// As it is unless set otherwise.
const EVERY: Duration = Duration::from_millis(500);

/// See the module's header.
pub(crate) struct Example(Top);

// === Example ===

impl Example {
    /// One that these pages came to when it was started.
    pub(crate) fn of(pages: &Pages) -> Self {
        let mut top = Top::new("127.0.0.1:9091".to_owned(), Column::Score, EVERY);
        let about = About {
            router: pages.router.clone(),
            lane: pages.lane.clone(),
            cards: Cards::of(&pages.agents, None),
            no_agent: None,
        };
        top.hear(News::Page(pages.endpoints.endpoints.clone(), Some(Box::new(about))), Duration::ZERO);
        Self(top)
    }

    /// Another page comes.
    pub(crate) fn page(&mut self, endpoints: Vec<Endpoint>, now: Duration) {
        self.0.hear(News::Page(endpoints, None), now);
    }

    /// As a terminal with colours and UTF-8 shows it.
    pub(crate) fn draw(&mut self, frame: &mut Frame<'_>, now: Duration) {
        draw(frame, &mut self.0, Look { color: true, utf8: true }, now);
    }
}
