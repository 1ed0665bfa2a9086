//! What can go wrong, for people at a terminal: what happened, the likely cause, what to do; and the exit codes.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; also where the reader of the output went away |
//! | 1 | the answer is no: `status` or `doctor` found something wrong, a replay comes out otherwise or made nothing again, a body would not be served, a bundle lacks something, requests of a bench failed |
//! | 2 | misuse: a flag or a command that there is not, what is no address, a file that cannot be read or written, `top` without a terminal |
//! | 3 | the other side cannot be reached, or something else answers there |
//! | 4 | it refused or failed, or what it said cannot be read or written |

use std::{fmt, io, path::PathBuf, time::Duration};

use crate::{address::Address, kube::KubeError};

mod hint;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A router's admin port.
    Router,
    /// An agent's admin port.
    Agent,
}

/// See the module's header. Texts of the other side in it are harmless.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No connection.
    #[error("cannot reach {who} at {address}: {source}\n{}", hint::unreachable(*who, address, source))]
    Unreachable {
        /// Who.
        who: Side,
        /// Where.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// Neither connection nor answer in time.
    #[error("{who} at {address} has not answered within {after:?}\n{}", hint::silent(*who))]
    Silent {
        /// Who.
        who: Side,
        /// Where.
        address: Address,
        /// What it was given.
        after: Duration,
    },
    /// It does not speak as ours do.
    #[error("what answers at {address} is not {who} of Warmlane: {what}\n{}", hint::foreign(*who))]
    Foreign {
        /// Who was looked for.
        who: Side,
        /// Where.
        address: Address,
        /// How it shows.
        what: String,
    },
    /// It has no such page.
    #[error("{who} at {address} (version {version}) has no page {path}\n{}", hint::missing(*who, version, paths))]
    Missing {
        /// Who.
        who: Side,
        /// Where.
        address: Address,
        /// Of the other side.
        version: String,
        /// The page.
        path: String,
        /// What it has.
        paths: Vec<String>,
    },
    /// It refused, or failed.
    #[error("{who} at {address} answers {asked} with {status}: {message}{}", hint::refused(*status, *showed_token))]
    Refused {
        /// Who.
        who: Side,
        /// Where.
        address: Address,
        /// The page, or the command that was to change something.
        asked: String,
        /// Of HTTP.
        status: u16,
        /// Whether one went with it.
        showed_token: bool,
        /// Its reason.
        message: String,
    },
    /// More than a page ever is.
    #[error(
        "{who}'s page {path} is larger than {limit} bytes\n  Ask for less of it, for instance by --limit."
    )]
    Large {
        /// Who.
        who: Side,
        /// The page.
        path: String,
        /// What would be read.
        limit: usize,
    },
    /// The connection ended within an answer.
    #[error(
        "the connection to {who} at {address} ended within its answer: {what}\n  It may have been restarted: try again."
    )]
    Broken {
        /// Who.
        who: Side,
        /// Where.
        address: Address,
        /// How.
        what: String,
    },
    /// No page as we know it.
    #[error("cannot read the page {path} of {who} (version {version}): {source}\n{}", hint::unreadable(*who, version))]
    Unreadable {
        /// Who.
        who: Side,
        /// Of the other side.
        version: String,
        /// The page.
        path: String,
        /// Where it differs.
        source: serde_json::Error,
    },
    /// No way to a pod.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// No way for requests.
    #[error(
        "no request can be sent to {route}: {why}\n  Is it the address of a router's listener, 8080 or 8081 unless set otherwise, or of an engine?"
    )]
    Route {
        /// Where.
        route: String,
        /// Why.
        why: String,
    },
    /// It takes requests, and its answer is of no use.
    #[error("{route}: {why}")]
    Answer {
        /// Where.
        route: String,
        /// How.
        why: String,
    },
    /// What is to be shown cannot be put into the form.
    #[error("cannot write it as {form}: {why}")]
    Form {
        /// The form.
        form: &'static str,
        /// Why not.
        why: String,
    },
    /// `top` cannot be seen here.
    #[error(
        "top needs a terminal: {0}\n  `warmlane endpoints` shows the same once, `warmlane watch` decisions as they are made; both can be piped."
    )]
    NoTerminal(String),
    /// Standard output takes nothing.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// A file of the user's.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An option that cannot be meant.
    #[error("{0}")]
    Option(String),
    /// The machine does not let it begin.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

// === Side ===

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Router => "the router",
            Self::Agent => "the agent",
        })
    }
}

// === CliError ===

impl CliError {
    /// See the module's header.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Foreign { .. }
            | Self::Route { .. }
            | Self::Kube(_) => 3,
            Self::Missing { who, paths, .. } if hint::is_elsewhere(*who, paths) => 3,
            Self::Missing { .. }
            | Self::Refused { .. }
            | Self::Large { .. }
            | Self::Broken { .. }
            | Self::Unreadable { .. }
            | Self::Form { .. }
            | Self::Answer { .. }
            | Self::Start(_) => 4,
            // The user's own.
            Self::File { .. } | Self::Option(_) | Self::NoTerminal(_) => 2,
            // Who reads has enough, as with `| head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 4,
        }
    }

    /// Nobody is there to hear of it.
    pub fn is_quiet(&self) -> bool {
        self.exit_code() == 0
    }
}
