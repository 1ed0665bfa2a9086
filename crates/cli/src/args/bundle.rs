//! What is packed for somebody who was not there.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::address::Address;

pub(super) const EXPLAINED: &str = "\
In it: every admin page and the metrics of router and agent, the last decisions for `warmlane replay`, the router's settings, what \
`warmlane doctor` finds, and what machine this is; manifest.json lists them, and what could not be had. At most 128 MiB before they \
are pressed. Tokens, credentials and prompts are never in it; names of models, addresses and ids of requests are, unless --redact \
puts others in their place.

Examples:
  sudo warmlane bundle
  warmlane bundle monday.tar.gz --redact
  warmlane bundle monday.tar.gz --agent 127.0.0.1:9012 -o json     with the manifest on standard output";

/// See `EXPLAINED`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Bundle {
    /// Where to write it; warmlane-bundle-SECONDS.tar.gz unless given
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Put other names in the place of addresses, models, nodes, pods, pools and ids of requests; the same name gets the same one
    #[arg(long)]
    pub redact: bool,
    /// The router's port for metrics, where it is not the one that its settings name
    #[arg(long, value_name = "ADDR")]
    pub router_metrics: Option<Address>,
    /// The agent's; beside its admin port 9011 unless given
    #[arg(long, value_name = "ADDR")]
    pub agent_metrics: Option<Address>,
}
