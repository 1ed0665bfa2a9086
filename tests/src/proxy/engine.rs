//! Engines that cost next to nothing: they read a request to its end and send what was made before.
//!
//! To the router's readings each looks like an idle vLLM on an A10 that serves `m`.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::stream::{self, Pace};
use crate::wire::find;

/// What a completion is answered with.
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 236\r\n\r\n{\"id\":\"cmpl-0123456789abcdef\",\"object\":\"text_completion\",\"created\":1764200000,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\" word word word\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":256,\"completion_tokens\":16,\"total_tokens\":272}}";

const MODELS: &str = r#"{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"vllm","root":"m","parent":null,"max_model_len":65536}]}"#;

/// KV tokens of an A10 with a 7B model.
const KV_TOKENS: u32 = 95_008;

/// Running engines; they end when this is dropped.
pub(crate) struct Engines {
    pub(crate) addresses: Vec<SocketAddr>,
    /// Completions answered.
    pub(super) served: Rc<Cell<u64>>,
    _tasks: JoinSet<()>,
}

impl Engines {
    pub(crate) async fn start(count: usize) -> anyhow::Result<Self> {
        Self::at(Ipv4Addr::LOCALHOST.into(), count).await
    }

    /// The same at an address of this machine.
    pub(crate) async fn at(address: IpAddr, count: usize) -> anyhow::Result<Self> {
        let mut tasks = JoinSet::new();
        let served = Rc::new(Cell::new(0));
        let mut addresses = Vec::new();
        for _ in 0..count {
            let listener = TcpListener::bind((address, 0)).await?;
            addresses.push(listener.local_addr()?);
            tasks.spawn_local(accept(listener, served.clone()));
        }
        Ok(Self { addresses, served, _tasks: tasks })
    }
}

async fn accept(listener: TcpListener, served: Rc<Cell<u64>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn_local(converse(stream, served.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, served: Rc<Cell<u64>>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(256 * 1024);
    while let Some((head, end)) = read(&mut stream, &mut buffer).await {
        let done = match head {
            Asked::Completion => {
                served.set(served.get() + 1);
                stream.write_all(ANSWER.as_bytes()).await
            }
            Asked::Stream(pace) => tokens(&mut stream, pace).await,
            Asked::Page(page) => stream.write_all(page.as_bytes()).await,
        };
        if done.is_err() {
            return;
        }
        buffer.drain(..end);
    }
}

/// What an engine answers at once; nothing where it is asked for a stream.
pub(crate) fn answer(request: &[u8]) -> Option<String> {
    match asked(request) {
        Asked::Completion => Some(ANSWER.to_owned()),
        Asked::Stream(_) => None,
        Asked::Page(page) => Some(page),
    }
}

enum Asked {
    Completion,
    Stream(Pace),
    Page(String),
}

/// Reads one request; what it asks for, and where it ends.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(Asked, usize)> {
    let mut body_at = None;
    loop {
        if body_at.is_none()
            && let Some(at) = find(&buffer[..buffer.len().min(4096)], b"\r\n\r\n")
        {
            body_at = Some((at + 4, length(&buffer[..at])));
        }
        if let Some((at, length)) = body_at
            && buffer.len() >= at + length
        {
            return Some((asked(buffer), at + length));
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn asked(request: &[u8]) -> Asked {
    let is = |start: &str| request.starts_with(start.as_bytes());
    if is("POST /v1/completions ") {
        return Asked::Completion;
    }
    if is("POST /v1/chat/completions ")
        && let Some(pace) = Pace::asked(request)
    {
        return Asked::Stream(pace);
    }
    let page = if is("GET /metrics") {
        metrics()
    } else if is("GET /v1/models") {
        MODELS.to_owned()
    } else {
        "{}".to_owned()
    };
    Asked::Page(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    ))
}

/// The families that the router reads, as vLLM writes them.
fn metrics() -> String {
    let blocks = KV_TOKENS / 16;
    format!(
        "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{{engine=\"0\",model_name=\"m\"}} 0.0\n\
         # TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{{engine=\"0\",model_name=\"m\"}} 0.0\n\
         # TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{{engine=\"0\",model_name=\"m\"}} 0.0\n\
         # TYPE vllm:cache_config_info gauge\nvllm:cache_config_info{{block_size=\"16\",engine=\"0\",num_gpu_blocks=\"{blocks}\"}} 1.0\n"
    )
}

/// Tokens at their pace, each with the moment it was sent.
async fn tokens(stream: &mut TcpStream, pace: Pace) -> std::io::Result<()> {
    stream.write_all(stream::HEAD.as_bytes()).await?;
    let mut beat = (!pace.beat.is_zero()).then(|| interval(pace.beat));
    if let Some(beat) = &mut beat {
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    for _ in 0..pace.tokens {
        if let Some(beat) = &mut beat {
            beat.tick().await;
        }
        stream.write_all(&pace.token()).await?;
    }
    stream.write_all(stream::END).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_the_length_that_it_says() {
        let (head, body) = ANSWER.split_once("\r\n\r\n").unwrap();
        assert_eq!(length(head.as_bytes()), body.len());
    }

    #[test]
    fn the_router_can_read_the_page() {
        let page = warmlane_engine::metrics::scan(metrics().as_bytes()).unwrap();
        assert_eq!(page.kv_capacity_tokens, Some(u64::from(KV_TOKENS)));
    }
}
