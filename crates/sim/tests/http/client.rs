//! A plain HTTP/1.1 client that shows framing: a blocking socket, one request per connection.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;
use warmlane_sim::server::{Options, Running, start};

/// A test that waits longer than this is broken, whatever it waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A response, or a recording of one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body's HTTP chunks; empty where it has a length.
    pub(crate) chunks: Vec<String>,
}

/// The engine of the recordings, faster.
pub(crate) fn options() -> Options {
    let mut options = Options::new("/model/qwen");
    options.adapters = vec!["travel-helper-v1".to_owned(), "travel-helper-v2".to_owned()];
    options.time_scale = 50.0;
    options.engine.max_model_len = 4096;
    options
}

pub(crate) fn engine() -> Running {
    start(options()).unwrap()
}

pub(crate) fn fixture(kind: &str, name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let path = root.join(kind).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn recorded(name: &str) -> Answer {
    Answer::read(fixture("http", &format!("vllm-0.32-{name}.txt")).as_bytes())
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request whose connection stays open.
pub(crate) fn send(stream: &mut TcpStream, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: sim\r\ncontent-type: application/json\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
}

pub(crate) fn get(engine: &Running, path: &str) -> Answer {
    let mut stream = connect(engine.address());
    send(&mut stream, "GET", path, &[], "");
    Answer::read(stream)
}

pub(crate) fn post(engine: &Running, path: &str, body: &str) -> Answer {
    post_with(engine, path, &[], body)
}

pub(crate) fn post_with(engine: &Running, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = connect(engine.address());
    send(&mut stream, "POST", path, headers, body);
    Answer::read(stream)
}

/// Adds fields to a JSON object.
pub(crate) fn merge(body: &mut Value, fields: Value) {
    if let (Value::Object(body), Value::Object(fields)) = (body, fields) {
        body.extend(fields);
    }
}

/// The value of a series on the metrics page whose line begins with `series`.
pub(crate) fn metric(engine: &Running, series: &str) -> f64 {
    let page = get(engine, "/metrics").body;
    let line = page.lines().find(|line| line.starts_with(series));
    line.unwrap_or_else(|| panic!("no {series}")).rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Scrapes until `series` has `value`.
pub(crate) fn await_metric(engine: &Running, series: &str, value: f64) {
    let begun = std::time::Instant::now();
    while metric(engine, series) != value {
        assert!(begun.elapsed() < PATIENCE, "{series} never became {value}");
    }
}

// === Answer ===

impl Answer {
    /// Reads one response, and nothing after it.
    pub(crate) fn read(from: impl Read) -> Self {
        Self::read_from(&mut BufReader::new(from))
    }

    pub(crate) fn read_from(from: &mut impl BufRead) -> Self {
        let status = line(from);
        let status =
            status.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {status:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let header = line(from);
            let Some((name, value)) = header.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Self { status, headers, body: String::new(), chunks: Vec::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = chunk(from) {
                answer.chunks.push(chunk);
            }
            answer.body = answer.chunks.concat();
        } else {
            let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
            answer.body = text(from, length);
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The JSON of every `data:` line, in order; `[DONE]` as text.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data =
            self.chunks.iter().flat_map(|chunk| chunk.lines()).filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::from(data))).collect()
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end_matches(['\r', '\n']).to_owned()
}

/// The next chunk; `None` after the last.
fn chunk(from: &mut impl BufRead) -> Option<String> {
    let size = line(from);
    let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
    let chunk = text(from, size);
    assert_eq!(line(from), "", "a chunk ends with a line end");
    (size > 0).then_some(chunk)
}

fn text(from: &mut impl BufRead, length: usize) -> String {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}
