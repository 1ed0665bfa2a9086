//! Requests in a closed loop: each connection sends the next when it has the answer to the last.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::prompts::{Prompts, Size};
use crate::wire::find;

/// Sends `count` requests over so many connections; how long each took, in ascending order.
pub(super) async fn run(
    address: SocketAddr,
    size: Size,
    connections: usize,
    count: u64,
    prompts: &Rc<RefCell<Prompts>>,
) -> anyhow::Result<Vec<Duration>> {
    let left = Rc::new(Cell::new(count));
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn_local(client(address, left.clone(), prompts.clone()));
    }
    let mut times = Vec::with_capacity(count as usize);
    while let Some(client) = clients.join_next().await {
        times.extend(client?.map_err(|error| error.context(format!("{} request", size.name())))?);
    }
    times.sort_unstable();
    Ok(times)
}

async fn client(
    address: SocketAddr,
    left: Rc<Cell<u64>>,
    prompts: Rc<RefCell<Prompts>>,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut times, mut request, mut answer) = (Vec::new(), Vec::new(), Vec::with_capacity(16 * 1024));
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        request.clear();
        request.extend_from_slice(prompts.borrow_mut().next());
        let began = Instant::now();
        stream.write_all(&request).await?;
        answer.clear();
        while !is_whole(&answer)? {
            anyhow::ensure!(stream.read_buf(&mut answer).await? > 0, "the connection was closed");
        }
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Whether all of an answer is here. It must be a 200.
fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(at) = find(answer, b"\r\n\r\n") else { return Ok(false) };
    let said = || String::from_utf8_lossy(answer);
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "answered {:?}", said());
    // The same answer each time: its length is looked up once per spelling, since clients share a core with engines.
    let length = ["ontent-length: ", "ontent-Length: "].into_iter().find_map(|name| {
        let start = find(&answer[..at], name.as_bytes())? + name.len();
        let digits = answer[start..].iter().take_while(|byte| byte.is_ascii_digit());
        Some(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
    });
    Ok(match length {
        Some(length) => answer.len() >= at + 4 + length,
        None => answer.ends_with(b"0\r\n\r\n"),
    })
}
