//! How wide each column becomes.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Between columns.
pub(super) const GAP: &str = "  ";
/// What a shortened text ends with. ASCII: it is seen in every locale.
const ELLIPSIS: &str = "..";

/// A column as far as its width goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// What it would like.
    pub(crate) width: usize,
    /// What it can do with.
    pub(crate) least: usize,
    /// Those with more go first.
    pub(crate) rank: u8,
}

/// The width of each, `None` for one that is left out. Together with the gaps they are at most `width`.
pub(crate) fn fit(columns: &[Column], width: Option<usize>) -> Vec<Option<usize>> {
    let mut kept: Vec<Option<Column>> = columns.iter().copied().map(Some).collect();
    let Some(width) = width else { return columns.iter().map(|column| Some(column.width)).collect() };
    loop {
        let left: Vec<Column> = kept.iter().copied().flatten().collect();
        let room = width.saturating_sub(GAP.len() * left.len().saturating_sub(1));
        if let Some(widths) = share(&left, room) {
            let mut widths = widths.into_iter();
            return kept.iter().map(|column| column.and_then(|_| widths.next())).collect();
        }
        let last = kept.iter().enumerate().filter_map(|(at, column)| Some((column.as_ref()?.rank, at))).max();
        match last.filter(|_| left.len() > 1) {
            Some((_, at)) => kept[at] = None,
            // One alone gets what there is.
            None => return kept.iter().map(|column| column.map(|column| column.width.min(width))).collect(),
        }
    }
}

/// The widths of all of them in so much room, if there is enough: the longest give first.
fn share(columns: &[Column], room: usize) -> Option<Vec<usize>> {
    // No wider than all the room: how far a text goes beyond it makes no difference, and may be very far.
    let mut widths: Vec<usize> =
        columns.iter().map(|column| column.width.min(room.max(column.least))).collect();
    let mut excess = widths.iter().sum::<usize>().saturating_sub(room);
    while excess > 0 {
        let spare = |at: &usize| widths[*at] > columns[*at].least;
        let widest = (0..columns.len()).filter(spare).max_by_key(|at| widths[*at])?;
        widths[widest] -= 1;
        excess -= 1;
    }
    Some(widths)
}

/// The text, or as much of its beginning as fits and a sign that there is more.
pub(crate) fn shorten(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let (mut room, mut end) = (width.saturating_sub(ELLIPSIS.len()), 0);
    for (at, c) in text.char_indices() {
        let Some(left) = room.checked_sub(c.width().unwrap_or(0)) else { break };
        (room, end) = (left, at + c.len_utf8());
    }
    let mut short = text[..end].to_owned();
    short.push_str(&ELLIPSIS[..ELLIPSIS.len().min(width)]);
    Cow::Owned(short)
}
