//! `watch`: asks for what is new again and again, and writes it as it comes.

use std::time::Duration;

use tokio::time::sleep;
use warmlane_api::admin::{Decision, Decisions};

use crate::{
    args::{Format, Watch},
    client::Client,
    error::CliError,
    question,
    screen::Screen,
    views, write,
};

/// Between two questions.
const BEAT: Duration = Duration::from_millis(500);
/// Decisions of one answer; of more than these within a beat the older ones are passed over.
const MOST: usize = 1_000;

/// Runs until enough were shown, the reader of the output has gone, or the other side fails.
pub(crate) async fn watch(
    watch: &Watch,
    router: &mut Client,
    (format, screen): (Format, Screen),
) -> Result<(), CliError> {
    let newest: Decisions =
        router.answer(&question::decisions(&watch.filter, &[("limit", "1".to_owned())])).await?;
    let (mut since, mut left, mut is_first) = (newest.cursor, watch.count.unwrap_or(u64::MAX), true);
    while left > 0 {
        let more = [("since", since.clone()), ("limit", MOST.to_string())];
        let mut page: Decisions = router.answer(&question::decisions(&watch.filter, &more)).await?;
        since = page.cursor;
        page.decisions.reverse();
        page.decisions.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= page.decisions.len() as u64;
        if !page.decisions.is_empty() {
            write(lines(&page.decisions, is_first, format, screen)?.as_bytes())?;
            is_first = false;
        }
        if left > 0 {
            sleep(BEAT).await;
        }
    }
    Ok(())
}

/// Rows below those before; the heads of columns once.
fn lines(decisions: &[Decision], is_first: bool, format: Format, screen: Screen) -> Result<String, CliError> {
    match format {
        Format::Table | Format::Wide => {
            let text = views::lines(decisions).draw(screen, format == Format::Wide);
            Ok(text.split_inclusive('\n').skip(usize::from(!is_first)).collect())
        }
        Format::Json => decisions.iter().map(views::json_line).collect(),
        Format::Yaml => {
            decisions.iter().map(|decision| Ok("---\n".to_owned() + &views::yaml(decision)?)).collect()
        }
    }
}
