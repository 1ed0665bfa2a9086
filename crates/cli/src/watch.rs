//! `watch`: asks for what is new again and again, and writes it as it comes.
//!
//! Each decision is shown once, or it is told how many were not: the router keeps some thousands, and more may be made within a beat.

use std::time::Duration;

use tokio::time::sleep;
use warmlane_api::admin::{Counts, Decision, Decisions};

use crate::{
    args::{Format, Watch},
    clean::clean,
    client::{Ask, Client},
    error::CliError,
    question,
    screen::Screen,
    views, write,
};

/// Between two questions.
const BEAT: Duration = Duration::from_millis(500);
/// The same while much is new.
const SHORT_BEAT: Duration = Duration::from_millis(50);
/// Decisions of one answer: as many as a router gives.
const MOST: usize = 10_000;

/// Runs until enough were shown, the reader of the output has gone, or the other side answers otherwise than it should. One that
/// is away is waited for: it may be starting anew.
pub(crate) async fn watch(
    watch: &Watch,
    router: &mut Client,
    (format, screen): (Format, Screen),
) -> Result<(), CliError> {
    let newest: Decisions =
        router.answer(&question::decisions(&watch.filter, &[("limit", "1".to_owned())])).await?;
    let is_filtered =
        watch.filter.model.is_some() || watch.filter.endpoint.is_some() || watch.filter.pool.is_some();
    let (mut since, mut left) = (newest.cursor, watch.count.unwrap_or(u64::MAX));
    // Whoever waits sees that there is something to wait for.
    write(heads(format, screen).as_bytes())?;
    let mut made = newest.counts.map(|counts| counts.made);
    while left > 0 {
        let more = [("since", since.clone()), ("limit", MOST.to_string())];
        let mut page = next(router, &question::decisions(&watch.filter, &more)).await?;
        since = page.cursor;
        if let Some(missed) = missed(made, page.counts, is_filtered) {
            eprintln!("warmlane: warning: {}", clean(&missed));
        }
        made = page.counts.map(|counts| counts.made);
        page.decisions.reverse();
        page.decisions.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= page.decisions.len() as u64;
        if !page.decisions.is_empty() {
            write(lines(&page.decisions, format, screen)?.as_bytes())?;
        }
        if left > 0 {
            let is_much = page.counts.is_some_and(|counts| counts.newer > page.kept / 4);
            sleep(if is_much { SHORT_BEAT } else { BEAT }).await;
        }
    }
    Ok(())
}

/// What it answers, once it does.
async fn next(router: &mut Client, ask: &Ask) -> Result<Decisions, CliError> {
    let mut is_told = false;
    loop {
        match router.answer(ask).await {
            Err(away @ (CliError::Unreachable { .. } | CliError::Silent { .. })) => {
                if !std::mem::replace(&mut is_told, true) {
                    let told = format!("warmlane: warning: {away}\n  It is waited for; Ctrl-C ends that.");
                    told.lines().for_each(|line| eprintln!("{}", clean(line)));
                }
                sleep(BEAT).await;
            }
            answer => return answer,
        }
    }
}

/// What is to be told of decisions that are not shown; `made` is what the page before had.
fn missed(made: Option<u64>, counts: Option<Counts>, is_filtered: bool) -> Option<String> {
    let counts = counts?;
    if made? > counts.made {
        return Some(
            "the router was started anew; what it decided before that and was not shown is gone".to_owned(),
        );
    }
    let gone = (counts.made - made?).saturating_sub(counts.newer as u64);
    let gone = (gone > 0).then(|| {
        let fit = if is_filtered { ", whether they fit or not" } else { "" };
        format!("{gone} decisions were made and gone before they could be shown{fit}: the router keeps as many as its log.decisions says")
    });
    let left_out = (counts.left_out > 0)
        .then(|| format!("{} more than one answer holds are not shown", counts.left_out));
    let all: Vec<String> = gone.into_iter().chain(left_out).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Of the columns; before them, for which there is no room.
fn heads(format: Format, screen: Screen) -> String {
    match format {
        Format::Table | Format::Wide => {
            let text = views::lines(&[]).draw(screen, format == Format::Wide);
            text.split_inclusive('\n').rev().collect()
        }
        Format::Json | Format::Yaml => String::new(),
    }
}

/// Rows below those before.
fn lines(decisions: &[Decision], format: Format, screen: Screen) -> Result<String, CliError> {
    match format {
        Format::Table | Format::Wide => {
            let text = views::lines(decisions).draw(screen, format == Format::Wide);
            Ok(text.split_inclusive('\n').skip(1).take(decisions.len()).collect())
        }
        Format::Json => decisions.iter().map(views::json_line).collect(),
        Format::Yaml => {
            decisions.iter().map(|decision| Ok("---\n".to_owned() + &views::yaml(decision)?)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_shown_is_told_by_its_number() {
        let counts = |made, newer, left_out| Some(Counts { made, newer, left_out });
        assert_eq!(missed(Some(10), counts(15, 5, 0), false), None);
        assert_eq!(missed(Some(10), None, false), None, "an older router does not count");
        assert_eq!(missed(None, counts(15, 1, 0), false), None);
        let gone = missed(Some(10), counts(115, 5, 0), false).expect("a hundred");
        assert!(gone.starts_with("100 decisions were made and gone before they could be shown: "), "{gone}");
        let filtered = missed(Some(10), counts(115, 5, 0), true).expect("a hundred");
        assert!(filtered.contains("whether they fit or not"), "{filtered}");
        let more = missed(Some(10), counts(30, 20, 7), false).expect("seven");
        assert_eq!(more, "7 more than one answer holds are not shown");
        assert!(missed(Some(10), counts(3, 3, 0), false).is_some_and(|text| text.contains("started anew")));
    }
}
