//! The lines above and below: which router, how it is, what is under way, how old all of it is; and what keys do.

use std::time::Duration;

use super::canvas::Canvas;
use crate::{
    clean::clean,
    screen::Tone,
    top::{column::rate, state::Top, view::View},
    units,
};

/// A page that should have been followed by another so long ago is shown as old.
const LATE: Duration = Duration::from_secs(3);

type Pieces = Vec<(String, Tone)>;

/// Draws so many lines.
pub(super) fn draw(canvas: &mut Canvas<'_>, top: &Top, lines: u16, now: Duration) {
    let trouble = trouble(top, now);
    let y = canvas.area.y;
    match (lines, trouble.is_empty()) {
        (0, _) => {}
        (1, true) => canvas.line(y, &numbers(top)),
        (1, false) => canvas.line(y, &trouble),
        _ => {
            let mut first = vec![(format!("router {}", clean(&top.address)), Tone::Head)];
            first.extend(if trouble.is_empty() { about(top) } else { trouble });
            canvas.line(y, &first);
            canvas.line(y + 1, &numbers(top));
        }
    }
}

fn about(top: &Top) -> Pieces {
    let router = &top.about.router;
    let mut pieces = Pieces::new();
    if top.taken.is_some() && !router.ready {
        let why = router.readiness.lines().next().unwrap_or_default();
        pieces.push((clean(why).into_owned(), Tone::Bad));
    }
    let up = units::seconds(router.uptime_seconds);
    pieces.push((format!("version {}, up {up}", clean(&router.version)), Tone::Faint));
    pieces
}

/// Why what is seen is not what is.
fn trouble(top: &Top, now: Duration) -> Pieces {
    let since = |then: Duration| units::millis(now.saturating_sub(then).as_millis() as u64);
    let age = top.taken.map(|taken| format!(", as of {} ago", since(taken))).unwrap_or_default();
    match (&top.paused, &top.away) {
        (_, Some((then, why))) => {
            let why = why.lines().next().unwrap_or_default();
            vec![(format!("away for {}{age}", since(*then)), Tone::Bad), (clean(why).into_owned(), Tone::Bad)]
        }
        (Some(_), None) => vec![(format!("paused{age}; space goes on"), Tone::Warn)],
        (None, None) => match top.taken {
            Some(taken) if now.saturating_sub(taken) < top.every + LATE => Pieces::new(),
            Some(taken) => vec![(format!("as of {} ago: it answers slowly", since(taken)), Tone::Warn)],
            None => vec![("asking".to_owned(), Tone::Faint)],
        },
    }
}

fn numbers(top: &Top) -> Pieces {
    let replicas = &top.replicas;
    let all = if replicas.ready == replicas.all { Tone::Good } else { Tone::Bad };
    let mut pieces = vec![(
        format!("{} of {} ready", units::count(replicas.ready as u64), units::count(replicas.all as u64)),
        all,
    )];
    if replicas.unhealthy > 0 {
        pieces.push((format!("{} unhealthy", replicas.unhealthy), Tone::Warn));
    }
    if replicas.drained > 0 {
        pieces.push((format!("{} drained", replicas.drained), Tone::Warn));
    }
    pieces.push((format!("{} under way", units::count(replicas.in_flight)), Tone::Plain));
    let rates: Vec<f32> = top.rows.iter().filter_map(|row| row.rate).collect();
    if !rates.is_empty() {
        pieces.push((format!("{} requests/s", rate(rates.iter().sum())), Tone::Plain));
    }
    let local = top.local_requests.map(|share| format!(", {} local", units::percent(share)));
    let (lane, tone) = if top.about.lane.on { ("lane on", Tone::Good) } else { ("lane off", Tone::Faint) };
    pieces.push((lane.to_owned() + &local.unwrap_or_default(), tone));
    if let Some(why) = &top.about.no_agent {
        pieces.push((clean(why.lines().next().unwrap_or_default()).into_owned(), Tone::Warn));
    }
    pieces
}

/// Draws the last line.
pub(super) fn draw_last(canvas: &mut Canvas<'_>, top: &Top, y: u16) {
    let key = |text: &str| (text.to_owned(), Tone::Faint);
    let pieces = match &top.view {
        View::Typing => vec![
            (format!("filter: {}_", clean(&top.filter)), Tone::Head),
            key("enter keeps it"),
            key("esc clears it"),
        ],
        View::Help => vec![key("esc back"), key("q quit")],
        View::Details(_) => vec![key("esc back"), key("up/down scroll"), key("space pause"), key("q quit")],
        View::Table => {
            let mut pieces = vec![place(top)];
            if !top.filter.is_empty() {
                pieces.push((format!("filter {:?}, esc clears it", clean(&top.filter)), Tone::Warn));
            }
            pieces.extend(
                ["? help", "q quit", "< > sort", "/ filter", "space pause", "enter details"].map(key),
            );
            pieces
        }
    };
    canvas.pieces(y, &pieces);
}

/// Which rows are seen, of how many, in which order.
fn place(top: &Top) -> (String, Tone) {
    let all = units::count(top.shown.len() as u64);
    let last = (top.first + top.page).min(top.shown.len());
    let seen = if top.shown.len() > top.page {
        format!("{}-{} of {all} ", units::count(top.first as u64 + 1), units::count(last as u64))
    } else {
        String::new()
    };
    let reversed = if top.reversed { ", reversed" } else { "" };
    (format!("{seen}by {}{reversed}", top.column.head()), Tone::Plain)
}
