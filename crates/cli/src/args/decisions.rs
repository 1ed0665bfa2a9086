//! What asks for decisions.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs};
use warmlane_picker::Strategy;

pub(super) const WHY: &str = "\
A row of scores adds up to its total: each is shown times its weight. HELD are prompt tokens that the endpoint was believed \
to hold, AGE is how old what was known of it was.

Examples:
  curl -si localhost:8081/v1/completions -d @body.json | grep -i x-request-id
  warmlane explain 4f1c0de0a1b2c3d4e5f60718293a4b5c
  warmlane explain --body body.json --header 'x-session-id: abc'";

/// Which decisions.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Filter {
    /// Of this model only
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// That chose this endpoint only
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<String>,
    /// In this pool only
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub pool: Option<String>,
}

/// Decisions that were made.
#[derive(Clone, Debug, ClapArgs)]
pub struct Recall {
    /// Which.
    #[command(flatten)]
    pub filter: Filter,
    /// Most decisions, the newest; 50 unless given, and all that are kept with --save
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub limit: Option<u16>,
    /// Write them to this file, with all that they were made of and without any prompt
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// A decision to explain, or a body to choose for.
#[derive(Clone, Debug, ClapArgs)]
#[command(group(ArgGroup::new("what").required(true).args(["request_id", "body"])))]
pub struct Why {
    /// The request's id: what it was answered with as x-request-id
    #[arg(value_name = "REQUEST-ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub request_id: Option<String>,
    /// Instead, choose for this body, which goes nowhere; - is standard input
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// With --body, the path that it would be sent to; unless given, by what the body has: /v1/completions for a prompt,
    /// /v1/responses for an input, /v1/chat/completions for messages and for anything else
    // What is required may be missing where it conflicts with what is there, so the conflict has to be said too.
    #[arg(long, value_name = "PATH", requires = "body", conflicts_with = "request_id")]
    pub path: Option<String>,
    /// With --body, a header that it would be sent with, such as 'x-session-id: abc'; may be given several times
    #[arg(long, value_name = "NAME: VALUE", requires = "body", conflicts_with = "request_id")]
    pub header: Vec<String>,
}

/// Decisions as they are made.
#[derive(Clone, Debug, ClapArgs)]
pub struct Watch {
    /// Which.
    #[command(flatten)]
    pub filter: Filter,
    /// End after so many
    #[arg(long, value_name = "COUNT")]
    pub count: Option<u64>,
}

/// Recorded decisions.
#[derive(Clone, Debug, ClapArgs)]
pub struct Replay {
    /// As `warmlane decisions --save` wrote it; - is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Weigh by another strategy: DEFAULT or PREFIX_CACHE
    #[arg(long, value_name = "STRATEGY")]
    pub strategy: Option<Strategy>,
    /// Weigh with other weights
    #[arg(long, value_name = "NAME=NUMBER,...")]
    pub weights: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::args::Args;

    #[test]
    fn explain_takes_an_id_or_a_body_and_what_belongs_to_a_body_only_with_one() {
        let read = |words: &[&str]| {
            let words = ["warmlane", "explain"].iter().chain(words);
            Args::try_parse_from(words).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(read(&["abc"]), Ok(()));
        assert_eq!(read(&["--body", "-", "--path", "/v1/completions", "--header", "a: b"]), Ok(()));
        for words in [&["abc", "--path", "/v1/x"][..], &["abc", "--header", "a: b"], &["abc", "--body", "-"]]
        {
            let refused = read(words).expect_err("it does not belong to an id");
            assert!(refused.contains("cannot be used with"), "{refused}");
        }
        let refused = read(&[]).expect_err("what is to be explained");
        assert!(refused.contains("<REQUEST-ID|--body <FILE>>"), "{refused}");
    }
}
