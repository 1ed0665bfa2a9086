//! What is asked for: read from method, path and body. Pure.

use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::from_slice;
use warmlane_api::admin::{SetLog, SwitchLane};

use super::ActionError;
use crate::{admin::percent::decoded, metrics::ActionKind};

const ENDPOINTS: &str = "/debug/endpoints/";
const PINS: &str = "/debug/pins/";
const GROUPS: &str = "/debug/groups/";

/// A change, as its method and path have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::admin) struct Asked {
    pub(super) kind: ActionKind,
    /// Of what, where the path says it.
    subject: String,
}

/// A change, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// An endpoint gets no new requests, or gets them again.
    Drain { endpoint: String, drained: bool },
    /// A session is pinned nowhere.
    Unpin { session: u64 },
    /// A prefix group is pinned nowhere.
    UnpinGroup { group: u64 },
    /// The kernel lane is switched off, or on again.
    Lane { on: bool },
    /// The log is written by another filter.
    LogLevel { level: String },
}

// === Asked ===

impl Asked {
    /// `None`: nothing that would change anything.
    pub(in crate::admin) fn of(method: &Method, path: &str) -> Option<Self> {
        let (kind, subject) = match *method {
            Method::POST => posted(path)?,
            Method::DELETE => deleted(path)?,
            _ => return None,
        };
        Some(Self { kind, subject: decoded(subject) })
    }

    /// Whether a body says more.
    pub(super) fn has_body(&self) -> bool {
        match self.kind {
            ActionKind::Lane | ActionKind::LogLevel => true,
            ActionKind::Drain | ActionKind::Undrain | ActionKind::Unpin | ActionKind::UnpinGroup => false,
        }
    }

    /// The whole, with the body that came.
    pub(super) fn whole(&self, body: &[u8]) -> Result<Action, ActionError> {
        let endpoint = || self.subject.clone();
        Ok(match self.kind {
            ActionKind::Drain => Action::Drain { endpoint: endpoint(), drained: true },
            ActionKind::Undrain => Action::Drain { endpoint: endpoint(), drained: false },
            ActionKind::Unpin => Action::Unpin { session: key(&self.subject)? },
            ActionKind::UnpinGroup => Action::UnpinGroup { group: key(&self.subject)? },
            ActionKind::Lane => {
                let SwitchLane { on } = read(body, r#"{"on": false}"#)?;
                Action::Lane { on }
            }
            ActionKind::LogLevel => {
                let SetLog { level } = read(body, r#"{"level": "debug"}"#)?;
                Action::LogLevel { level }
            }
        })
    }
}

fn posted(path: &str) -> Option<(ActionKind, &str)> {
    match path {
        "/debug/lane" => return Some((ActionKind::Lane, "")),
        "/debug/log" => return Some((ActionKind::LogLevel, "")),
        _ => {}
    }
    let (endpoint, what) = path.strip_prefix(ENDPOINTS)?.rsplit_once('/')?;
    let kind = match what {
        "drain" => ActionKind::Drain,
        "undrain" => ActionKind::Undrain,
        _ => return None,
    };
    (!endpoint.is_empty()).then_some((kind, endpoint))
}

fn deleted(path: &str) -> Option<(ActionKind, &str)> {
    let of = |kind, folder| Some((kind, path.strip_prefix(folder)?)).filter(|(_, name)| !name.is_empty());
    of(ActionKind::Unpin, PINS).or_else(|| of(ActionKind::UnpinGroup, GROUPS))
}

/// A key as the page of pins writes it.
fn key(text: &str) -> Result<u64, ActionError> {
    let is_key = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = is_key.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    key.ok_or_else(|| {
        ActionError::Unreadable(
            "give the 16 hexadecimal digits by which `warmlane pins` and /debug/pins list it".to_owned(),
        )
    })
}

fn read<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, ActionError> {
    from_slice(body).map_err(|error| ActionError::Unreadable(format!("{error}; write {example}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &Method, path: &str, body: &str) -> Option<Result<Action, String>> {
        let asked = Asked::of(method, path)?;
        Some(asked.whole(body.as_bytes()).map_err(|error| error.to_string()))
    }

    #[test]
    fn each_change_has_its_method_and_path() {
        let drain = |endpoint: &str, drained| Action::Drain { endpoint: endpoint.to_owned(), drained };
        let level = "info,warmlane_router=debug".to_owned();
        for (method, path, body, action) in [
            (Method::POST, "/debug/endpoints/10.0.0.1:8000/drain", "", drain("10.0.0.1:8000", true)),
            (Method::POST, "/debug/endpoints/[fd00::1]:8000/undrain", "", drain("[fd00::1]:8000", false)),
            (Method::POST, "/debug/endpoints/%5Bfd00%3a%3A1%5d:80/drain", "", drain("[fd00::1]:80", true)),
            (Method::POST, "/debug/endpoints/100%/drain", "ignored", drain("100%", true)),
            (
                Method::DELETE,
                "/debug/pins/feedbeef0f000000",
                "",
                Action::Unpin { session: 0xfeed_beef_0f00_0000 },
            ),
            (
                Method::DELETE,
                "/debug/groups/FEEDBEEF0F000000",
                "",
                Action::UnpinGroup { group: 0xfeed_beef_0f00_0000 },
            ),
            (Method::POST, "/debug/lane", r#"{"on": false}"#, Action::Lane { on: false }),
            (
                Method::POST,
                "/debug/log",
                r#"{"level": "info,warmlane_router=debug"}"#,
                Action::LogLevel { level },
            ),
        ] {
            assert_eq!(asked(&method, path, body), Some(Ok(action)), "{path}");
        }
    }

    #[test]
    fn other_methods_and_paths_change_nothing() {
        for (method, path) in [
            (Method::GET, "/debug/lane"),
            (Method::PUT, "/debug/lane"),
            (Method::DELETE, "/debug/lane"),
            (Method::POST, "/debug/pins/feedbeef0f000000"),
            (Method::DELETE, "/debug/pins"),
            (Method::DELETE, "/debug/pins/"),
            (Method::POST, "/debug/endpoints/a:1"),
            (Method::POST, "/debug/endpoints/a:1/"),
            (Method::POST, "/debug/endpoints//drain"),
            (Method::POST, "/debug/endpoints/a:1/drained"),
            (Method::POST, "/debug/endpoints/drain"),
            (Method::POST, "/debug/lane/"),
            (Method::POST, "/"),
        ] {
            assert_eq!(asked(&method, path, ""), None, "{method} {path}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_with_what_can() {
        for (method, path, body, word) in [
            (Method::DELETE, "/debug/pins/feedbeef", "", "16 hexadecimal digits"),
            (Method::DELETE, "/debug/pins/+eedbeef0f000000", "", "16 hexadecimal digits"),
            (Method::DELETE, "/debug/groups/feedbeef0f00000g", "", "16 hexadecimal digits"),
            (Method::POST, "/debug/lane", "", r#"write {"on": false}"#),
            (Method::POST, "/debug/lane", r#"{"on": "no"}"#, r#"write {"on": false}"#),
            (Method::POST, "/debug/lane", r#"{"on": true, "off": false}"#, "unknown field `off`"),
            (Method::POST, "/debug/log", r#"{"lvl": "debug"}"#, r#"write {"level": "debug"}"#),
        ] {
            let said = asked(&method, path, body).expect("a change").expect_err(path);
            assert!(said.contains(word), "{said}");
        }
    }
}
