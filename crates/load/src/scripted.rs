//! A server for tests that answers each request with the bytes a test gives.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What to do with a request.
pub(crate) enum Answer {
    /// Send and wait for the next request.
    Send(Vec<u8>),
    /// Send and close the connection.
    SendAndClose(Vec<u8>),
    /// Never answer.
    Hang,
}

/// The server; it ends with this value.
pub(crate) struct Scripted {
    pub(crate) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

type Reader<T> = Arc<dyn Fn(String) -> T + Send + Sync>;

impl Scripted {
    /// Answers each request text (head and body) with what `answer` makes of it.
    pub(crate) async fn start<F, T>(answer: F) -> Self
    where
        F: Fn(String) -> T + Send + Sync + 'static,
        T: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counter, answer): (_, Reader<T>) = (Arc::clone(&connections), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, SeqCst);
                open.spawn(converse(stream, Arc::clone(&answer)));
            }
        });
        Self { addr, connections, task }
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse<T: Future<Output = Answer>>(mut stream: TcpStream, answer: Reader<T>) {
    while let Some(request) = read_request(&mut stream).await {
        match answer(request).await {
            Answer::Send(bytes) => stream.write_all(&bytes).await.unwrap(),
            Answer::SendAndClose(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                return;
            }
            Answer::Hang => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        text.extend_from_slice(&buffer[..n]);
        let seen = String::from_utf8_lossy(&text);
        let Some(end) = seen.find("\r\n\r\n") else { continue };
        let length = seen.to_lowercase().split_once("content-length: ").map(|(_, rest)| {
            let digits = rest.split("\r\n").next().unwrap();
            digits.parse::<usize>().unwrap()
        });
        let length = length.unwrap_or(0);
        if text.len() >= end + 4 + length {
            return Some(seen.into_owned());
        }
    }
}

/// A response with a length.
pub(crate) fn response(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nx-warmlane-endpoint: 10.0.0.7:8000\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A whole stream of `tokens` token events and usage.
pub(crate) fn stream(tokens: u32) -> Vec<u8> {
    let mut body = "data: {\"choices\":[{\"text\":\" a\"}]}\n\n".repeat(tokens as usize);
    body += &format!(
        "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":8,\"completion_tokens\":{tokens},\
         \"prompt_tokens_details\":{{\"cached_tokens\":2}}}}}}\n\ndata: [DONE]\n\n"
    );
    response("200 OK", "text/event-stream; charset=utf-8", &body)
}
