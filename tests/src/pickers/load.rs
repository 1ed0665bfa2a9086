//! What gateways send: whole requests with their response's head, in a closed loop and at a pace, and responses as streams.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, ProcessingResponse, body_mutation::Mutation, processing_response::Response,
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::chats::Chats;
use crate::{
    PATIENCE,
    gateway::{Asked, Call, Caller, DESTINATION, FULL_DUPLEX, REQUEST_ONLY, Said, framed, messages},
};

/// Streams at once in a closed loop.
pub(super) const STREAMS: usize = 8;
/// Chunks of one response.
pub(super) const CHUNKS: usize = 1_000;

const PATH: &str = "/v1/chat/completions";
/// Bytes of a body's message: what a gateway has of a large body at a time.
const PIECE: usize = 64 * 1024;
/// Bytes of a response's chunk, as vLLM's are.
const CHUNK: usize = 200;

/// One connection, as a gateway's worker has it. The tasks that drive it end with it.
#[derive(Clone)]
pub(super) struct Connection {
    caller: Caller,
    _driver: Rc<JoinSet<()>>,
}

// === Connection ===

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (caller, connection) = Caller::over(stream).await?;
        let mut driver = JoinSet::new();
        driver.spawn_local(async move {
            // Whoever waits for an answer hears of it.
            let _ = connection.await;
        });
        Ok(Self { caller, _driver: Rc::new(driver) })
    }

    /// One request, and the head of its response; the time from its last message to the answer that says where it goes.
    pub(super) async fn request(&self, body: &[u8]) -> anyhow::Result<Duration> {
        let asked = Asked { modes: REQUEST_ONLY, ..Asked::post(PATH, body).in_chunks(PIECE) };
        let whole = async {
            let (mut call, decided) = self.ask(&asked).await?;
            respond(&mut call, "application/json").await?;
            finish(call).await?;
            Ok(decided)
        };
        timeout(PATIENCE, whole).await.context("a request is not answered")?
    }

    /// One request and its response, chunk by chunk: each is sent when the one before it came back.
    async fn stream(&self, body: &[u8], chunk: &Bytes) -> anyhow::Result<()> {
        let asked = Asked { modes: FULL_DUPLEX, ..Asked::post(PATH, body) };
        let (mut call, _) = self.ask(&asked).await?;
        respond(&mut call, "text/event-stream").await?;
        let end = framed(&messages::response_body(b"", true));
        for message in std::iter::repeat_n(chunk, CHUNKS).chain([&end]) {
            call.send(message.clone()).await;
            let Response::ResponseBody(body) = answer(&mut call).await? else {
                anyhow::bail!("a chunk is not answered by one");
            };
            let length = if message == &end { 0 } else { CHUNK };
            anyhow::ensure!(streamed(&body) == Some(length), "a chunk came back as another: {body:?}");
        }
        finish(call).await
    }

    async fn ask(&self, asked: &Asked) -> anyhow::Result<(Call, Duration)> {
        let mut call = self.caller.open().await?;
        let messages: Vec<Bytes> = asked.messages().iter().map(framed).collect();
        let last = messages.len() - 1;
        let mut began = Instant::now();
        for (number, message) in messages.into_iter().enumerate() {
            if number == last {
                began = Instant::now();
            }
            call.send(message).await;
        }
        let mut said = Said::default();
        said.take_request(message(&mut call).await?);
        let decided = began.elapsed();
        anyhow::ensure!(said.header(DESTINATION).is_some(), "not sent anywhere: {said:?}");
        while !said.body_eos {
            said.take_request(message(&mut call).await?);
            anyhow::ensure!(!said.is_over(), "given up: {said:?}");
        }
        Ok((call, decided))
    }
}

async fn message(call: &mut Call) -> anyhow::Result<ProcessingResponse> {
    Ok(call.next().await.context("the stream ended")??)
}

async fn answer(call: &mut Call) -> anyhow::Result<Response> {
    message(call).await?.response.context("an answer of no kind")
}

async fn respond(call: &mut Call, kind: &str) -> anyhow::Result<()> {
    let headers = [(":status", "200"), ("content-type", kind)];
    call.send(framed(&messages::response_headers(&headers, false))).await;
    let answer = answer(call).await?;
    anyhow::ensure!(matches!(answer, Response::ResponseHeaders(_)), "a head is answered with {answer:?}");
    Ok(())
}

async fn finish(mut call: Call) -> anyhow::Result<()> {
    call.half_close();
    let after = call.next::<ProcessingResponse>().await;
    anyhow::ensure!(after.is_none(), "something came after all was said: {after:?}");
    Ok(())
}

/// Bytes of a body's answer.
fn streamed(body: &BodyResponse) -> Option<usize> {
    match body.response.as_ref()?.body_mutation.as_ref()?.mutation.as_ref()? {
        Mutation::StreamedResponse(part) => Some(part.body.len()),
        _ => None,
    }
}

/// Sends `count` requests over one connection, [`STREAMS`] at a time, each when one before it is done.
pub(super) async fn closed(address: SocketAddr, chats: &Rc<Chats>, count: u64) -> anyhow::Result<()> {
    let (connection, left) = (Connection::open(address).await?, Rc::new(Cell::new(count)));
    let mut clients = JoinSet::new();
    for _ in 0..STREAMS {
        let (connection, left, chats) = (connection.clone(), left.clone(), chats.clone());
        clients.spawn_local(async move {
            while let Some(rest) = left.get().checked_sub(1) {
                left.set(rest);
                connection.request(&chats.next()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

/// Sends `count` requests over one connection, one each `beat` whether or not those before it are done; how long each
/// waited to be sent somewhere, in ascending order.
pub(crate) async fn paced(
    address: SocketAddr,
    chats: &Rc<Chats>,
    count: u64,
    beat: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let connection = Connection::open(address).await?;
    let (mut clients, mut times) = (JoinSet::new(), Vec::with_capacity(count as usize));
    let mut beat = interval(beat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..count {
        beat.tick().await;
        let (connection, body) = (connection.clone(), chats.next());
        clients.spawn_local(async move { connection.request(&body).await });
        while let Some(client) = clients.try_join_next() {
            times.push(client??);
        }
    }
    while let Some(client) = clients.join_next().await {
        times.push(client??);
    }
    times.sort_unstable();
    Ok(times)
}

/// [`STREAMS`] streams of [`CHUNKS`] chunks each, over one connection.
pub(super) async fn streams(address: SocketAddr, chats: &Rc<Chats>) -> anyhow::Result<()> {
    let connection = Connection::open(address).await?;
    let chunk = framed(&messages::response_body(&token(), false));
    let mut clients = JoinSet::new();
    for _ in 0..STREAMS {
        let (connection, chunk, body) = (connection.clone(), chunk.clone(), chats.next());
        clients.spawn_local(async move {
            let stream = timeout(PATIENCE, connection.stream(&body, &chunk)).await;
            stream.context("a stream does not come to its end")?
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

/// One token's event.
fn token() -> Vec<u8> {
    let (start, end) = (
        r#"data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1764200000,"model":"m","choices":[{"index":0,"delta":{"content":""#,
        "\"},\"finish_reason\":null}]}\n\n",
    );
    let text = "w".repeat(CHUNK - start.len() - end.len());
    [start, &text, end].concat().into_bytes()
}
