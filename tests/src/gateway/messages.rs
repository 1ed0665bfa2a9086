//! What Envoy sends, as it writes it: header values as bytes, the text field empty; metadata on every message, the
//! protocol's settings on the first.

use std::collections::HashMap;

use envoy_types::pb::{
    envoy::{
        config::core::v3::{HeaderMap, HeaderValue, Metadata},
        extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode,
        service::ext_proc::v3::{
            HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProtocolConfiguration,
            processing_request::Request,
        },
    },
    google::protobuf::{ListValue, Struct, Value, value::Kind},
};

/// A value in the metadata.
#[derive(Clone, Debug)]
pub enum Noted {
    /// One string.
    Text(String),
    /// A list of strings.
    List(Vec<String>),
}

/// What is added to a message.
pub trait With {
    /// How bodies are sent, as the first message says it.
    #[must_use]
    fn with_modes(self, request: BodySendMode, response: BodySendMode) -> Self;

    /// An entry of the metadata that the gateway passes on.
    #[must_use]
    fn with_metadata(self, namespace: &str, key: &str, value: impl Into<Noted>) -> Self;

    /// An attribute that the filter is configured to send.
    #[must_use]
    fn with_attribute(self, name: &str, kind: Kind) -> Self;
}

/// The headers of a POST with JSON.
pub fn post(path: &str) -> [(&str, &str); 5] {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "gateway"),
        (":path", path),
        ("content-type", "application/json"),
    ]
}

/// The headers of a GET.
pub fn get(path: &str) -> [(&str, &str); 4] {
    [(":method", "GET"), (":scheme", "http"), (":authority", "gateway"), (":path", path)]
}

/// A request begins.
pub fn request_headers(headers: &[(&str, &str)], eos: bool) -> ProcessingRequest {
    message(Request::RequestHeaders(head(headers, eos)))
}

/// A part of its body.
pub fn request_body(bytes: &[u8], eos: bool) -> ProcessingRequest {
    message(Request::RequestBody(part(bytes, eos)))
}

/// It ends with trailers.
pub fn request_trailers() -> ProcessingRequest {
    message(Request::RequestTrailers(trailers()))
}

/// Its answer begins.
pub fn response_headers(headers: &[(&str, &str)], eos: bool) -> ProcessingRequest {
    message(Request::ResponseHeaders(head(headers, eos)))
}

/// A part of the answer's body.
pub fn response_body(bytes: &[u8], eos: bool) -> ProcessingRequest {
    message(Request::ResponseBody(part(bytes, eos)))
}

/// The answer ends with trailers.
pub fn response_trailers() -> ProcessingRequest {
    message(Request::ResponseTrailers(trailers()))
}

fn message(request: Request) -> ProcessingRequest {
    ProcessingRequest { request: Some(request), ..ProcessingRequest::default() }
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let value = |(name, value): &(&str, &str)| HeaderValue {
        key: (*name).to_owned(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec(),
    };
    HeaderMap { headers: headers.iter().map(value).collect() }
}

fn head(headers: &[(&str, &str)], end_of_stream: bool) -> HttpHeaders {
    HttpHeaders { headers: Some(map(headers)), end_of_stream, ..HttpHeaders::default() }
}

fn part(bytes: &[u8], end_of_stream: bool) -> HttpBody {
    HttpBody { body: bytes.to_vec(), end_of_stream, ..HttpBody::default() }
}

fn trailers() -> HttpTrailers {
    HttpTrailers { trailers: Some(map(&[("x-trailer", "1")])) }
}

// === Noted ===

impl From<&str> for Noted {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&[&str]> for Noted {
    fn from(list: &[&str]) -> Self {
        Self::List(list.iter().map(|&text| text.to_owned()).collect())
    }
}

impl<const N: usize> From<[&str; N]> for Noted {
    fn from(list: [&str; N]) -> Self {
        Self::from(&list[..])
    }
}

impl From<Noted> for Value {
    fn from(noted: Noted) -> Self {
        let text = |text| Self { kind: Some(Kind::StringValue(text)) };
        match noted {
            Noted::Text(one) => text(one),
            Noted::List(list) => {
                let values = list.into_iter().map(text).collect();
                Self { kind: Some(Kind::ListValue(ListValue { values })) }
            }
        }
    }
}

// === With ===

impl With for ProcessingRequest {
    fn with_modes(mut self, request: BodySendMode, response: BodySendMode) -> Self {
        self.protocol_config = Some(ProtocolConfiguration {
            request_body_mode: request.into(),
            response_body_mode: response.into(),
            send_body_without_waiting_for_header_response: false,
        });
        self
    }

    fn with_metadata(mut self, namespace: &str, key: &str, value: impl Into<Noted>) -> Self {
        let context = self.metadata_context.get_or_insert_with(Metadata::default);
        let entries = context.filter_metadata.entry(namespace.to_owned());
        let entries = entries.or_insert_with(|| Struct { fields: HashMap::new() });
        entries.fields.insert(key.to_owned(), Value::from(value.into()));
        self
    }

    fn with_attribute(mut self, name: &str, kind: Kind) -> Self {
        let entries = self.attributes.entry("envoy.filters.http.ext_proc".to_owned());
        let entries = entries.or_insert_with(|| Struct { fields: HashMap::new() });
        entries.fields.insert(name.to_owned(), Value { kind: Some(kind) });
        self
    }
}
