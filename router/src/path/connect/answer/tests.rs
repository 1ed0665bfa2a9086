use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::ReadBuf;

use super::*;

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const DEAD: &str = "data: {\"error\":{\"message\":\"EngineCore died\",\"code\":500}}\n\n";

/// An endpoint that sends these pieces, one a read, and closes.
struct Pieces(VecDeque<&'static [u8]>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(piece) = self.0.pop_front() {
            buf.put_slice(piece);
        }
        Poll::Ready(Ok(()))
    }
}

/// Pieces that were not read, and what came of the answer.
async fn read(pieces: &[&'static str]) -> (usize, Result<Option<UpstreamFault>, UpstreamFault>) {
    let mut reader = Pieces(pieces.iter().map(|piece| piece.as_bytes()).collect());
    let (mut answer, mut head) = (Vec::new(), ResponseHead::default());
    let limits = HeadLimits::default();
    let received = receive(&mut reader, &mut answer, &mut head, &limits, RequestFacts::default()).await;
    (reader.0.len(), received.map(|()| trouble(&answer, &head)))
}

fn chunk(payload: &str) -> &'static str {
    format!("{:x}\r\n{payload}\r\n", payload.len()).leak()
}

#[tokio::test]
async fn the_head_is_held_until_the_first_payload_and_no_longer() {
    let (left, outcome) = read(&[EVENTS, "4\r\n", "data: x", "never read"]).await;
    assert!(matches!((left, outcome), (1, Ok(None))));
    let (left, outcome) = read(&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "a", "bcdefghi"]).await;
    assert!(matches!((left, outcome), (1, Ok(None))));
    for bodiless in ["204 No Content\r\n\r\n", "200 OK\r\nContent-Length: 0\r\n\r\n"] {
        let (left, outcome) = read(&[format!("HTTP/1.1 {bodiless}").leak(), "next"]).await;
        assert!(matches!((left, outcome), (1, Ok(None))), "{bodiless}");
    }
}

#[tokio::test]
async fn an_end_before_the_first_payload_is_no_answer_unless_it_is_the_bodys_own() {
    assert!(matches!(read(&[EVENTS]).await.1, Err(UpstreamFault::Closed)));
    assert!(matches!(
        read(&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]).await.1,
        Err(UpstreamFault::Closed)
    ));
    assert!(matches!(read(&["HTTP/1.1 200 OK\r\n\r\n"]).await.1, Ok(None)), "an empty body until close");
    assert!(matches!(read(&[EVENTS, "0\r\n\r\n"]).await.1, Ok(None)), "an empty body in chunks");
    assert!(matches!(read(&["HTTP/1.1 2"]).await.1, Err(UpstreamFault::Malformed(_))));
    assert!(matches!(read(&[]).await.1, Err(UpstreamFault::Closed)));
}

#[tokio::test]
async fn an_answer_that_another_endpoint_would_not_give_is_told() {
    let shutdown = r#"{"error":{"message":"cannot schedule new futures after shutdown","code":500}}"#;
    let sized = |status: &str, body: &str| -> [&'static str; 2] {
        [
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).leak(),
            body.to_owned().leak(),
        ]
    };
    assert!(matches!(read(&sized("500 x", shutdown)).await.1, Ok(Some(UpstreamFault::Terminating))));
    assert!(
        matches!(read(&sized("500 x", "{\"error\":{}}")).await.1, Ok(None)),
        "its own fault, or the request's"
    );
    assert!(matches!(read(&sized("503 x", "busy")).await.1, Ok(Some(UpstreamFault::Busy))));
    assert!(matches!(read(&sized("502 x", "bad")).await.1, Ok(Some(UpstreamFault::BadGateway))));
    for client_error in ["400 x", "404 x", "422 x", "429 x"] {
        assert!(matches!(read(&sized(client_error, shutdown)).await.1, Ok(None)), "{client_error}");
    }
    assert!(matches!(read(&[EVENTS, chunk(DEAD)]).await.1, Ok(Some(UpstreamFault::ErrorEvent))));
    assert!(matches!(read(&[EVENTS, chunk("data: {\"id\":1}\n\n"), chunk(DEAD)]).await.1, Ok(None)));
}

#[tokio::test]
async fn a_500_is_read_to_its_end_but_not_without_end() {
    let whole = format!("HTTP/1.1 500 x\r\nContent-Length: {}\r\n\r\n", 2 * MOST_OF_500).leak();
    let half: &'static str = "x".repeat(MOST_OF_500).leak();
    let (left, outcome) = read(&[whole, half, half]).await;
    assert!(matches!((left, outcome), (1, Ok(None))));
    let cut =
        read(&["HTTP/1.1 500 x\r\nContent-Length: 99\r\n\r\n", "cannot schedule new futures after shutdown"]);
    assert!(matches!(cut.await.1, Ok(Some(UpstreamFault::Terminating))));
}
