//! Engines whose load moves: each time they are asked, the page of a real vLLM says another KV use, and the queue that the
//! bench has set.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::wire::find;

/// A page as an idle vLLM writes it, 50 KB.
const PAGE: &str = include_str!("../../fixtures/metrics/vllm-0.32-metrics-idle.txt");
const LIST: &str = r#"{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"vllm","root":"m","parent":null}]}"#;

/// Running engines; they end when this is dropped.
pub(crate) struct Engines {
    pub(crate) addresses: Vec<SocketAddr>,
    /// Each one's queue.
    pub(crate) queues: Rc<RefCell<Vec<u32>>>,
    /// Pages that were asked for.
    pub(crate) asked: Rc<Cell<u64>>,
    _tasks: JoinSet<()>,
}

/// What a connection needs of them.
#[derive(Clone)]
struct Shared {
    number: usize,
    queues: Rc<RefCell<Vec<u32>>>,
    asked: Rc<Cell<u64>>,
    page: Rc<Template>,
}

/// The page, cut where its values stand: the queue's, and the KV use's.
struct Template {
    parts: Vec<&'static str>,
    /// What stands behind each part but the last.
    values: Vec<Value>,
}

#[derive(Clone, Copy)]
enum Value {
    Queue,
    KvUse,
}

// === Engines ===

impl Engines {
    pub(crate) async fn start(count: usize) -> anyhow::Result<Self> {
        let (queues, asked) = (Rc::new(RefCell::new(vec![0; count])), Rc::new(Cell::new(0)));
        let (mut tasks, mut addresses) = (JoinSet::new(), Vec::new());
        let page = Rc::new(Template::of(PAGE)?);
        for number in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addresses.push(listener.local_addr()?);
            let shared = Shared { number, queues: queues.clone(), asked: asked.clone(), page: page.clone() };
            tasks.spawn_local(accept(listener, shared));
        }
        Ok(Self { addresses, queues, asked, _tasks: tasks })
    }

    /// One that answers at every address of this machine, so that whatever pods there are have an engine.
    pub(crate) async fn everywhere() -> anyhow::Result<Self> {
        let (queues, asked) = (Rc::new(RefCell::new(vec![0])), Rc::new(Cell::new(0)));
        let listener = TcpListener::bind("0.0.0.0:0").await?;
        let addresses = vec![listener.local_addr()?];
        let shared = Shared {
            number: 0,
            queues: queues.clone(),
            asked: asked.clone(),
            page: Rc::new(Template::of(PAGE)?),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn_local(accept(listener, shared));
        Ok(Self { addresses, queues, asked, _tasks: tasks })
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn_local(converse(stream, shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, shared: Shared) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(4096);
    loop {
        while let Some(end) = find(&buffer, b"\r\n\r\n") {
            let body = if buffer.starts_with(b"GET /metrics ") { shared.page() } else { LIST.to_owned() };
            buffer.drain(..end + 4);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            if stream.write_all((head + &body).as_bytes()).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    }
}

// === Shared ===

impl Shared {
    fn page(&self) -> String {
        let count = self.asked.get() + 1;
        self.asked.set(count);
        let kv_use = (count % 900) as f64 / 1_000.0;
        let queue = self.queues.borrow()[self.number];
        self.page.filled(|value| match value {
            Value::Queue => queue.to_string(),
            Value::KvUse => kv_use.to_string(),
        })
    }
}

// === Template ===

impl Template {
    fn of(page: &'static str) -> anyhow::Result<Self> {
        let (mut parts, mut values, mut from) = (Vec::new(), Vec::new(), 0);
        for line in page.lines() {
            let value = match line.split('{').next() {
                Some("vllm:num_requests_waiting") => Value::Queue,
                Some("vllm:kv_cache_usage_perc") => Value::KvUse,
                _ => continue,
            };
            let (series, number) = line.rsplit_once(' ').unwrap_or((line, ""));
            let at = line.as_ptr() as usize - page.as_ptr() as usize + series.len() + 1;
            parts.push(&page[from..at]);
            values.push(value);
            from = at + number.len();
        }
        anyhow::ensure!(values.len() == 2, "the recorded page has other series");
        parts.push(&page[from..]);
        Ok(Self { parts, values })
    }

    fn filled(&self, value: impl Fn(Value) -> String) -> String {
        let mut page = String::with_capacity(PAGE.len() + 32);
        for (at, part) in self.parts.iter().enumerate() {
            page += part;
            if let Some(what) = self.values.get(at) {
                page += &value(*what);
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use warmlane_engine::metrics::scan;

    use super::*;

    #[test]
    fn the_page_says_what_it_is_told() {
        let page = Template::of(PAGE).expect("a template").filled(|value| match value {
            Value::Queue => "7".to_owned(),
            Value::KvUse => "0.25".to_owned(),
        });
        let read = scan(page.as_bytes()).expect("a page");
        assert_eq!((read.queue, read.kv_use), (Some(7.0), Some(0.25)));
        assert_eq!(page.lines().count(), PAGE.lines().count());
    }
}
