//! What `top` knows and what of it is looked at: pages and keys come in, with the time since it was started. Pure.
//!
//! Rows are sorted when a page comes or the order changes, not when they are drawn. What is selected is an address: it stays
//! selected wherever its row goes, and when it is gone, the one in its place is.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;
use warmlane_api::admin::{Decision, Endpoint, Lane, Router};

use super::{
    column::Column,
    key::{Deed, Key},
    rates::Rates,
    row::{Cards, Row},
    view::{Details, View},
};
use crate::{
    clean::clean,
    status::{Replicas, local_requests},
};

/// A filter is as long as somebody types it.
const LONGEST_FILTER: usize = 64;

/// What changes slowly: asked for less often.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(super) router: Router,
    pub(super) lane: Lane,
    pub(super) cards: Cards,
    /// Why the agent that was given tells nothing.
    pub(super) no_agent: Option<String>,
}

/// What came.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// Replicas, and what changes slowly where it was asked for too.
    Page(Vec<Endpoint>, Option<Box<About>>),
    /// The last decisions for a replica, newest first, and why the newest was made.
    Decisions(String, Vec<Decision>, Option<String>),
    /// Nothing, and why.
    Away(String),
}

/// See the module's header.
#[derive(Clone, Debug)]
pub(crate) struct Top {
    /// Of the router.
    pub(super) address: String,
    pub(super) about: About,
    pub(super) replicas: Replicas,
    /// Of all requests, 0..=1.
    pub(super) local_requests: Option<f32>,
    /// All, in order.
    pub(super) rows: Vec<Row>,
    /// Places of those that fit the filter.
    pub(super) shown: Vec<usize>,
    pub(super) longest_address: usize,
    /// How often a page comes.
    pub(super) every: Duration,
    /// When the last page came.
    pub(super) taken: Option<Duration>,
    pub(super) away: Option<(Duration, String)>,
    pub(super) paused: Option<Duration>,
    pub(super) column: Column,
    pub(super) reversed: bool,
    /// In small letters.
    pub(super) filter: String,
    pub(super) view: View,
    /// The selected one's place among those shown.
    pub(super) at: usize,
    /// The first one on the screen; drawing brings it to where the selected one is seen.
    pub(super) first: usize,
    /// Rows on the screen, as it was drawn last.
    pub(super) page: usize,
    rates: Rates,
}

// === Top ===

impl Top {
    /// Of the router at this address, before anything came.
    pub(crate) fn new(address: String, column: Column, every: Duration) -> Self {
        Self {
            address,
            about: About::default(),
            replicas: Replicas::of(&[]),
            local_requests: None,
            rows: Vec::new(),
            shown: Vec::new(),
            longest_address: 0,
            every,
            taken: None,
            away: None,
            paused: None,
            column,
            reversed: false,
            filter: String::new(),
            view: View::Table,
            at: 0,
            first: 0,
            page: 1,
            rates: Rates::default(),
        }
    }

    /// Takes what came at this moment.
    pub(crate) fn hear(&mut self, news: News, now: Duration) {
        match news {
            News::Page(endpoints, about) => self.take(endpoints, about, now),
            News::Away(why) => {
                let since = self.away.as_ref().map_or(now, |(since, _)| *since);
                self.away = Some((since, why));
            }
            News::Decisions(address, decisions, why) => {
                if let View::Details(details) = &mut self.view
                    && details.row.endpoint.address == address
                {
                    (details.decisions, details.why) = (Some(decisions), why);
                }
            }
        }
    }

    fn take(&mut self, endpoints: Vec<Endpoint>, about: Option<Box<About>>, now: Duration) {
        self.away = None;
        self.about = about.map_or_else(|| std::mem::take(&mut self.about), |about| *about);
        // One that was on its way when it was paused is not looked at; that the router is there, is.
        if self.paused.is_some() {
            return;
        }
        self.taken = Some(now);
        self.rates.take(&endpoints, now);
        (self.replicas, self.local_requests) = (Replicas::of(&endpoints), local_requests(&endpoints));
        let selected = self.selected().map(|row| row.endpoint.address.clone());
        let row = |endpoint: Endpoint| {
            let rate = self.rates.of(&endpoint);
            Row::new(endpoint, rate, &self.about.cards, &self.about.lane)
        };
        self.rows = endpoints.into_iter().map(row).collect();
        let width = |row: &Row| clean(&row.endpoint.address).width();
        self.longest_address = self.rows.iter().map(width).max().unwrap_or(0);
        self.arrange(selected.as_deref());
        if let View::Details(details) = &mut self.view {
            let same = |row: &&Row| row.endpoint.address == details.row.endpoint.address;
            match self.rows.iter().find(same) {
                Some(row) => (details.row, details.gone_since) = (row.clone(), None),
                None => details.gone_since = details.gone_since.or(Some(now)),
            }
        }
    }

    /// Sorts and filters, and finds the selected one again.
    fn arrange(&mut self, selected: Option<&str>) {
        let (column, reversed) = (self.column, self.reversed);
        self.rows.sort_by(|a, b| column.compare(a, b, reversed));
        let fits = |at: &usize| self.filter.is_empty() || self.rows[*at].fits(&self.filter);
        self.shown = (0..self.rows.len()).filter(fits).collect();
        let is = |at: &usize| Some(self.rows[*at].endpoint.address.as_str()) == selected;
        let at = self.shown.iter().position(is).unwrap_or(self.at);
        self.at = at.min(self.shown.len().saturating_sub(1));
    }

    /// The row that is selected.
    pub(super) fn selected(&self) -> Option<&Row> {
        self.rows.get(*self.shown.get(self.at)?)
    }

    /// The replica whose decisions are looked at.
    pub(crate) fn asked(&self) -> Option<&str> {
        match &self.view {
            View::Details(details) => Some(&details.row.endpoint.address),
            View::Table | View::Typing | View::Help => None,
        }
    }

    /// Nothing new is wanted.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Does what a key means, and says what is left to do.
    pub(crate) fn press(&mut self, key: Key, now: Duration) -> Deed {
        match (key, &mut self.view) {
            (Key::Interrupt, _) => return Deed::End,
            (Key::Suspend, _) => return Deed::Suspend,
            (Key::Redraw, _) => return Deed::Redraw,
            (key, View::Typing) => self.type_filter(key),
            (Key::Char('q'), _) => return Deed::End,
            (Key::Char(' '), _) => self.paused = if self.paused.is_some() { None } else { Some(now) },
            (key, View::Help) => self.leave(key),
            (key, View::Details(details)) => {
                details.scroll(key);
                self.leave(key);
            }
            (key, View::Table) => self.look(key),
        }
        Deed::Nothing
    }

    fn leave(&mut self, key: Key) {
        let leaves = [Key::Escape, Key::Enter, Key::Char('?'), Key::Left, Key::Backspace];
        if leaves.contains(&key) {
            self.view = View::Table;
        }
    }

    fn look(&mut self, key: Key) {
        let last = self.shown.len().saturating_sub(1);
        let page = self.page.max(1);
        match key {
            Key::Up | Key::Char('k') => self.at = self.at.saturating_sub(1),
            Key::Down | Key::Char('j') => self.at = (self.at + 1).min(last),
            Key::PageUp => self.at = self.at.saturating_sub(page),
            Key::PageDown => self.at = (self.at + page).min(last),
            Key::Home | Key::Char('g') => self.at = 0,
            Key::End | Key::Char('G') => self.at = last,
            Key::Left | Key::Char('<') => self.sort(self.column.beside(-1), false),
            Key::Right | Key::Char('>') => self.sort(self.column.beside(1), false),
            Key::Char('r') => self.sort(self.column, !self.reversed),
            Key::Char('/') => self.view = View::Typing,
            Key::Escape if !self.filter.is_empty() => {
                self.filter.clear();
                self.again();
            }
            Key::Char('?' | 'h') => self.view = View::Help,
            Key::Enter => {
                if let Some(row) = self.selected().cloned() {
                    let gone_since = None;
                    let details = Details { row, gone_since, decisions: None, why: None, above: 0 };
                    self.view = View::Details(Box::new(details));
                }
            }
            _ => {}
        }
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Enter => self.view = View::Table,
            Key::Escape => {
                self.filter.clear();
                self.view = View::Table;
            }
            Key::Backspace => _ = self.filter.pop(),
            Key::Char(c) if self.filter.chars().count() < LONGEST_FILTER => {
                self.filter.extend(c.to_lowercase());
            }
            _ => return,
        }
        self.again();
    }

    /// Another order begins at its first row.
    fn sort(&mut self, column: Column, reversed: bool) {
        (self.column, self.reversed, self.at) = (column, reversed, 0);
        self.arrange(None);
    }

    fn again(&mut self) {
        let selected = self.selected().map(|row| row.endpoint.address.clone());
        self.arrange(selected.as_deref());
    }
}
