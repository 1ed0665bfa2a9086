//! Tells frames again: `["", start]` asks for all frames kept from number `start` on.
//!
//! The answer is one message per frame, `["", topic, number, payload]`, and a last one with number -1 and no payload.
//! Requests are answered one after the other; who does not read is given up, so that it holds up the others no longer
//! than [`PATIENCE`].

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;
use zeromq::{RouterSocket, SocketRecv, SocketSend, ZmqError, ZmqMessage};

use super::frames::{Frame, Frames};

/// The socket queues 100,000 messages per peer before it waits: ten whole replays that nobody read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Behind the last frame.
const END: u64 = u64::MAX;

/// Answers requests as long as the socket is there.
pub(super) async fn serve(mut socket: RouterSocket, frames: Rc<Frames>) {
    while let Ok(request) = socket.recv().await {
        // What is no request is ignored, as vLLM does.
        if let Some((client, start)) = read(&request) {
            // A client that left, or does not read, has lost interest: there is nobody to tell.
            let _ = timeout(PATIENCE, answer(&mut socket, &client, start, &frames)).await;
        }
    }
}

async fn answer(
    socket: &mut RouterSocket,
    client: &Bytes,
    start: u64,
    frames: &Frames,
) -> Result<(), ZmqError> {
    let mut next = start;
    while let Some(frame) = frames.first_from(next) {
        next = frame.number + 1;
        socket.send(addressed(client, &frame)).await?;
    }
    socket.send(addressed(client, &Frame { number: END, payload: Bytes::new() })).await
}

fn addressed(client: &Bytes, frame: &Frame) -> ZmqMessage {
    let mut message = frame.message();
    message.push_front(Bytes::new());
    message.push_front(client.clone());
    message
}

/// Who asks, and from which number on.
fn read(request: &ZmqMessage) -> Option<(Bytes, u64)> {
    let (client, delimiter, start) = (request.get(0)?, request.get(1)?, request.get(2)?);
    if request.len() != 3 || !delimiter.is_empty() || start.len() > size_of::<u64>() {
        return None;
    }
    Some((client.clone(), start.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(parts: &[&'static [u8]]) -> ZmqMessage {
        let mut message = ZmqMessage::from(Bytes::from_static(parts[0]));
        parts[1..].iter().for_each(|part| message.push_back(Bytes::from_static(part)));
        message
    }

    #[test]
    fn a_request_names_its_first_frame() {
        let id = Bytes::from_static(b"id");
        assert_eq!(read(&request(&[b"id", b"", b"\0\0\0\0\0\0\x01\x02"])), Some((id.clone(), 258)));
        assert_eq!(read(&request(&[b"id", b"", b""])), Some((id, 0)));
    }

    #[test]
    fn what_is_no_request_is_ignored() {
        let wrong: [&[&'static [u8]]; 5] = [
            &[b"id"],
            &[b"id", b"\0\0\0\0\0\0\0\0"],
            &[b"id", b"x", b"\0"],
            &[b"id", b"", b"123456789"],
            &[b"id", b"", b"\0", b""],
        ];
        assert!(wrong.iter().all(|parts| read(&request(parts)).is_none()));
    }
}
