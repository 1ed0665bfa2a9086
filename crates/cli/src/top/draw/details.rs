//! One replica: all that is known of it, and where its last requests came from and why.

use std::time::Duration;

use ratatui::layout::Rect;
use warmlane_api::admin::{Endpoint, Gpu};

use super::canvas::Canvas;
use crate::{
    clean::clean,
    screen::{Screen, Tone},
    table::Cell,
    top::{column, look::Look, row::Row, view::Details},
    units,
    views::{self, endpoints, gpus},
};

/// What facts are called stands in so many columns.
const LABEL: usize = 10;

/// A line, harmless.
type Line = (String, Tone);

/// Draws it, from the line on that was scrolled to.
pub(super) fn draw(canvas: &mut Canvas<'_>, details: &mut Details, area: Rect, now: Duration) {
    let lines = lines(details, usize::from(area.width), canvas.look, now);
    details.above = details.above.min(lines.len().saturating_sub(area.height.into()));
    for (y, (text, tone)) in (area.y..area.bottom()).zip(lines.iter().skip(details.above)) {
        canvas.put((area.x, y), area.width, text, *tone);
    }
}

fn lines(details: &Details, width: usize, look: Look, now: Duration) -> Vec<Line> {
    let screen = Screen { width: Some(width.max(1)), color: false };
    let mut lines = Vec::new();
    let mut fact = |label: &str, text: &str, tone: Tone| {
        let text = views::hang(screen, &format!("{label:<LABEL$}"), tone, &clean(text));
        lines.extend(text.lines().map(|line| (line.to_owned(), tone)));
    };
    if let Some(since) = details.gone_since {
        let gone = units::millis(now.saturating_sub(since).as_millis() as u64);
        fact(
            "gone",
            &format!("the router has not listed it for {gone}; this is what was known last"),
            Tone::Bad,
        );
    }
    for (label, text, tone) in facts(&details.row, look) {
        fact(label, &text, tone);
    }
    match (&details.decisions, &details.why) {
        (None, _) => fact("decisions", "asking", Tone::Faint),
        (Some(none), _) if none.is_empty() => {
            fact("decisions", "none is kept that sent a request there", Tone::Faint);
        }
        (Some(decisions), why) => {
            if let Some(why) = why {
                fact("newest", why, Tone::Plain);
            }
            let table = views::lines(decisions).draw(screen, false);
            lines.push((String::new(), Tone::Plain));
            let tone = |at| if at == 0 { Tone::Head } else { Tone::Plain };
            lines.extend(table.lines().enumerate().map(|(at, line)| (line.to_owned(), tone(at))));
        }
    }
    lines
}

fn facts(row: &Row, look: Look) -> Vec<(&'static str, String, Tone)> {
    let endpoint = &row.endpoint;
    let mut facts = vec![("replica", named(endpoint), Tone::Head)];
    let (ready, health) = (endpoints::readiness(endpoint), endpoints::health(&endpoint.health));
    facts.push(("ready", ready.text().to_owned(), ready.tone()));
    facts.push(("health", endpoint.health.clone(), health.tone()));
    facts.push(("load", load(row, look), Tone::Plain));
    facts.push(("requests", requests(row), Tone::Plain));
    if let Some(lora) = &endpoint.signals.lora {
        let waiting = match lora.value.waiting.is_empty() {
            true => String::new(),
            false => format!("; waiting for {}", lora.value.waiting.join(", ")),
        };
        let text = format!("{}: {}{waiting}", endpoints::counted(&lora.value), lora.value.active.join(", "));
        facts.push(("adapters", text, Tone::Plain));
    }
    if let Some(gpu) = &row.gpu {
        facts.push(("gpu", card(gpu), gpus::verdict(&gpu.verdict).tone()));
    }
    let lane = if row.on_lane { "responses may take the kernel lane" } else { "responses are copied" };
    facts.push(("lane", lane.to_owned(), Tone::Plain));
    facts
}

fn named(endpoint: &Endpoint) -> String {
    let mut text = endpoint.address.clone();
    if endpoint.socket != endpoint.address {
        text += &format!(" ({})", endpoint.socket);
    }
    if let Some(node) = &endpoint.node {
        let local = if endpoint.local { ", as the router" } else { "" };
        text += &format!(" on {node}{local}");
    }
    if !endpoint.pools.is_empty() {
        text += &format!(", in {}", endpoint.pools.join(", "));
    }
    match endpoint.models.as_deref() {
        Some(models) if !models.is_empty() => text + &format!(", serves {}", models.join(", ")),
        _ => text,
    }
}

fn load(row: &Row, look: Look) -> String {
    let (endpoint, signals) = (&row.endpoint, &row.endpoint.signals);
    let mut parts = Vec::new();
    parts.extend(row.score.map(|score| format!("score {score:.2}")));
    parts.extend(endpoints::number(signals.queue).map(|queue| format!("{queue} waiting")));
    parts.extend(endpoints::number(signals.running).map(|running| format!("{running} running")));
    parts.extend(signals.kv_use.map(|kv| {
        let room = endpoint.kv_capacity_tokens.map(|room| format!(" of {} tokens", units::count(room)));
        format!("KV cache {}{}", look.bar(kv.value, 15), room.unwrap_or_default())
    }));
    parts.extend(endpoints::oldest(endpoint).map(|age| format!("read {} ago", units::millis(age))));
    if parts.is_empty() { "not known".to_owned() } else { parts.join(", ") }
}

fn requests(row: &Row) -> String {
    let rate = row.rate.map(|rate| format!(", {} a second", column::rate(rate))).unwrap_or_default();
    let (in_flight, sent) = (row.endpoint.in_flight, units::count(row.endpoint.requests));
    format!("{in_flight} under way from this router{rate}, {sent} since it started")
}

fn card(gpu: &Gpu) -> String {
    let measured = [
        (gpus::degrees(gpu), ""),
        (gpus::busy(gpu), " busy"),
        (gpus::memory(gpu), ""),
        (gpus::watts(gpu), ""),
    ];
    let known = measured.iter().filter(|(cell, _)| *cell != Cell::none());
    let known = known.map(|(cell, what)| cell.text().to_owned() + what);
    let parts: Vec<String> = [gpu.name.clone(), gpu.verdict.clone()].into_iter().chain(known).collect();
    parts.join(", ")
}
