//! The messages of Envoy's external processing protocol (`envoy.service.ext_proc.v3`), as far as a picker reads and writes
//! them; other fields are skipped.
//!
//! Written down here and not taken from a crate, for what the bytes become: whatever is passed on or looked at once (bodies,
//! header names and values) is a slice of the buffer that the message came in, and metadata stays undecoded until
//! somebody asks. A test compares every field with the published definitions.

use std::collections::HashMap;

use bytes::Bytes;
use prost::{Enumeration, Message, Oneof};

/// Envoy to picker.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ProcessingRequest {
    #[prost(oneof = "Part", tags = "2, 3, 4, 5, 6, 7")]
    pub(super) request: Option<Part>,
    /// A [`Metadata`].
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub(super) metadata_context: Option<Bytes>,
    /// [`AttributesEntry`]s: what the filter is configured to tell of an exchange.
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub(super) attributes: Vec<Bytes>,
    /// On the first message of a stream.
    #[prost(message, optional, tag = "11")]
    pub(super) protocol_config: Option<ProtocolConfiguration>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Part {
    #[prost(message, tag = "2")]
    RequestHeaders(HttpHeaders),
    #[prost(message, tag = "3")]
    ResponseHeaders(HttpHeaders),
    #[prost(message, tag = "4")]
    RequestBody(HttpBody),
    #[prost(message, tag = "5")]
    ResponseBody(HttpBody),
    #[prost(message, tag = "6")]
    RequestTrailers(HttpTrailers),
    #[prost(message, tag = "7")]
    ResponseTrailers(HttpTrailers),
}

/// How the filter is configured, as far as it tells.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct ProtocolConfiguration {
    #[prost(enumeration = "BodyMode", tag = "1")]
    pub(super) request_body_mode: i32,
    #[prost(enumeration = "BodyMode", tag = "2")]
    pub(super) response_body_mode: i32,
}

/// How the bodies of one direction come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum BodyMode {
    /// They do not.
    None = 0,
    /// Piece by piece, each waiting for its answer.
    Streamed = 1,
    /// Whole.
    Buffered = 2,
    /// The beginning, or whole if it is short.
    BufferedPartial = 3,
    /// Piece by piece, and answers come when the picker sees fit.
    FullDuplexStreamed = 4,
    /// As gRPC messages.
    Grpc = 5,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HttpHeaders {
    #[prost(message, optional, tag = "1")]
    pub(super) headers: Option<HeaderMap>,
    #[prost(bool, tag = "3")]
    pub(super) end_of_stream: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HttpBody {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) body: Bytes,
    #[prost(bool, tag = "2")]
    pub(super) end_of_stream: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct HttpTrailers {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderMap {
    #[prost(message, repeated, tag = "1")]
    pub(super) headers: Vec<HeaderValue>,
}

/// Text in the definitions, bytes here: they look the same on the wire.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    /// Of old versions of Envoy.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) raw_value: Bytes,
}

/// Attributes, by the filter that they were made for: one entry of a map.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributesEntry {
    #[prost(message, optional, tag = "2")]
    pub(super) attributes: Option<Struct>,
}

/// Metadata of a request, by namespace.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(map = "string, message", tag = "1")]
    pub(super) filter_metadata: HashMap<String, Struct>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Struct {
    #[prost(map = "string, message", tag = "1")]
    pub(super) fields: HashMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    /// `None` also of kinds that nobody here reads.
    #[prost(oneof = "Kind", tags = "2, 3, 5, 6")]
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Kind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(message, tag = "5")]
    Struct(Struct),
    #[prost(message, tag = "6")]
    List(ListValue),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListValue {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<Value>,
}

/// Picker to Envoy.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ProcessingResponse {
    #[prost(oneof = "Reply", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) response: Option<Reply>,
    #[prost(message, optional, tag = "8")]
    pub(super) dynamic_metadata: Option<Struct>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Reply {
    #[prost(message, tag = "1")]
    RequestHeaders(Answer),
    #[prost(message, tag = "2")]
    ResponseHeaders(Answer),
    #[prost(message, tag = "3")]
    RequestBody(Answer),
    #[prost(message, tag = "4")]
    ResponseBody(Answer),
    #[prost(message, tag = "5")]
    RequestTrailers(TrailersAnswer),
    #[prost(message, tag = "6")]
    ResponseTrailers(TrailersAnswer),
    #[prost(message, tag = "7")]
    Immediate(ImmediateResponse),
}

/// The answer to headers or to a body: one shape under two names in the definitions.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Answer {
    #[prost(message, optional, tag = "1")]
    pub(super) response: Option<CommonResponse>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct TrailersAnswer {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommonResponse {
    #[prost(message, optional, tag = "2")]
    pub(super) header_mutation: Option<HeaderMutation>,
    #[prost(message, optional, tag = "3")]
    pub(super) body_mutation: Option<BodyMutation>,
    #[prost(bool, tag = "5")]
    pub(super) clear_route_cache: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderMutation {
    #[prost(message, repeated, tag = "1")]
    pub(super) set_headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "2")]
    pub(super) remove_headers: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<HeaderValue>,
    #[prost(enumeration = "AppendAction", tag = "3")]
    pub(super) append_action: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum AppendAction {
    AppendIfExistsOrAdd = 0,
    OverwriteIfExistsOrAdd = 2,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BodyMutation {
    #[prost(oneof = "Mutation", tags = "1, 3")]
    pub(super) mutation: Option<Mutation>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Mutation {
    /// Another body.
    #[prost(bytes = "bytes", tag = "1")]
    Body(Bytes),
    /// A piece of the body, where both directions stream.
    #[prost(message, tag = "3")]
    Streamed(HttpBody),
}

/// The client gets this instead.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ImmediateResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<HttpStatus>,
    #[prost(message, optional, tag = "2")]
    pub(super) headers: Option<HeaderMutation>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) body: Bytes,
    /// For Envoy's access log.
    #[prost(string, tag = "5")]
    pub(super) details: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct HttpStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

// === HeaderMap ===

impl HeaderMap {
    /// The first value of a header, by its name in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|header| header.key.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(found.text())
    }

    /// Names and values of all of them in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|header| (&*header.key, header.text()))
    }
}

// === HeaderValue ===

impl HeaderValue {
    fn text(&self) -> &[u8] {
        if self.raw_value.is_empty() { &self.value } else { &self.raw_value }
    }
}

// === Metadata ===

impl Metadata {
    /// One value; `None` where the namespace or the key is not there.
    pub(super) fn get(&self, namespace: &str, key: &str) -> Option<&Value> {
        self.filter_metadata.get(namespace)?.fields.get(key)
    }
}

#[cfg(test)]
mod tests;
