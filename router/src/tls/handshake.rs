//! Why a handshake failed, for people: the library's own words name its types.

use std::io::{Error, ErrorKind};

use tokio_rustls::rustls::{AlertDescription, Error as TlsError};

/// See the module's header.
pub fn why_no_handshake(error: &Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<TlsError>());
    match (cause, error.kind()) {
        (Some(TlsError::InvalidMessage(_)), _) => "what came is not TLS".to_owned(),
        (
            Some(TlsError::AlertReceived(
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::UnsupportedCertificate,
            )),
            _,
        ) => "the other side does not trust the certificate shown here".to_owned(),
        (Some(TlsError::AlertReceived(_)), _) => "the other side broke it off".to_owned(),
        (Some(TlsError::PeerIncompatible(_)), _) => {
            "no version or cipher of TLS is common to both sides".to_owned()
        }
        (Some(other), _) => other.to_string(),
        (None, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            "the other side closed the connection in the middle of it".to_owned()
        }
        (None, _) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::InvalidMessage;

    use super::*;

    #[test]
    fn it_is_told_without_names_of_types() {
        let of = |cause| why_no_handshake(&Error::new(ErrorKind::InvalidData, cause));
        assert_eq!(of(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)), "what came is not TLS");
        assert!(of(TlsError::AlertReceived(AlertDescription::UnknownCA)).contains("does not trust"));
        assert!(of(TlsError::AlertReceived(AlertDescription::UnrecognisedName)).contains("broke it off"));
        let eof = Error::new(ErrorKind::UnexpectedEof, "tls handshake eof");
        assert!(why_no_handshake(&eof).contains("closed the connection"));
    }
}
