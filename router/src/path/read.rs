//! Read: the request's head and body, and from the body what the picker needs, while it streams in.
//!
//! The bytes stay as they came. A body is held, under the process-wide budget, until its response begins.
//! Bound per request: twice the body limit while a growing buffer moves. The budget counts what has come, but for
//! bodies that came with their head; one read per worker may go over it before it is refused.

use warmlane_engine::body::{Api, BodyReader};

use super::{Hints, RequestId, Trace};
use crate::{
    budget::Held,
    error::Fault,
    front::Client,
    http1::{Body, CONTINUE, Framing, Method},
    metrics::Listener,
    session,
    worker::Worker,
};
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes read at once of a body: of one whose length is known at most, and of one in chunks that has just begun.
const BODY_READ: usize = 256 * 1024;
const FIRST_READ: usize = 16 * 1024;

/// A request that is completely here: the client's buffer holds it and nothing behind it.
pub struct Incoming {
    /// It asks for the list of models, which the router answers itself.
    pub lists_models: bool,
    /// The session it belongs to; 0 is none.
    pub session: u64,
    /// What a gateway says of it.
    pub hints: Hints,
    /// Bytes of its body, as they were sent.
    pub bytes: u64,
    /// The body's share of the budget.
    pub held: Held,
}

/// Reads one request.
pub(crate) async fn read(worker: &Worker, client: &mut Client, trace: &mut Trace) -> Result<Incoming, Fault> {
    client.api = None;
    client.body.model.clear();
    // Before the head is read, so that an answer to a bad one can be found in the logs too.
    trace.request_id = RequestId::made(worker.chooser.rng.borrow_mut().u128(..));
    let head_end = read_head(worker, client).await?;
    trace.has_head = true;
    if let Some(id) = client.head.header(&client.request, "x-request-id").filter(|id| !id.is_empty()) {
        trace.request_id.give(id);
    }
    if let Some(tracer) = &worker.tracer {
        let headers = client.head.headers(&client.request);
        trace.place = Some(tracer.place(headers, &mut worker.chooser.rng.borrow_mut()));
    }
    let path = client.head.path(&client.request);
    let aware = trace.listener == Listener::Aware;
    let api = if aware && client.head.method() == Method::Post { api_of(path) } else { None };
    let lists_models = aware && client.head.method() == Method::Get && path == b"/v1/models";
    client.api = api;
    let held = read_body(worker, client, head_end, api).await?;
    let session = match api {
        Some(_) => {
            let header = |name: &str| client.head.header(&client.request, name);
            session::key(&worker.world, &worker.config.headers, header, &client.body)
        }
        None => 0,
    };
    let bytes = (client.request.len() - client.head.head_len()) as u64;
    Ok(Incoming { lists_models, session, hints: Hints::default(), bytes, held })
}

async fn read_head(worker: &Worker, client: &mut Client) -> Result<usize, Fault> {
    // Mostly all of it came at once, and no clock is needed.
    if let Some(end) = client.head.parse(&client.request, &worker.head_limits)? {
        return Ok(end);
    }
    let limit = worker.config.timeouts.client_head;
    let arrive = async {
        loop {
            match client.read_more(0).await {
                Ok(n) if n > 0 => {}
                _ => return Err(Fault::ClientGone),
            }
            if let Some(end) = client.head.parse(&client.request, &worker.head_limits)? {
                return Ok(end);
            }
        }
    };
    timeout(limit, arrive).await.unwrap_or(Err(Fault::SlowClient(limit)))
}

/// The API that this path is of.
pub fn api_of(path: &[u8]) -> Option<Api> {
    std::str::from_utf8(path).ok().and_then(Api::of_path)
}

/// Reads the body to its end; feeds it to the reader of its API on the way.
async fn read_body(
    worker: &Worker,
    client: &mut Client,
    head_end: usize,
    api: Option<Api>,
) -> Result<Held, Fault> {
    let (limit, mut held) = (worker.config.limits.body, worker.world.budget.share());
    let mut body = Body::new(client.head.framing());
    if let Framing::Length(length) = client.head.framing()
        && length > limit
    {
        client.linger = true;
        return Err(Fault::TooLarge { limit });
    }
    if client.head.expect_continue() && client.request.len() == head_end {
        client.out.clear();
        client.out.extend_from_slice(CONTINUE);
        let sent = client.send_out(worker.config.timeouts.client_body_idle).await;
        sent.map_err(|_| Fault::ClientGone)?;
    }
    if let Some(api) = api {
        client.reader.get_or_insert_with(|| worker.chooser.body_reader(api)).reset(api);
    }
    // Looked at with the first read that is needed: small bodies come with their heads.
    let mut deadline = None;
    let mut at = head_end;
    loop {
        at += take(&mut body, &client.request[at..], client.reader.as_mut().filter(|_| api.is_some()))?;
        // What stands behind a complete body is not its own.
        let length = (if body.is_done() { at } else { client.request.len() }) - head_end;
        let counts = length > FIRST_READ || !body.is_done();
        if length as u64 > limit || counts && !held.grow_to(length as u64) {
            client.linger = true;
            let too_large = length as u64 > limit;
            return Err(if too_large { Fault::TooLarge { limit } } else { Fault::OverBudget });
        }
        if body.is_done() {
            break;
        }
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + worker.config.timeouts.client_body);
        more(worker, client, &body, head_end, deadline).await?;
    }
    // Bytes behind the request belong to the next one, whatever comes of this one.
    client.ahead.clear();
    client.ahead.extend_from_slice(&client.request[at..]);
    client.request.truncate(at);
    if let Some(reader) = client.reader.as_mut().filter(|_| api.is_some()) {
        reader.finish_into(&mut client.body)?;
    }
    Ok(held)
}

/// Passes what `bytes` has of the body to the reader; returns how much that was.
fn take(body: &mut Body, bytes: &[u8], mut reader: Option<&mut BodyReader>) -> Result<usize, Fault> {
    let mut at = 0;
    while at < bytes.len() && !body.is_done() {
        let step = body.advance(&bytes[at..])?;
        if let Some(reader) = reader.as_deref_mut() {
            // A body that is not JSON is read to its end all the same, so that the connection stays usable;
            // the reader keeps its first error for `finish_into`.
            let _ = reader.push(step.payload);
        }
        at += step.consumed;
    }
    Ok(at)
}

async fn more(
    worker: &Worker,
    client: &mut Client,
    body: &Body,
    head_end: usize,
    deadline: Instant,
) -> Result<(), Fault> {
    let timeouts = &worker.config.timeouts;
    let idle = Instant::now() + timeouts.client_body_idle;
    // A trickle that never falls silent must not hold its share of the budget for ever.
    let limit = if idle < deadline { timeouts.client_body_idle } else { timeouts.client_body };
    // Room that nothing is written to takes no memory, but room for chunks may be copied when it grows.
    let want = match body {
        Body::Length(left) => usize::try_from(*left).map_or(BODY_READ, |left| left.min(BODY_READ)),
        Body::Chunked(_) | Body::UntilClose => (client.request.len() - head_end).clamp(FIRST_READ, BODY_READ),
    };
    worker.room.borrow_mut().make(&mut client.request, want);
    match timeout_at(idle.min(deadline), client.read_more(want)).await {
        Err(_) => Err(Fault::SlowClient(limit)),
        Ok(Ok(n)) if n > 0 => Ok(()),
        // An upload that was cut off: the client may still be reading.
        Ok(Ok(_)) => Err(Fault::CutOff),
        Ok(Err(_)) => Err(Fault::ClientGone),
    }
}
