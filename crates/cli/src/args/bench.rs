//! A small load.

use clap::Args as ClapArgs;

use crate::address::Address;

pub(super) const EXPLAINED: &str = "\
This puts load on real replicas, beside that of users. It is small on purpose, to see how a route does and not how much it can take: \
at most 2,000 requests for a route, 64 at once, each of at most 8,192 prompt tokens and 1,024 to come. Of two routes each gets as many \
requests, in turns of a quarter, with prompts of its own, so that neither finds what the other left in caches.

Prompts are random words of four letters; a tokenizer may make more tokens of them. The first three quarters of a prompt are one of the \
prefixes. Replicas are asked to go on to the end (ignore_eos, as vLLM knows it). Which replica served how many is what the router at --router \
says it sent there meanwhile, others' requests too; without a router, what replies say.

Ctrl-C ends it and shows what was measured so far. The exit code is 1 where requests failed.

Examples:
  warmlane bench http://127.0.0.1:8081
  warmlane bench 127.0.0.1:8080 127.0.0.1:8081 --requests 200 --concurrency 16
  warmlane bench 127.0.0.1:8081 --model qwen --prefixes 0 --prompt-tokens 2000 -o json";

/// See `EXPLAINED`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Bench {
    /// Where requests are sent: HOST:PORT or http://HOST:PORT; two are compared
    #[arg(value_name = "ROUTE", required = true, num_args = 1..=2)]
    pub routes: Vec<Address>,
    /// The model; the first that is listed at /v1/models unless given
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Requests for each route
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    pub requests: u16,
    /// Requests at once
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
    /// Prefixes that prompts share; 0: they have nothing in common
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=256))]
    pub prefixes: u16,
    /// Tokens of a prompt, a few more or less
    #[arg(long, value_name = "TOKENS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(4..=8_192))]
    pub prompt_tokens: u32,
    /// Tokens of an answer
    #[arg(long, value_name = "TOKENS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub output_tokens: u32,
}
