//! A request that the gateway plays as a whole.

use envoy_types::pb::envoy::{
    extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode,
    service::ext_proc::v3::ProcessingRequest,
};

use super::{
    FULL_DUPLEX, Said,
    messages::{self, Noted, With as _},
};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Headers, pseudo-headers among them.
    pub headers: Vec<(String, String)>,
    /// The body as it comes from the client; empty: there is none.
    pub chunks: Vec<Vec<u8>>,
    /// Whether the last chunk says that it is. Clients of HTTP/2 do; after one of HTTP/1.1 Envoy sends an empty one.
    pub ends_with_data: bool,
    /// Trailers end it, and no chunk.
    pub trailers: bool,
    /// Namespace, key and value of what the gateway passes on.
    pub metadata: Vec<(String, String, Noted)>,
    /// How the gateway sends bodies.
    pub modes: (BodySendMode, BodySendMode),
}

impl Asked {
    /// A POST from a client of HTTP/1.1, its body in one chunk.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { chunks: vec![body.into()], ..Self::new(&messages::post(path)) }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new(&messages::get(path))
    }

    fn new(headers: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            headers: headers.iter().map(owned).collect(),
            chunks: Vec::new(),
            ends_with_data: false,
            trailers: false,
            metadata: Vec::new(),
            modes: FULL_DUPLEX,
        }
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body in chunks of so many bytes.
    #[must_use]
    pub fn in_chunks(mut self, length: usize) -> Self {
        self.chunks = self.chunks.concat().chunks(length).map(<[u8]>::to_vec).collect();
        self
    }

    /// The endpoints that may be chosen, as Envoy's subset hint says it.
    #[must_use]
    pub fn among(mut self, endpoints: impl Into<Noted>) -> Self {
        let (namespace, key) = ("envoy.lb.subset_hint", "x-gateway-destination-endpoint-subset");
        self.metadata.push((namespace.to_owned(), key.to_owned(), endpoints.into()));
        self
    }

    /// All that the gateway sends.
    pub fn messages(&self) -> Vec<ProcessingRequest> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let eos = self.chunks.is_empty() && !self.trailers;
        let first = messages::request_headers(&headers, eos).with_modes(self.modes.0, self.modes.1);
        let mut all = vec![first];
        if self.sends_body() {
            let last = self.chunks.len();
            let ends = |number: usize| self.ends_with_data && !self.trailers && number + 1 == last;
            let chunks = self.chunks.iter().enumerate();
            all.extend(chunks.map(|(number, chunk)| messages::request_body(chunk, ends(number))));
            if !self.ends_with_data && !self.trailers && !self.chunks.is_empty() {
                all.push(messages::request_body(b"", true));
            }
            all.extend(self.trailers.then(messages::request_trailers));
        }
        let note = |message: ProcessingRequest| {
            self.metadata.iter().fold(message, |message, (namespace, key, value)| {
                message.with_metadata(namespace, key, value.clone())
            })
        };
        all.into_iter().map(note).collect()
    }

    pub(super) fn is_answered_by(&self, said: &Said) -> bool {
        let has_body = self.sends_body() && !self.chunks.is_empty();
        match self.trailers && self.sends_body() {
            true => said.trailers_answered,
            false => said.headers_answered && (said.body_eos || !has_body),
        }
    }

    fn sends_body(&self) -> bool {
        self.modes.0 == BodySendMode::FullDuplexStreamed
    }
}
