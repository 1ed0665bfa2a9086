//! What changes a running router.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

const CHANGES: &str = "\
Who changes a router must be let in: by the Unix socket (--router unix:PATH, where the router runs with --admin-socket PATH) as root or the \
router's user; elsewhere by the token of its --admin-token-file, which is given by --token-file or WARMLANE_TOKEN.

Examples:
  warmlane drain 10.0.1.11:8000 --token-file token
  warmlane --router unix:/run/warmlane/admin.sock undrain 10.0.1.11:8000
  warmlane --router unix:/run/warmlane/admin.sock unpin 2772b4748e9d91bd
  warmlane --router unix:/run/warmlane/admin.sock set lane off";

/// What a running router is told to do otherwise.
#[derive(Clone, Debug, Subcommand)]
pub enum Change {
    /// Sends no new requests to an endpoint; what it has may finish
    #[command(after_help = CHANGES)]
    Drain(Endpoint),
    /// Sends requests to a drained endpoint again
    #[command(after_help = CHANGES)]
    Undrain(Endpoint),
    /// Forgets where a session, or a prompt prefix, is pinned to
    #[command(after_help = CHANGES)]
    Unpin(Unpin),
    /// Switches the kernel lane, or the log's level
    #[command(subcommand, after_help = CHANGES)]
    Set(Setting),
}

/// One of the pool.
#[derive(Clone, Debug, ClapArgs)]
pub struct Endpoint {
    /// Its address, as `warmlane endpoints` has it
    #[arg(value_name = "HOST:PORT")]
    pub endpoint: String,
}

/// What is pinned.
#[derive(Clone, Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct Unpin {
    /// The session, as `warmlane pins` has it
    #[arg(value_name = "SESSION")]
    pub session: Option<String>,
    /// Instead, a prompt prefix, as `warmlane groups` has it
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
}

/// What can be switched in a running router.
#[derive(Clone, Debug, Subcommand)]
pub enum Setting {
    /// The kernel lane: off, new responses are copied; on, where it was switched off by hand
    Lane {
        /// Whether new responses may take it
        #[arg(value_enum)]
        to: Switch,
    },
    /// What the router logs, until it is restarted: info, debug, or per module, such as info,warmlane_router::scrape=debug
    Log {
        /// As --log-level of the router
        #[arg(value_name = "FILTER")]
        level: String,
    },
}

/// One of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It may.
    On,
    /// It may not.
    Off,
}
