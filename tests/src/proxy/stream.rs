//! Paced streams: what an engine sends, and what a client measures of it.
//!
//! Each token carries the moment it was sent, in nanoseconds of this process's clock: engines and clients are one
//! process, so that the difference is the delay.

use std::{
    cell::{Cell, RefCell},
    mem,
    net::SocketAddr,
    rc::Rc,
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::wire::find;

pub(super) const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
pub(super) const END: &[u8] = b"0\r\n\r\n";

const BEFORE_TEXT: &str = "data: {\"id\":\"cmpl-0123456789abcdef\",\"object\":\"text_completion\",\"created\":1764200000,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\" word";
const BEHIND_TEXT: &str = "\",\"logprobs\":null,\"finish_reason\":null}],\"sent\":\"";
const MARK: &[u8] = b"\"sent\":\"";
const DIGITS: usize = 20;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How a stream comes. Its request says it, the engine does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Tokens in it.
    pub(crate) tokens: usize,
    /// Time between two of them; none: as fast as they are taken.
    pub(crate) beat: Duration,
    /// Bytes of a token's event, at least; the least that there is is what vLLM's have.
    pub(crate) size: usize,
}

/// What came of all streams, as it comes.
#[derive(Default)]
pub(crate) struct Tally {
    tokens: Cell<u64>,
    bytes: Cell<u64>,
    delays: RefCell<Vec<Duration>>,
}

// === Pace ===

impl Pace {
    /// The request for a stream of this pace. `max_tokens` is what a router may go by.
    pub(crate) fn request(&self, max_tokens: usize) -> Vec<u8> {
        let Self { tokens, beat, size } = self;
        let body = format!(
            r#"{{"model":"m","max_tokens":{max_tokens},"stream":true,"messages":[{{"role":"user","content":"hi"}}],"tokens":{tokens},"beat_us":{},"size":{size}}}"#,
            beat.as_micros()
        );
        let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n";
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    /// The pace that a request asks for.
    pub(super) fn asked(request: &[u8]) -> Option<Self> {
        let number = |name: &str| {
            let at = find(request, format!("\"{name}\":").as_bytes())? + name.len() + 3;
            let digits = request[at..].iter().take_while(|byte| byte.is_ascii_digit());
            Some(digits.fold(0_usize, |sum, digit| sum * 10 + usize::from(digit - b'0')))
        };
        let beat = Duration::from_micros(number("beat_us")? as u64);
        Some(Self { tokens: number("tokens")?, beat, size: number("size")? })
    }

    /// One token's chunk.
    pub(super) fn token(&self) -> Vec<u8> {
        let fixed = BEFORE_TEXT.len() + BEHIND_TEXT.len() + DIGITS + 4;
        let (fill, sent) = (self.size.saturating_sub(fixed), START.elapsed().as_nanos());
        let length = fixed + fill;
        format!("{length:x}\r\n{BEFORE_TEXT}{:w<fill$}{BEHIND_TEXT}{sent:020}\"}}\n\n\r\n", "").into_bytes()
    }
}

// === Tally ===

impl Tally {
    pub(crate) fn tokens(&self) -> u64 {
        self.tokens.get()
    }

    /// Of bodies, framing included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// How long each token took, in ascending order; none of them is told twice.
    pub(crate) fn take_delays(&self) -> Vec<Duration> {
        let mut delays = mem::take(&mut *self.delays.borrow_mut());
        delays.sort_unstable();
        delays
    }

    fn add(&self, delay: Duration) {
        self.tokens.set(self.tokens.get() + 1);
        self.delays.borrow_mut().push(delay);
    }
}

/// Opens so many streams through `address` and reads them to their end.
pub(crate) async fn run(
    address: SocketAddr,
    pace: Pace,
    streams: usize,
    tally: &Rc<Tally>,
) -> anyhow::Result<()> {
    let mut clients = JoinSet::new();
    for number in 0..streams {
        let tally = tally.clone();
        clients.spawn_local(async move {
            // Spread over one beat, as streams are that began at different times.
            tokio::time::sleep(pace.beat * number as u32 / streams as u32).await;
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            read(&mut stream, pace, &pace.request(pace.tokens), &tally).await
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

/// Asks for a stream and reads it to its end.
pub(crate) async fn read(
    stream: &mut TcpStream,
    pace: Pace,
    request: &[u8],
    tally: &Tally,
) -> anyhow::Result<()> {
    stream.write_all(request).await?;
    let (mut tokens, mut buffer) = (0, Vec::with_capacity(64 * 1024));
    while !buffer.ends_with(END) {
        let keep = buffer.len().min(MARK.len() + DIGITS);
        buffer.drain(..buffer.len() - keep);
        let before = buffer.len();
        anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "a stream was cut");
        let now = START.elapsed();
        tally.bytes.set(tally.bytes.get() + (buffer.len() - before) as u64);
        for at in marks(&buffer) {
            // What was complete before was counted then.
            if at + MARK.len() + DIGITS <= before {
                continue;
            }
            let digits = buffer.get(at + MARK.len()..at + MARK.len() + DIGITS);
            let Some(digits) = digits else { continue };
            let sent = std::str::from_utf8(digits)?.parse().context("a token without its moment")?;
            tokens += 1;
            tally.add(now.saturating_sub(Duration::from_nanos(sent)));
        }
    }
    anyhow::ensure!(tokens == pace.tokens, "{tokens} of {} tokens came through", pace.tokens);
    Ok(())
}

/// Where each mark begins.
fn marks(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + find(&bytes[from..], MARK)?;
        from = at + MARK.len();
        Some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_asked_for_the_pace_that_was_meant() {
        let pace = Pace { tokens: 7, beat: Duration::from_millis(20), size: 250 };
        assert_eq!(Pace::asked(&pace.request(16)), Some(pace));
        assert_eq!(Pace::asked(b"POST / HTTP/1.1\r\n\r\n{}"), None);
    }

    #[test]
    fn a_chunk_has_the_size_that_it_says_and_was_asked_for() {
        for size in [250, 4_096] {
            let chunk = Pace { tokens: 1, beat: Duration::ZERO, size }.token();
            let line = find(&chunk, b"\r\n").unwrap();
            let said = std::str::from_utf8(&chunk[..line]).unwrap();
            assert_eq!(usize::from_str_radix(said, 16).unwrap(), size);
            assert_eq!(chunk.len(), line + 2 + size + 2);
            assert_eq!(marks(&chunk).count(), 1);
        }
    }
}
