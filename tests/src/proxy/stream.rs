//! Paced streams: what an engine sends, and what a client measures of it.
//!
//! Each token carries the moment it was sent, in nanoseconds of this process's clock: engines and clients are one
//! process, so that the difference is the delay.

use std::{
    net::SocketAddr,
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Time between two tokens of a stream.
pub(super) const BEAT_MS: u64 = 5;
/// Tokens of a stream.
pub(super) const TOKENS: usize = 600;
/// Streams at once.
pub(super) const STREAMS: usize = 200;

pub(super) const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

const MARK: &[u8] = b"\"sent\":\"";
const DIGITS: usize = 20;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One token's chunk, of the size that vLLM's have.
pub(super) fn token() -> Vec<u8> {
    let sent = START.elapsed().as_nanos();
    let event = format!(
        "data: {{\"id\":\"cmpl-0123456789abcdef\",\"object\":\"text_completion\",\"created\":1764200000,\"model\":\"m\",\"choices\":[{{\"index\":0,\"text\":\" word\",\"logprobs\":null,\"finish_reason\":null}}],\"sent\":\"{sent:020}\"}}\n\n"
    );
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

/// What all streams together came to.
#[derive(Default)]
pub(super) struct Streamed {
    pub(super) tokens: u64,
    pub(super) delays: Vec<Duration>,
}

/// Opens [`STREAMS`] streams through `address` and reads them to their end.
pub(super) async fn run(address: SocketAddr) -> anyhow::Result<Streamed> {
    let mut clients = JoinSet::new();
    for number in 0..STREAMS {
        clients.spawn_local(async move {
            // Spread over one beat, as streams are that began at different times.
            tokio::time::sleep(Duration::from_micros(BEAT_MS * 1_000 * number as u64 / STREAMS as u64)).await;
            read(address).await
        });
    }
    let mut all = Streamed::default();
    while let Some(client) = clients.join_next().await {
        let one = client??;
        all.tokens += one.tokens;
        all.delays.extend(one.delays);
    }
    all.delays.sort_unstable();
    let expected = (STREAMS * TOKENS) as u64;
    anyhow::ensure!(all.tokens == expected, "{} of {expected} tokens came through", all.tokens);
    Ok(all)
}

async fn read(address: SocketAddr) -> anyhow::Result<Streamed> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let body = r#"{"model":"m","max_tokens":600,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n";
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    let (mut streamed, mut buffer) = (Streamed::default(), Vec::with_capacity(64 * 1024));
    while !buffer.ends_with(b"0\r\n\r\n") {
        let keep = buffer.len().min(MARK.len() + DIGITS);
        buffer.drain(..buffer.len() - keep);
        let before = buffer.len();
        anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "a stream was cut");
        let now = START.elapsed();
        for at in memmem(&buffer) {
            // What was complete before was counted then.
            if at + MARK.len() + DIGITS <= before {
                continue;
            }
            let digits = buffer.get(at + MARK.len()..at + MARK.len() + DIGITS);
            let Some(digits) = digits else { continue };
            let sent = std::str::from_utf8(digits)?.parse().context("a token without its moment")?;
            streamed.tokens += 1;
            streamed.delays.push(now.saturating_sub(Duration::from_nanos(sent)));
        }
    }
    Ok(streamed)
}

fn memmem(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).map(|(at, _)| at)
}
