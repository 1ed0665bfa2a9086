//! What faults do to answers, and how they are told over HTTP.

use std::{rc::Rc, time::Duration};

use hyper::Response;

use super::{
    ask::Fields,
    stream::Reply,
    trouble::{Cut, Line, Mode, Troubles},
};
use crate::error::Error;

/// How late each event of a slow engine is, and a whole answer.
const LATE: Duration = Duration::from_millis(50);
const VERY_LATE: Duration = Duration::from_secs(1);

/// Frames of an answer that are sent before it is cut.
pub(super) const BEFORE_CUT: u32 = 3;

/// Does to an answer what its fault says.
pub(super) async fn spoil(answer: &mut Response<Reply>, mode: Mode, line: &Rc<Line>) -> Result<(), Cut> {
    let length = hyper::body::Body::size_hint(answer.body()).exact();
    match mode {
        Mode::Hang => std::future::pending().await,
        Mode::Reset => {
            line.reset();
            return Err(Cut);
        }
        Mode::Slow => answer.body_mut().delay(if length.is_some() { VERY_LATE } else { LATE }),
        _ => {}
    }
    if mode == Mode::WrongLength {
        answer.body_mut().announce_more();
    }
    if let Some(end) = mode.cut(line) {
        let frames = if length.is_some() { 1 } else { BEFORE_CUT };
        answer.body_mut().cut_after(frames, end);
    }
    Ok(())
}

/// `{"modes": ["hang", ...], "share": 0.1}`; no modes: it behaves.
pub(super) fn troubles(fields: &Fields) -> Result<Troubles, Error> {
    let bad = |field, what: String, value: String| Error::BadValue { field, what, value };
    let modes = fields.list("modes")?.iter().map(|mode| {
        let name = mode.as_str().unwrap_or_default();
        name.parse().map_err(|what| bad("modes", what, name.to_owned()))
    });
    let share = fields.get("share").map_or(Some(1.0), serde_json::Value::as_f64);
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    let share = share.ok_or_else(|| bad("share", "share must be 0 to 1.".to_owned(), String::new()))?;
    Ok(Troubles { modes: modes.collect::<Result<_, _>>()?, share })
}
