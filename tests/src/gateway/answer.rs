//! What a picker answered to a whole request or a whole response, held to what Envoy accepts: answers in the order
//! headers, body, trailers, and bodies as `streamed_response`. Anything else Envoy calls a spurious message and answers
//! its client with 500; here it fails the test.

use std::ops::Deref;

use envoy_types::pb::{
    envoy::{
        config::core::v3::HeaderValueOption,
        service::ext_proc::v3::{
            BodyResponse, HeaderMutation, HeadersResponse, ImmediateResponse, ProcessingResponse,
            StreamedBodyResponse, body_mutation::Mutation, processing_response::Response,
        },
    },
    google::protobuf::{Struct, value::Kind},
};
use tonic::Status;

use super::Exchange;

/// The header, and the key in the metadata, that say where a request goes.
pub const DESTINATION: &str = "x-gateway-destination-endpoint";
/// The metadata's namespace.
pub const NAMESPACE: &str = "envoy.lb";

/// What came to a request.
pub struct Answer {
    /// The header that Envoy routes by.
    pub destination: Option<String>,
    /// The same in the metadata.
    pub metadata_destination: Option<String>,
    /// How headers, body and trailers were answered.
    pub said: Said,
    /// Still open unless [`Said::status`] says otherwise.
    pub exchange: Exchange,
}

/// One direction's answers.
#[derive(Debug, Default)]
pub struct Said {
    /// Headers were answered.
    pub headers_answered: bool,
    /// What the headers' answer sets.
    pub set_headers: Vec<(String, String)>,
    /// What it removes.
    pub remove_headers: Vec<String>,
    /// Whether it asks to route anew.
    pub clear_route_cache: bool,
    /// The headers' answer's metadata.
    pub metadata: Option<Struct>,
    /// The body as it was streamed back, joined.
    pub body: Vec<u8>,
    /// Bytes of each of its messages.
    pub chunk_lengths: Vec<usize>,
    /// The last one said that it was the last.
    pub body_eos: bool,
    /// Trailers were answered.
    pub trailers_answered: bool,
    /// The client is to be answered with this at once.
    pub immediate: Option<Immediate>,
    /// The stream ended: well (code OK) or not.
    pub status: Option<Status>,
}

/// An answer that the picker gives by itself.
#[derive(Debug)]
pub struct Immediate {
    /// HTTP status.
    pub status: u16,
    /// Headers that it sets.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

// === Answer ===

impl Answer {
    pub(super) fn new(said: Said, exchange: Exchange) -> Self {
        let destination = said.header(DESTINATION).map(str::to_owned);
        let metadata_destination = said.noted(NAMESPACE, DESTINATION).map(str::to_owned);
        Self { destination, metadata_destination, said, exchange }
    }
}

impl Deref for Answer {
    type Target = Said;

    fn deref(&self) -> &Said {
        &self.said
    }
}

// === Said ===

impl Said {
    /// What a header is set to; the last one where it is set several times.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.set_headers.iter().rev().find(|(set, _)| set == name).map(|(_, value)| value.as_str())
    }

    /// A string in the metadata of the headers' answer.
    pub fn noted(&self, namespace: &str, key: &str) -> Option<&str> {
        let Kind::StructValue(entries) = self.metadata.as_ref()?.fields.get(namespace)?.kind.as_ref()? else {
            return None;
        };
        match entries.fields.get(key)?.kind.as_ref()? {
            Kind::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing can follow.
    pub(crate) fn is_over(&self) -> bool {
        self.immediate.is_some() || self.status.is_some()
    }

    /// Takes one of the answers to a request.
    pub(crate) fn take_request(&mut self, answer: ProcessingResponse) {
        match answer.response.expect("an answer has a kind") {
            Response::RequestHeaders(headers) => self.headers(headers, answer.dynamic_metadata),
            Response::RequestBody(body) => self.body(body),
            Response::RequestTrailers(_) => self.trailers(),
            Response::ImmediateResponse(immediate) => self.immediate = Some(Immediate::from(immediate)),
            other => panic!("spurious in answer to a request: {other:?}"),
        }
    }

    /// Takes one of the answers to a response.
    pub(super) fn take_response(&mut self, answer: ProcessingResponse) {
        match answer.response.expect("an answer has a kind") {
            Response::ResponseHeaders(headers) => self.headers(headers, answer.dynamic_metadata),
            Response::ResponseBody(body) => self.body(body),
            Response::ResponseTrailers(_) => self.trailers(),
            Response::ImmediateResponse(immediate) => self.immediate = Some(Immediate::from(immediate)),
            other => panic!("spurious in answer to a response: {other:?}"),
        }
    }

    fn headers(&mut self, answer: HeadersResponse, metadata: Option<Struct>) {
        assert!(!self.headers_answered, "spurious: headers are answered twice");
        self.headers_answered = true;
        let Some(common) = answer.response else { return };
        self.clear_route_cache = common.clear_route_cache;
        self.metadata = metadata;
        let HeaderMutation { set_headers, remove_headers } = common.header_mutation.unwrap_or_default();
        self.set_headers = set_headers.into_iter().map(pair).collect();
        self.remove_headers = remove_headers;
    }

    fn body(&mut self, answer: BodyResponse) {
        assert!(self.headers_answered, "spurious: the body is answered before the headers");
        assert!(!self.body_eos && !self.trailers_answered, "spurious: the body is answered after its end");
        let mutation = answer.response.and_then(|common| common.body_mutation).and_then(|body| body.mutation);
        let Some(Mutation::StreamedResponse(StreamedBodyResponse { body, end_of_stream, .. })) = mutation
        else {
            panic!("spurious: a body's answer that is no streamed_response: {mutation:?}");
        };
        self.chunk_lengths.push(body.len());
        self.body.extend_from_slice(&body);
        self.body_eos = end_of_stream;
    }

    fn trailers(&mut self) {
        assert!(self.headers_answered, "spurious: trailers are answered before the headers");
        assert!(!self.body_eos && !self.trailers_answered, "spurious: trailers are answered after the end");
        self.trailers_answered = true;
    }
}

// === Immediate ===

impl From<ImmediateResponse> for Immediate {
    fn from(immediate: ImmediateResponse) -> Self {
        let headers = immediate.headers.unwrap_or_default().set_headers;
        Self {
            status: immediate.status.map_or(200, |status| status.code as u16),
            headers: headers.into_iter().map(pair).collect(),
            body: immediate.body,
        }
    }
}

fn pair(option: HeaderValueOption) -> (String, String) {
    let header = option.header.unwrap_or_default();
    let value = if header.raw_value.is_empty() { header.value.into_bytes() } else { header.raw_value };
    (header.key, String::from_utf8_lossy(&value).into_owned())
}
