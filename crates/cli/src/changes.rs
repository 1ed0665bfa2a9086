//! Commands that change a running router, and who lets them.

use std::{fs, path::Path};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method,
    header::{AUTHORIZATION, HeaderValue},
};
use serde::Serialize;
use warmlane_api::admin::{SetLog, SwitchLane, path};

use crate::{
    args::{Change, Endpoint, Setting, Switch, Unpin},
    client::Ask,
    error::CliError,
    question::escaped,
};

/// The token itself, where no file names it.
pub(crate) const TOKEN: &str = "WARMLANE_TOKEN";

/// Who asks for a change, if it shows who it is.
pub(crate) struct Token(Option<HeaderValue>);

// === Token ===

impl Token {
    /// Of the file, else of the environment.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, CliError> {
        let text = match file {
            Some(file) => fs::read_to_string(file)
                .map_err(|error| CliError::File { path: file.to_owned(), why: error.to_string() })?,
            None => match std::env::var(TOKEN) {
                Ok(token) => token,
                Err(_) => return Ok(Self(None)),
            },
        };
        if let (Some(file), "") = (file, text.trim()) {
            return Err(CliError::File {
                path: file.to_owned(),
                why: "it is empty: there is no token in it".to_owned(),
            });
        }
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let value = HeaderValue::try_from(format!("Bearer {}", text.trim()));
        let mut value = value
            .map_err(|_| CliError::Option("the token has characters that no header may have".to_owned()))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }

    /// The change, as the router is asked for it.
    pub(crate) fn ask_for(&self, change: &Change) -> Ask {
        match change {
            Change::Drain(Endpoint { endpoint }) => self.drain(endpoint, true),
            Change::Undrain(Endpoint { endpoint }) => self.drain(endpoint, false),
            Change::Unpin(unpin) => self.unpin(unpin),
            Change::Set(setting) => self.set(setting),
        }
    }

    /// No new requests for an endpoint, or requests again.
    fn drain(&self, endpoint: &str, drained: bool) -> Ask {
        let what = if drained { "drain" } else { "undrain" };
        let path = format!("{}/{}/{what}", path::ENDPOINTS, escaped(endpoint));
        self.ask(Method::POST, path, &format!("{what} {endpoint}"), Bytes::new())
    }

    /// A session or group that is pinned nowhere.
    fn unpin(&self, unpin: &Unpin) -> Ask {
        let (folder, flag, key) = match (&unpin.group, &unpin.session) {
            (Some(group), _) => (path::GROUPS, "--group ", group.as_str()),
            (None, session) => (path::PINS, "", session.as_deref().unwrap_or_default()),
        };
        let path = format!("{folder}/{}", escaped(key));
        self.ask(Method::DELETE, path, &format!("unpin {flag}{key}"), Bytes::new())
    }

    /// A switch.
    fn set(&self, setting: &Setting) -> Ask {
        match setting {
            Setting::Lane { to } => {
                let on = *to == Switch::On;
                let name = format!("set lane {}", if on { "on" } else { "off" });
                self.ask(Method::POST, path::LANE.to_owned(), &name, body(&SwitchLane { on }))
            }
            Setting::Log { level } => {
                let name = format!("set log {level}");
                self.ask(Method::POST, path::LOG.to_owned(), &name, body(&SetLog { level: level.clone() }))
            }
        }
    }

    fn ask(&self, method: Method, path: String, name: &str, body: Bytes) -> Ask {
        let headers = self.0.iter().map(|token| (AUTHORIZATION, token.clone())).collect::<HeaderMap>();
        Ask { method, path, name: Some(format!("`{name}`")), headers, body }
    }
}

fn body(value: &impl Serialize) -> Bytes {
    // Strings and switches always serialise.
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_token_of_a_file_goes_with_the_change_and_is_never_shown() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(file, "s3cret").expect("written");
        let token = Token::read(Some(file.path())).expect("a token");
        let ask = token.drain("[fd00::1]:8000", true);
        assert_eq!((ask.method.as_str(), &*ask.path), ("POST", "/debug/endpoints/%5bfd00::1%5d:8000/drain"));
        assert_eq!(ask.headers[AUTHORIZATION], "Bearer s3cret");
        assert!(!format!("{ask:?}").contains("s3cret"), "{ask:?}");
        let gone = Token::read(Some(Path::new("/nowhere/token"))).err().expect("no file");
        assert!(gone.to_string().contains("/nowhere/token"), "{gone}");
    }

    #[test]
    fn switches_are_sent_as_the_router_reads_them() {
        let token = Token(None);
        let off = token.set(&Setting::Lane { to: Switch::Off });
        assert_eq!((&*off.path, &*off.body), ("/debug/lane", &b"{\"on\":false}"[..]));
        let group = token.unpin(&Unpin { session: None, group: Some("00ff".to_owned()) });
        assert_eq!((group.method.as_str(), &*group.path), ("DELETE", "/debug/groups/00ff"));
        assert!(group.headers.is_empty());
    }
}
