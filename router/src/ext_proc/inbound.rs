//! A request as Envoy brings it: its head, and its body in pieces.
//!
//! Bound: the body limit, under the process-wide budget ([`Pieces`]).

use bytes::Bytes;
use prost::Message;
use warmlane_engine::body::{Api, BodyReader, RequestBody};

use super::{
    messages::{HeaderMap, Kind, Metadata, Value},
    names,
    phase::Violation,
    pieces::Pieces,
};
use crate::{
    budget::Held,
    error::Fault,
    path::{Hints, Incoming, Offered, RequestId, api_of},
    session,
    worker::Worker,
};

/// Where gateways say which endpoints a request may go to.
const SUBSET: &str = "x-gateway-destination-endpoint-subset";

/// What steers a request: the newer name of each header first.
const OBJECTIVE: [&str; 2] = ["x-llm-d-inference-objective", "x-gateway-inference-objective"];
const FAIRNESS: [&str; 2] = ["x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id"];
const REWRITE: [&str; 2] = ["x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite"];
const TTFT: [&str; 2] = ["x-llm-d-slo-ttft-ms", "x-slo-ttft-ms"];
const TPOT: [&str; 2] = ["x-llm-d-slo-tpot-ms", "x-slo-tpot-ms"];

/// Most readers kept for streams to come.
const READERS: usize = 32;

/// See the module's header.
pub(super) struct Inbound {
    pub(super) headers: HeaderMap,
    pub(super) api: Option<Api>,
    /// Its head said that no body follows.
    is_bodyless: bool,
    /// The pool that its gateway asks for.
    pub(super) pool: Option<String>,
    metadata: Option<Bytes>,
    reader: Option<BodyReader>,
    pieces: Pieces,
    held: Held,
}

/// A request that is complete.
pub(super) struct Whole {
    pub(super) incoming: Incoming,
    /// What it asks of an engine, where it does.
    pub(super) asked: Option<RequestBody>,
    pub(super) pieces: Vec<Bytes>,
    pub(super) aims: Aims,
}

/// What its client hopes for, in milliseconds, and whom it is for.
#[derive(Debug, Default)]
pub(super) struct Aims {
    /// To the first token.
    pub(super) ttft: Option<u64>,
    /// Per token after it.
    pub(super) tpot: Option<u64>,
    pub(super) fairness: String,
}

// === Inbound ===

impl Inbound {
    /// A request with this head.
    pub(super) fn new(
        worker: &Worker,
        headers: HeaderMap,
        is_bodyless: bool,
        metadata: Option<Bytes>,
    ) -> Result<Self, Violation> {
        let method = headers.get(":method").ok_or(Violation::NoPseudoHeader(":method"))?;
        let path = headers.get(":path").ok_or(Violation::NoPseudoHeader(":path"))?;
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let api = if method == b"POST" { api_of(path) } else { None };
        let held = worker.world.budget.share();
        let (pool, reader, pieces) = (None, None, Pieces::default());
        Ok(Self { headers, api, is_bodyless, pool, metadata, reader, pieces, held })
    }

    /// The id that it came with.
    pub(super) fn id(&self) -> Option<&[u8]> {
        self.headers.get("x-request-id").filter(|id| !id.is_empty())
    }

    /// Its method, and its path without a query.
    pub(super) fn line(&self) -> (Vec<u8>, Vec<u8>) {
        let header = |name| self.headers.get(name).unwrap_or_default();
        let path = header(":path").split(|byte| *byte == b'?').next().unwrap_or_default();
        (header(":method").to_vec(), path.to_vec())
    }

    /// Takes the next piece of its body; `beside`: what else came in its message.
    pub(super) fn push(&mut self, worker: &Worker, piece: Bytes, beside: usize) -> Result<(), Fault> {
        let limit = worker.config.limits.body;
        if self.pieces.bytes() + piece.len() as u64 > limit {
            return Err(Fault::TooLarge { limit });
        }
        if let Some(api) = self.api {
            // It keeps its first error for the end: until then the client goes on sending.
            let _ = self.reader.get_or_insert_with(|| reader(worker, api)).push(&piece);
        }
        self.pieces.push(piece, beside);
        if self.held.grow_to(self.pieces.taken()) { Ok(()) } else { Err(Fault::OverBudget) }
    }

    /// All of it is here.
    pub(super) fn finish(mut self, worker: &Worker, by_head: bool) -> Result<Whole, Fault> {
        // Without a body there is nothing to wait for, but something to say.
        let asked = match self.api.filter(|_| !by_head || self.is_bodyless) {
            Some(api) => Some(self.read(worker, api)?),
            None => None,
        };
        let hints = self.hints();
        let header = |name: &str| self.headers.get(name);
        let nothing = RequestBody::default();
        let body = asked.as_ref().unwrap_or(&nothing);
        let session = match self.api {
            Some(_) => session::key(&worker.world, &worker.config.headers, header, body),
            None => 0,
        };
        let aims = self.aims();
        let bytes = self.pieces.bytes();
        let incoming = Incoming { lists_models: false, session, hints, bytes, held: self.held };
        Ok(Whole { incoming, asked, pieces: self.pieces.all(), aims })
    }

    fn read(&mut self, worker: &Worker, api: Api) -> Result<RequestBody, Fault> {
        let mut reader = self.reader.take().unwrap_or_else(|| reader(worker, api));
        let mut body = RequestBody::default();
        let read = reader.finish_into(&mut body);
        let mut readers = worker.readers.borrow_mut();
        if readers.len() < READERS {
            readers.push(reader);
        }
        read?;
        Ok(body)
    }

    fn header(&self, names: [&str; 2]) -> Option<&str> {
        let text = |name| std::str::from_utf8(self.headers.get(name)?).ok().map(str::trim);
        names.into_iter().filter_map(text).find(|value| !value.is_empty())
    }

    fn hints(&self) -> Hints {
        Hints {
            pool: self.pool.clone(),
            objective: self.header(OBJECTIVE).map(str::to_owned),
            model: self.header(REWRITE).map(str::to_owned),
            offered: self.metadata.as_ref().and_then(offered),
        }
    }

    fn aims(&self) -> Aims {
        let millis = |names| self.header(names).and_then(|text| text.parse().ok());
        let fairness = self.header(FAIRNESS).unwrap_or_default().to_owned();
        Aims { ttft: millis(TTFT), tpot: millis(TPOT), fairness }
    }
}

fn reader(worker: &Worker, api: Api) -> BodyReader {
    if let Some(mut reader) = worker.readers.borrow_mut().pop() {
        reader.reset(api);
        return reader;
    }
    worker.chooser.body_reader(api)
}

/// Where a request may go, if its metadata says so: a list of texts, or one. Anything else, and metadata that cannot be read,
/// offers nobody: a hint that is not understood must not open the pool.
fn offered(metadata: &Bytes) -> Option<Offered> {
    let Ok(metadata) = Metadata::decode(metadata.clone()) else { return Some(Offered::default()) };
    let hint = metadata.get(names::SUBSET, SUBSET)?;
    let text = |value: &Value| match &value.kind {
        Some(Kind::Text(text)) => Some(text.clone()),
        Some(Kind::Number(_) | Kind::List(_) | Kind::Struct(_)) | None => None,
    };
    let texts: Vec<String> = match &hint.kind {
        Some(Kind::List(list)) => list.values.iter().filter_map(text).collect(),
        _ => text(hint).into_iter().collect(),
    };
    Some(Offered::of(texts.iter().map(String::as_str)))
}

/// Gives a request its id: its own, or one that is made.
pub(super) fn identify(worker: &Worker, inbound: &Inbound) -> RequestId {
    let mut id = RequestId::made(worker.chooser.rng.borrow_mut().u128(..));
    if let Some(own) = inbound.id() {
        id.give(own);
    }
    id
}
