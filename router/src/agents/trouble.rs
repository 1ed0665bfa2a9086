//! What went wrong with a stream, for people: the library's own words name its layers.

use std::error::Error;

use tonic::{Code, Status};
use warmlane_tls::Failed;

/// What the operating system says, which stands at the end of a chain of causes.
pub(super) fn deepest(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Why there is no TLS with an agent, and which setting of which side may be wrong.
pub(super) fn why_no_tls(failed: &Failed) -> String {
    match failed {
        Failed::NotTls => "it speaks none; start it with --tls, or leave out agent_tls.ca".to_owned(),
        Failed::Foreign => "its certificate is not signed by the CA in agent_tls.ca".to_owned(),
        Failed::Authority => {
            "its certificate is a CA's own (CA:TRUE); start it with one that this CA signed".to_owned()
        }
        Failed::Name { expected, presented } => format!(
            "its certificate is for {presented}, not for {expected}; name what it carries with --agent-tls-name"
        ),
        Failed::Expired => "its certificate has expired; who renews it?".to_owned(),
        Failed::Early => "its certificate is not valid yet; do the clocks agree?".to_owned(),
        Failed::Certificate(why) => format!("its certificate cannot be used: {why}"),
        Failed::Wanted => {
            "it wants a certificate, and this router shows none; set agent_tls.certificate and agent_tls.key"
                .to_owned()
        }
        Failed::Untrusted => {
            "it refused this router's certificate; is that signed by the CA in its --tls-client-ca, and \
                              not expired?"
                .to_owned()
        }
        Failed::Closed => {
            "it closed the connection in the middle of the handshake; does it speak TLS (--tls)?".to_owned()
        }
        Failed::NoCertificate | Failed::NothingCommon | Failed::BrokenOff | Failed::Other(_) => {
            failed.to_string()
        }
    }
}

/// What broke the connection, where it was not the agent that spoke: then there is a cause.
pub(super) fn broke(status: &Status) -> Option<String> {
    status.source().is_some().then(|| deepest(status))
}

/// Why an agent's stream ended by an error.
pub(super) fn why_ended(status: &Status) -> String {
    if let Some(cause) = broke(status) {
        return format!("the connection broke ({cause}); is the agent still running?");
    }
    match status.code() {
        Code::Unimplemented => {
            "it knows no such call: is it an agent, and of this version, that listens there?".to_owned()
        }
        Code::OutOfRange => format!("what it tells is too large: {}", status.message()),
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
