//! Why a handshake failed, for people: the library's own words name its types.

use std::io::{Error, ErrorKind};

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as Cause};

/// See the module's header. What is said of "the other side" is what this one saw; what that one saw, it tells by an alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The other side speaks something else.
    #[error("what came is not TLS")]
    NotTls,
    /// It need not be trusted without.
    #[error("the other side showed no certificate")]
    NoCertificate,
    /// Signed by somebody else.
    #[error("the other side's certificate is not signed by a CA that is trusted here")]
    Foreign,
    /// A CA's own certificate proves nothing else.
    #[error("the other side's certificate is a CA's own (CA:TRUE), which is for signing others")]
    Authority,
    /// It is another server's.
    #[error("the other side's certificate is for {presented}, not for {expected}")]
    Name {
        /// Who was dialled.
        expected: String,
        /// Who answered.
        presented: String,
    },
    /// Its time is over.
    #[error("the other side's certificate has expired")]
    Expired,
    /// Its time is to come.
    #[error("the other side's certificate is not valid yet: do the clocks agree?")]
    Early,
    /// Something else speaks against it.
    #[error("the other side's certificate cannot be used: {0}")]
    Certificate(String),
    /// An alert: none was shown here.
    #[error("the other side wants a certificate, and none was shown here")]
    Wanted,
    /// An alert: ours was not taken.
    #[error("the other side does not trust the certificate shown here")]
    Untrusted,
    /// No version, cipher or protocol.
    #[error("no version or cipher of TLS is common to both sides")]
    NothingCommon,
    /// Another alert.
    #[error("the other side broke it off")]
    BrokenOff,
    /// An end without a word.
    #[error("the other side closed the connection in the middle of it")]
    Closed,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

// === Failed ===

impl Failed {
    /// What an error of a handshake means.
    pub fn of(error: &Error) -> Self {
        Self::of_tls(error).unwrap_or_else(|| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Other(error.to_string()),
        })
    }

    /// What an error means that comes from TLS; `None` of others, such as the socket's own.
    pub fn of_tls(error: &Error) -> Option<Self> {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Cause>())?;
        Some(match cause {
            Cause::InvalidMessage(_) => Self::NotTls,
            Cause::NoCertificatesPresented => Self::NoCertificate,
            Cause::InvalidCertificate(error) => Self::of_certificate(error),
            Cause::AlertReceived(alert) => Self::of_alert(*alert),
            Cause::PeerIncompatible(_) => Self::NothingCommon,
            other => Self::Other(other.to_string()),
        })
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Foreign,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::Early,
            CertificateError::NotValidForNameContext { expected, presented } => Self::Name {
                expected: expected.to_str().into_owned(),
                presented: presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", "),
            },
            // The library has no name of its own for it; a test makes it happen.
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                Self::Authority
            }
            other => Self::Certificate(other.to_string()),
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateRequired => Self::Wanted,
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::DecryptError
            | AlertDescription::UnsupportedCertificate => Self::Untrusted,
            AlertDescription::ProtocolVersion | AlertDescription::NoApplicationProtocol => {
                Self::NothingCommon
            }
            _ => Self::BrokenOff,
        }
    }
}

/// A name out of `DnsName("name")`, as the library writes it.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::InvalidMessage;

    use super::*;

    #[test]
    fn it_is_told_without_names_of_types() {
        let of = |cause| Failed::of(&Error::new(ErrorKind::InvalidData, cause)).to_string();
        assert_eq!(of(Cause::InvalidMessage(InvalidMessage::InvalidContentType)), "what came is not TLS");
        assert!(of(Cause::AlertReceived(AlertDescription::UnknownCA)).contains("does not trust"));
        assert!(of(Cause::AlertReceived(AlertDescription::UnrecognisedName)).contains("broke it off"));
        assert!(of(Cause::AlertReceived(AlertDescription::CertificateRequired)).contains("wants"));
        assert!(of(Cause::NoCertificatesPresented).contains("showed no certificate"));
        let eof = Error::new(ErrorKind::UnexpectedEof, "tls handshake eof");
        assert!(Failed::of(&eof).to_string().contains("closed the connection"));
        assert_eq!(Failed::of_tls(&eof), None, "a socket's own");
    }

    #[test]
    fn names_stand_bare() {
        assert_eq!(
            [bare("DnsName(\"a.b\")"), bare("IpAddress(127.0.0.1)"), bare("x")],
            ["a.b", "127.0.0.1", "x"]
        );
    }
}
