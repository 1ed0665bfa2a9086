//! The command line, and the help that teaches it.

use std::{path::PathBuf, time::Duration};

use clap::{
    Args as ClapArgs, FromArgMatches as _, Parser, Subcommand, ValueEnum, builder::TypedValueParser as _,
};
use clap_complete::Shell;

use crate::{address::Address, error::Side, kube::Wanted, screen::Color, views::Order};

mod bench;
mod bundle;
mod changes;
mod decisions;
mod help;
mod top;

pub use bench::Bench;
pub use bundle::Bundle;
pub use changes::{Change, Endpoint, Setting, Switch, Unpin};
pub use decisions::{Filter, Recall, Replay, Watch, Why};
pub use top::Top;

const EXPLAINED: &str = "\
ADDR is HOST:PORT, http://HOST:PORT or unix:PATH. Admin ports listen on loopback: run this on the node, or
  kubectl -n warmlane-system port-forward deployment/warmlane-router 9091

Exit codes:
  0  done
  1  the answer is no: something is wrong, differs, failed or is missing
  2  misuse: a flag, command or address that there is not, a file that cannot be read or written
  3  the other side cannot be reached, or something else answers there
  4  it refused or failed, or what it said cannot be read

Examples:
  warmlane status                         is all well, and if not, what is wrong
  warmlane endpoints --sort queue         who is busiest
  warmlane top                            the same, live
  warmlane pods -o wide                   which replica runs where, and what is around it
  warmlane gpus                           which card is failing
  warmlane --agent 127.0.0.1:9012 agents  what the agent of this node knows, and who follows it
  warmlane pins --limit 1000 -o json      which session stays where, for jq
  warmlane --router 10.0.3.7:9091 lane    is the kernel lane on, and why not
  warmlane explain REQUEST-ID             why did this request go there
  warmlane watch --model qwen             where requests go, as they go
  sudo warmlane doctor                    is this node as it should be, and what to do
  warmlane status >/dev/null || page-somebody";

/// Asks routers and agents what they know, and shows it
#[derive(Clone, Debug, Parser)]
#[command(name = "warmlane", version, after_help = EXPLAINED, max_term_width = 120, propagate_version = true)]
pub struct Args {
    /// Where, and how.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What each command takes.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Options for every command")]
pub struct Options {
    /// The router's admin port
    #[arg(
        long,
        global = true,
        env = "WARMLANE_ROUTER",
        value_name = "ADDR",
        default_value = "127.0.0.1:9091"
    )]
    pub router: Address,

    /// An agent's admin port, 9012 on its node, for `gpus`, `agents`, `top`, `bundle` and `doctor`: the first three then show that node, in more detail
    #[arg(long, global = true, env = "WARMLANE_AGENT_ADMIN", value_name = "ADDR")]
    pub agent: Option<Address>,

    /// Instead of addresses: the pods of a cluster, by kubectl; of the kubeconfig's own context, or of another one by --kube=CONTEXT
    #[arg(long, global = true, value_name = "CONTEXT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub kube: Option<String>,

    /// With --kube, where Warmlane runs
    #[arg(long, global = true, value_name = "NAMESPACE", default_value = "warmlane-system")]
    pub namespace: String,

    /// With --kube, whose agent is asked, and whose router where each node has one
    #[arg(long, global = true, value_name = "NODE")]
    pub node: Option<String>,

    /// With --kube, the router's pod; a ready one unless given
    #[arg(long, global = true, value_name = "NAME")]
    pub pod: Option<String>,

    /// File with the router's token, for commands that change it; WARMLANE_TOKEN is the token itself
    // A variable that is set to nothing names no file: clap's own reader of paths refuses it.
    #[arg(
        long,
        global = true,
        env = "WARMLANE_TOKEN_FILE",
        value_name = "FILE",
        value_parser = clap::builder::OsStringValueParser::new().map(PathBuf::from)
    )]
    pub token_file: Option<PathBuf>,

    /// How to show it
    #[arg(long, short, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,

    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: Color,

    /// Seconds to wait for an answer
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub timeout: u16,
}

/// How to show an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, cut to the terminal's width
    #[default]
    Table,
    /// The same with more columns
    Wide,
    /// Everything, for programs
    Json,
    /// The same, for people
    Yaml,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Ask somebody.
    #[command(flatten)]
    Ask(Question),
    /// A live picture of replicas, the hottest first; q ends it, ? says what other keys do
    #[command(
        after_help = "Examples:\n  warmlane top --sort kv\n  warmlane --agent 127.0.0.1:9012 top --interval 2s\n\n\
                            It needs a terminal; elsewhere `warmlane endpoints` and `warmlane watch` tell the same."
    )]
    Top(Top),
    /// Decisions as they are made, a line each; ends with Ctrl-C
    Watch(Watch),
    /// Makes recorded decisions again: do they come out alike, and what if they were weighed otherwise
    ///
    /// The exit code is 1 where nothing could be made again and, without a change, where a decision comes out otherwise than it was
    /// recorded.
    #[command(
        after_help = "Examples:\n  warmlane decisions --save monday.jsonl\n  warmlane replay monday.jsonl\n  \
                            warmlane replay monday.jsonl --strategy PREFIX_CACHE\n  \
                            warmlane replay monday.jsonl --weights prefix=4,session=0 -o wide"
    )]
    Replay(Replay),
    /// Prints what makes a shell complete this command
    #[command(after_help = "Examples:\n  source <(warmlane completions bash)\n  \
                            warmlane completions zsh > \"${fpath[1]}/_warmlane\"\n  \
                            warmlane completions fish > ~/.config/fish/completions/warmlane.fish")]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Prints the manual page
    #[command(after_help = "Example:\n  warmlane man | man -l -")]
    Man,
}

/// What a router or an agent is asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Question {
    /// One screen: is all well, what is wrong, what could be better; exit code 1 where something is wrong
    Status,
    /// Replicas with their load as the router sees it, and how old that is
    Endpoints {
        /// What comes first: the most of it, or the first in the alphabet
        #[arg(long, value_enum, value_name = "WHAT")]
        sort: Option<Order>,
    },
    /// Replicas by node: whose agent tells of them, which GPUs are beside them, what they serve
    Pods,
    /// GPUs of every node, or of the agent's, with what speaks against them
    Gpus,
    /// Agents that the router follows; or the one given by --agent with its engines, sources and routers
    Agents,
    /// Pools with their rules, and what is wrong with the cluster's objects
    Pools,
    /// Sessions that stay on one replica, those used last
    Pins(Limit),
    /// Prompt prefixes that stay on a few replicas, those used last
    Groups(Limit),
    /// The kernel lane: on, or why not, and what it carried
    Lane,
    /// Where the last requests went
    #[command(after_help = "Examples:\n  warmlane decisions --model qwen --limit 20\n  \
                            warmlane decisions --save monday.jsonl     for `warmlane replay`")]
    Decisions(Recall),
    /// Why a request went where it went, what became of it, and where it would go now
    ///
    /// With --body the exit code is 1 where nothing would serve it.
    #[command(after_help = decisions::WHY)]
    Explain(Why),
    /// Change something.
    #[command(flatten)]
    Change(Change),
    /// Whether this machine, and what runs on it, is as it should be, each finding with a fix; exit code 1 where something fails
    Doctor,
    /// An archive of all that router, agent and this machine say, without secrets and prompts, for somebody who was not there
    ///
    /// The exit code is 1 where neither router nor agent said anything, or where one that answers did not say all; what there is, is
    /// written all the same.
    #[command(after_help = bundle::EXPLAINED)]
    Bundle(Bundle),
    /// Sends a small load through a route, or two, and shows how it did; this puts load on real replicas
    #[command(after_help = bench::EXPLAINED)]
    Bench(Bench),
}

/// How much of what may be much.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct Limit {
    /// Most rows
    #[arg(long, value_name = "ROWS", default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub limit: u16,
}

// === Args ===

impl Args {
    /// Of this process. Ends it where there is nothing to do: after help, or with exit code 2 and what is wrong.
    pub fn of_process() -> Self {
        let matches = help::command().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

// === Options ===

/// Where an agent's admin port is unless set otherwise.
const AGENT: &str = "127.0.0.1:9012";

impl Options {
    /// The agent's admin port: the one that is given, or the one of this node.
    pub fn agent_here(&self) -> Address {
        self.agent.clone().unwrap_or_else(|| Address::Tcp(AGENT.to_owned()))
    }

    /// The pod to ask instead of an address.
    pub fn pod_of(&self, who: Side) -> Option<Wanted> {
        let context = self.kube.clone()?;
        let (port, pod) = match who {
            Side::Router => (9_091, self.pod.clone()),
            Side::Agent if self.agent.is_some() => return None,
            Side::Agent => (9_012, None),
        };
        let context = Some(context).filter(|context| !context.is_empty());
        Some(Wanted { who, context, namespace: self.namespace.clone(), node: self.node.clone(), pod, port })
    }

    /// Whether the agent of one node is meant.
    pub fn is_of_node(&self) -> bool {
        self.agent.is_some() || (self.kube.is_some() && self.node.is_some())
    }

    /// How long each answer may take.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_that_is_set_to_nothing_is_no_misuse() {
        let args =
            Args::try_parse_from(["warmlane", "status", "--token-file="]).expect("as if it were not there");
        assert_eq!(args.options.token_file, Some(PathBuf::new()));
    }

    #[test]
    fn no_line_of_the_explanations_is_broken_where_nothing_says_the_width() {
        for line in EXPLAINED.lines().filter(|line| line.starts_with("  ")) {
            assert!(line.len() <= 100, "{line}");
        }
    }
}
