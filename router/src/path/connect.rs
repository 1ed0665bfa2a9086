//! Connect: a connection to the endpoint, the request sent in as few writes as possible, and the head of its
//! answer. A failure before the first answer byte goes to the next fallback.
//!
//! A kept connection that turns out to be dead says nothing about its endpoint: the request is then sent to
//! the same endpoint once more, on a new connection.

use std::{
    cell::Cell,
    io::{self, IoSlice},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use warmlane_picker::NoEndpoint;

use super::{
    Trace,
    pick::{self, Destination, Plan},
    relay::Unsent,
};
use crate::{
    error::{Fault, UpstreamFault},
    front::{Client, client_gone},
    http1::{
        Body, Framing, FramingError, HeadLimits, LengthLine, RequestEdits, RequestFacts, ResponseHead,
        write_request,
    },
    ledger::{InFlight, Load},
    metrics::Listener,
    upstream,
    worker::Worker,
    world::writer::{Failure, Update},
};

/// Bytes read at once while the answer's head comes in.
const READ: usize = 16 * 1024;

/// An endpoint that has begun to answer.
pub(super) struct Answered {
    /// Which one.
    pub destination: Destination,
    /// The connection to it.
    pub stream: TcpStream,
    /// Its share of the endpoint's account.
    pub in_flight: InFlight,
    /// What it has not taken of the request yet.
    pub unsent: Unsent,
    /// When the request must be over.
    pub deadline: Instant,
    /// How the endpoint was chosen.
    pub plan: Plan,
    /// Endpoints tried.
    pub tried: usize,
}

/// The request as it goes out: head and pieces of body.
struct Outgoing<'r> {
    pieces: [&'r [u8]; 4],
    /// Bytes that one connection has taken.
    taken: Cell<usize>,
}

/// Finds an endpoint that answers.
pub(super) async fn connect(
    worker: &Worker,
    client: &mut Client,
    mut plan: Plan,
    trace: &Trace,
) -> Result<Answered, Fault> {
    let limit = worker.config.timeouts.request;
    let deadline = Instant::now() + limit;
    let name = rewritten(worker, client, &plan, trace);
    let mut last = None;
    for tried in 0..plan.order.len() {
        let destination = plan.order[tried].clone();
        if tried > 0 {
            pick::moved(worker, client, &plan, &destination);
        }
        let in_flight = worker.world.ledger.open(destination.slot, share(&plan.load, &destination));
        match attempt(worker, client, &destination, name.as_deref(), deadline).await {
            Ok((stream, unsent)) => {
                client.drop_body();
                if unsent.is_sent() {
                    plan.incoming.held.release();
                }
                let tried = tried + 1;
                return Ok(Answered { destination, stream, in_flight, unsent, deadline, plan, tried });
            }
            Err(Attempt::Failed(UpstreamFault::Malformed(error))) => {
                return Err(Fault::Malformed { endpoint: destination.address, error });
            }
            Err(Attempt::ClientGone) => return Err(Fault::ClientGone),
            Err(Attempt::Timeout) => return Err(Fault::Timeout(limit)),
            Err(Attempt::Failed(cause)) => {
                note_unreachable(worker, &destination, &cause);
                let retry = cause.retry();
                last = Some((tried + 1, destination.address, cause));
                match retry {
                    Some(reason) if tried + 1 < plan.order.len() => worker.metrics.retry(reason),
                    _ => break,
                }
            }
        }
        client.answer.clear();
    }
    match last {
        Some((tried, endpoint, cause)) => Err(Fault::Upstream { endpoint, tried, cause }),
        None => Err(Fault::NoEndpoint { cause: NoEndpoint::EmptyPool, example: String::new() }),
    }
}

/// Why one attempt ended without an answer.
enum Attempt {
    Failed(UpstreamFault),
    ClientGone,
    Timeout,
}

/// What the request costs this endpoint, which may hold a part of its prompt.
fn share(load: &Load, destination: &Destination) -> Load {
    Load { prefill_tokens: load.prefill_tokens.saturating_sub(destination.matched_tokens), ..*load }
}

/// Tells the writer about an endpoint that cannot be connected to, before the next reading of it fails.
fn note_unreachable(worker: &Worker, destination: &Destination, cause: &UpstreamFault) {
    tracing::debug!(endpoint = %destination.address, %cause, "attempt failed");
    let why = match cause {
        UpstreamFault::Connect(error) => Failure::from(error),
        UpstreamFault::ConnectTimeout => Failure::TimedOut,
        UpstreamFault::Broken(_) | UpstreamFault::Closed | UpstreamFault::Malformed(_) => return,
    };
    if why == Failure::Broken {
        // Out of descriptors or ports: the router's own trouble, not the endpoint's.
        return;
    }
    // A full channel means that the writer hears of it from others.
    let _ = worker.updates.try_send(Update::Unreachable { slot: destination.slot, why });
}

/// Writes the head for endpoints into `client.out`; returns the model's new name as JSON, if it gets one.
fn rewritten(worker: &Worker, client: &mut Client, plan: &Plan, trace: &Trace) -> Option<Vec<u8>> {
    let name = plan.rewrite.as_ref().filter(|name| **name != client.body.model);
    let name = name.map(|name| serde_json::Value::String(name.clone()).to_string().into_bytes());
    if name.is_some() && client.head.framing() == Framing::Chunked {
        unchunk(client);
    }
    let body = (client.request.len() - client.head.head_len()) as u64;
    let span = &client.body.model_span;
    let length = match &name {
        Some(name) => LengthLine::Set(body - (span.end - span.start) + name.len() as u64),
        None => LengthLine::Keep,
    };
    let has_id = client.head.header(&client.request, "x-request-id").is_some_and(|id| !id.is_empty());
    let add = [("x-request-id", trace.request_id.as_slice())];
    let host = match trace.listener {
        Listener::Plain => worker.config.listen.plain,
        Listener::Aware => worker.config.listen.aware,
    };
    let host = host.to_string();
    let edits = RequestEdits {
        host: host.as_bytes(),
        remove: if has_id { &[] } else { &["x-request-id"] },
        add: if has_id { &[] } else { &add },
        length,
        ..RequestEdits::default()
    };
    client.out.clear();
    write_request(&mut client.out, &client.request, &client.head, &edits);
    name
}

/// Takes the chunks' framing out of a body that will be changed. It was read once already, so it is sound.
fn unchunk(client: &mut Client) {
    let head_len = client.head.head_len();
    let mut plain = client.request[..head_len].to_vec();
    let (mut body, mut at) = (Body::new(Framing::Chunked), head_len);
    while let Ok(step) = body.advance(&client.request[at..]) {
        plain.extend_from_slice(step.payload);
        at += step.consumed;
        if step.done || step.consumed == 0 {
            break;
        }
    }
    client.request = plain;
}

/// Sends the request to one endpoint and reads the head of its answer.
async fn attempt(
    worker: &Worker,
    client: &mut Client,
    destination: &Destination,
    name: Option<&[u8]>,
    deadline: Instant,
) -> Result<(TcpStream, Unsent), Attempt> {
    let Client { stream: client_stream, request, ahead, head, body, answer, answer_head, out, .. } = client;
    let outgoing = Outgoing::new(out, &request[head.head_len()..], &body.model_span, name);
    let facts = RequestFacts::of(head);
    let (mut from_client, _) = client_stream.split();
    let exchange = async {
        let kept = worker.pool.borrow_mut().take(destination.slot, destination.socket);
        if let Some(mut stream) = kept {
            match converse(&mut stream, &outgoing, answer, answer_head, &worker.head_limits, facts).await {
                Err(UpstreamFault::Broken(_) | UpstreamFault::Closed) if answer.is_empty() => {}
                outcome => return outcome.map(|unsent| (stream, unsent)),
            }
        }
        let mut stream = upstream::dial(destination.socket, worker.config.timeouts.connect).await?;
        let unsent =
            converse(&mut stream, &outgoing, answer, answer_head, &worker.head_limits, facts).await?;
        Ok((stream, unsent))
    };
    tokio::select! {
        biased;
        outcome = timeout_at(deadline, exchange) => match outcome {
            Ok(outcome) => outcome.map_err(Attempt::Failed),
            Err(_) => Err(Attempt::Timeout),
        },
        () = client_gone(&mut from_client, ahead) => Err(Attempt::ClientGone),
    }
}

/// Writes the request and reads the answer's head at the same time: an endpoint may refuse a body before it
/// has read it.
async fn converse(
    stream: &mut TcpStream,
    outgoing: &Outgoing<'_>,
    answer: &mut Vec<u8>,
    head: &mut ResponseHead,
    limits: &HeadLimits,
    facts: RequestFacts,
) -> Result<Unsent, UpstreamFault> {
    let (mut reader, mut writer) = stream.split();
    let mut sending = std::pin::pin!(outgoing.send(&mut writer));
    let mut receiving = std::pin::pin!(receive(&mut reader, answer, head, limits, facts));
    let mut sent = None;
    loop {
        tokio::select! {
            biased;
            outcome = &mut sending, if sent.is_none() => sent = Some(outcome),
            received = &mut receiving => {
                received.map_err(|fault| match (&sent, fault) {
                    // What broke the connection first is the better reason.
                    (Some(Err(error)), UpstreamFault::Closed) => UpstreamFault::Broken(error.kind().into()),
                    (_, fault) => fault,
                })?;
                return Ok(match sent {
                    Some(Ok(())) => Unsent::default(),
                    Some(Err(_)) => Unsent::broken(),
                    None => Unsent::new(outgoing.rest()),
                });
            }
        }
    }
}

/// Reads until a final response head is complete; what follows it stays in `answer`.
async fn receive(
    reader: &mut (impl tokio::io::AsyncRead + Unpin),
    answer: &mut Vec<u8>,
    head: &mut ResponseHead,
    limits: &HeadLimits,
    facts: RequestFacts,
) -> Result<(), UpstreamFault> {
    loop {
        match head.parse(answer, limits, facts).map_err(UpstreamFault::Malformed)? {
            // Nothing that an informational response says concerns this client.
            Some(end) if head.is_informational() => {
                answer.drain(..end);
            }
            Some(_) => return Ok(()),
            None => {
                answer.reserve(READ);
                match reader.read_buf(answer).await {
                    Ok(0) if answer.is_empty() => return Err(UpstreamFault::Closed),
                    Ok(0) => return Err(UpstreamFault::Malformed(FramingError::Truncated)),
                    Ok(_) => {}
                    Err(error) if answer.is_empty() => return Err(UpstreamFault::Broken(error)),
                    Err(_) => return Err(UpstreamFault::Malformed(FramingError::Truncated)),
                }
            }
        }
    }
}

// === Outgoing ===

impl<'r> Outgoing<'r> {
    /// The head as written, and the body with the model's name replaced if it gets a new one.
    fn new(head: &'r [u8], body: &'r [u8], model: &std::ops::Range<u64>, name: Option<&'r [u8]>) -> Self {
        let pieces = match name {
            None => [head, body, &[], &[]],
            Some(name) => [head, &body[..model.start as usize], name, &body[model.end as usize..]],
        };
        Self { pieces, taken: Cell::new(0) }
    }

    async fn send(&self, writer: &mut (impl tokio::io::AsyncWrite + Unpin)) -> io::Result<()> {
        let mut slices = self.pieces.map(IoSlice::new);
        let mut left = &mut slices[..];
        self.taken.set(0);
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match writer.write_vectored(left).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => {
                    self.taken.set(self.taken.get() + written);
                    IoSlice::advance_slices(&mut left, written);
                }
            }
        }
        Ok(())
    }

    /// A copy of what was not taken: rare, since few endpoints answer before they have read everything.
    fn rest(&self) -> Vec<u8> {
        self.pieces.concat().split_off(self.taken.get())
    }
}
