//! Why a message was refused, for the operator, the metric label and the status line.

use thiserror::Error;

/// Why bytes were not accepted as HTTP/1.1. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum FramingError {
    /// The first bytes are no method.
    #[error(
        "the request does not start with a method (is the client speaking TLS or HTTP/2 to a plain port?)"
    )]
    BadMethod,
    /// `CONNECT` asks for a tunnel.
    #[error("CONNECT asks for a tunnel, and this is not a forward proxy")]
    ConnectRefused,
    /// The request target is empty, of an unknown form, or has forbidden bytes.
    #[error("the request target has an unknown form or bytes that must be percent-encoded")]
    BadTarget,
    /// The request line is longer than allowed.
    #[error("the request line is longer than the configured limit")]
    TargetTooLong,
    /// The start line does not name a version where one belongs.
    #[error(
        "the start line has no well-formed HTTP version (stray space in the target, or not HTTP at all?)"
    )]
    BadVersion,
    /// A well-formed version that is neither 1.0 nor 1.1.
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    UnsupportedVersion,
    /// The status line of a response is malformed.
    #[error("the status line is malformed (is the endpoint an HTTP/1.1 server?)")]
    BadStatusLine,
    /// The head is longer than allowed.
    #[error("the head is longer than the configured limit")]
    HeadTooLong,
    /// More header lines than allowed.
    #[error("more header lines than the configured limit")]
    TooManyHeaders,
    /// A CR that no LF follows.
    #[error("a carriage return without line feed inside the head")]
    BareCr,
    /// An LF that no CR precedes.
    #[error("a line feed without carriage return inside the head")]
    BareLf,
    /// A zero byte.
    #[error("a zero byte inside the head")]
    Nul,
    /// A header line that starts with a space or tab.
    #[error("a header line starts with white space (obsolete line folding)")]
    ObsFold,
    /// White space between a header's name and its colon.
    #[error("white space between a header name and its colon")]
    SpaceBeforeColon,
    /// A header name is empty or has bytes that no name may have.
    #[error("a header name is empty or has forbidden bytes")]
    BadHeaderName,
    /// A header value has control characters.
    #[error("a header value has control characters")]
    BadHeaderValue,
    /// An HTTP/1.1 request names no host.
    #[error("an HTTP/1.1 request without Host")]
    MissingHost,
    /// More than one `Host` line.
    #[error("more than one Host line")]
    RepeatedHost,
    /// `Host` is no host and port.
    #[error("Host is not a host name with an optional port")]
    BadHost,
    /// The target's authority and `Host` differ.
    #[error("the request target names another host than Host")]
    HostMismatch,
    /// `Content-Length` is not a plain decimal number.
    #[error("Content-Length is not a plain decimal number")]
    BadContentLength,
    /// More than one `Content-Length` line.
    #[error("more than one Content-Length line")]
    RepeatedContentLength,
    /// `Content-Length` has more than 18 digits.
    #[error("Content-Length has more digits than any body")]
    HugeContentLength,
    /// The announced body is larger than allowed.
    #[error("the body is larger than the configured limit")]
    BodyTooLarge,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("both Content-Length and Transfer-Encoding (request smuggling, or a broken proxy in front?)")]
    LengthAndCoding,
    /// More than one `Transfer-Encoding` line.
    #[error("more than one Transfer-Encoding line")]
    RepeatedTransferEncoding,
    /// `Transfer-Encoding` does not end in a single `chunked`.
    #[error("Transfer-Encoding is not exactly \"chunked\"")]
    BadTransferEncoding,
    /// A further transfer coding is applied below `chunked`.
    #[error("a transfer coding other than chunked is not implemented")]
    UnsupportedTransferCoding,
    /// `Transfer-Encoding` in an HTTP/1.0 message.
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    CodingOnHttp10,
    /// `Connection` lists too many options.
    #[error("Connection lists more options than any client needs")]
    TooManyConnectionOptions,
    /// A 1xx or 204 response announces a body.
    #[error("a response that cannot have a body announces one")]
    BodyOnBodiless,
    /// A 101 that nobody asked for.
    #[error("the endpoint switched protocols without being asked to")]
    UnaskedUpgrade,
    /// A chunk size is empty, signed, or not followed by CRLF or an extension.
    #[error("a chunk size is not a plain hexadecimal number ended by CRLF")]
    BadChunkSize,
    /// A chunk size has more than 16 digits.
    #[error("a chunk size has more than 16 digits")]
    HugeChunkSize,
    /// No CRLF after a chunk's data.
    #[error("no CRLF after a chunk's data: its size was wrong")]
    BadChunkEnd,
    /// A chunk extension has forbidden bytes.
    #[error("a chunk extension has control characters")]
    BadChunkExtension,
    /// A chunk extension is longer than allowed.
    #[error("a chunk extension is too long")]
    ChunkExtensionTooLong,
    /// A trailer line is malformed.
    #[error("a trailer line is malformed")]
    BadTrailer,
    /// The trailers are longer than allowed.
    #[error("the trailers are too long")]
    TrailersTooLong,
    /// The peer closed before the end of a head or body.
    #[error("the peer closed before the message was complete")]
    Truncated,
}

impl FramingError {
    /// Status for the client when its own request was refused. A refused response is a 502 instead.
    pub fn status(self) -> u16 {
        self.describe().0
    }

    /// Stable word for metrics and the access log.
    pub fn label(self) -> &'static str {
        self.describe().1
    }

    fn describe(self) -> (u16, &'static str) {
        match self {
            Self::BadMethod => (400, "bad_method"),
            Self::ConnectRefused => (501, "connect_refused"),
            Self::BadTarget => (400, "bad_target"),
            Self::TargetTooLong => (414, "target_too_long"),
            Self::BadVersion => (400, "bad_version"),
            Self::UnsupportedVersion => (505, "unsupported_version"),
            Self::BadStatusLine => (400, "bad_status_line"),
            Self::HeadTooLong => (431, "head_too_long"),
            Self::TooManyHeaders => (431, "too_many_headers"),
            Self::BareCr => (400, "bare_cr"),
            Self::BareLf => (400, "bare_lf"),
            Self::Nul => (400, "nul"),
            Self::ObsFold => (400, "obs_fold"),
            Self::SpaceBeforeColon => (400, "space_before_colon"),
            Self::BadHeaderName => (400, "bad_header_name"),
            Self::BadHeaderValue => (400, "bad_header_value"),
            Self::MissingHost => (400, "missing_host"),
            Self::RepeatedHost => (400, "repeated_host"),
            Self::BadHost => (400, "bad_host"),
            Self::HostMismatch => (400, "host_mismatch"),
            Self::BadContentLength => (400, "bad_content_length"),
            Self::RepeatedContentLength => (400, "repeated_content_length"),
            Self::HugeContentLength => (400, "huge_content_length"),
            Self::BodyTooLarge => (413, "body_too_large"),
            Self::LengthAndCoding => (400, "length_and_coding"),
            Self::RepeatedTransferEncoding => (400, "repeated_transfer_encoding"),
            Self::BadTransferEncoding => (400, "bad_transfer_encoding"),
            Self::UnsupportedTransferCoding => (501, "unsupported_transfer_coding"),
            Self::CodingOnHttp10 => (400, "coding_on_http10"),
            Self::TooManyConnectionOptions => (431, "too_many_connection_options"),
            Self::BodyOnBodiless => (400, "body_on_bodiless"),
            Self::UnaskedUpgrade => (400, "unasked_upgrade"),
            Self::BadChunkSize => (400, "bad_chunk_size"),
            Self::HugeChunkSize => (400, "huge_chunk_size"),
            Self::BadChunkEnd => (400, "bad_chunk_end"),
            Self::BadChunkExtension => (400, "bad_chunk_extension"),
            Self::ChunkExtensionTooLong => (400, "chunk_extension_too_long"),
            Self::BadTrailer => (400, "bad_trailer"),
            Self::TrailersTooLong => (431, "trailers_too_long"),
            Self::Truncated => (400, "truncated"),
        }
    }
}
