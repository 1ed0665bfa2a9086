//! What went wrong with a stream, for people: the library's own words name its layers.

use std::error::Error;

use tonic::{Code, Status};

/// What the operating system says, which stands at the end of a chain of causes.
pub(super) fn deepest(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Why an agent's stream ended by an error.
pub(super) fn why_ended(status: &Status) -> String {
    // A cause says that it was not the agent that spoke.
    if status.source().is_some() {
        return format!("the connection broke ({}); is the agent still running?", deepest(status));
    }
    match status.code() {
        Code::Unimplemented => {
            "it knows no such call: is it an agent, and of this version, that listens there?".to_owned()
        }
        code if status.message().is_empty() => format!("it ended the stream: {code}"),
        _ => format!("it ended the stream: {}", status.message()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_end_is_told_by_whoever_caused_it() {
        let broken = Status::from_error(Box::new(io::Error::other("reset")));
        assert_eq!(why_ended(&broken), "the connection broke (reset); is the agent still running?");
        assert_eq!(why_ended(&Status::resource_exhausted("full")), "it ended the stream: full");
        assert!(why_ended(&Status::unimplemented("")).contains("of this version"));
    }
}
