use std::future::pending;

use tokio::{net::TcpListener, task::JoinHandle};
use zeromq::{PubSocket, RouterSocket, Socket as _, SocketRecv as _, SocketSend as _, ZmqMessage};

use super::*;

/// A peer that sends these bytes to whoever connects, and keeps the connection.
async fn peer(bytes: Vec<u8>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.write_all(&bytes).await;
        pending::<()>().await;
        drop(stream);
    });
    (address, task)
}

fn greeting() -> Vec<u8> {
    let mut bytes = vec![0; GREETING];
    bytes[..10].copy_from_slice(&SIGNATURE);
    bytes[10..12].copy_from_slice(&[3, 1]);
    bytes[12..16].copy_from_slice(MECHANISM);
    bytes
}

/// A peer's greeting and handshake, and these bytes behind it.
fn after_handshake(bytes: &[u8]) -> Vec<u8> {
    [greeting(), ready(Kind::Sub), bytes.to_vec()].concat()
}

async fn open(bytes: Vec<u8>) -> Result<Connection, Trouble> {
    let (address, task) = peer(bytes).await;
    let connection = Connection::open(&address, Kind::Sub, 1000).await;
    // It goes on sending until the test's runtime ends.
    drop(task);
    connection
}

#[tokio::test]
async fn what_a_library_publishes_is_heard_in_parts() {
    let mut publisher = PubSocket::new();
    let address = publisher.bind("tcp://127.0.0.1:0").await.expect("bind").to_string();
    let address = address.trim_start_matches("tcp://");
    let mut connection = Connection::open(address, Kind::Sub, 1 << 20).await.expect("open");
    connection.subscribe().await.expect("subscribe");
    let parts = [Bytes::from_static(b"topic"), Bytes::from(vec![7; 8]), Bytes::from(vec![9; 70_000])];
    let heard = loop {
        let message = ZmqMessage::try_from(parts.to_vec()).expect("a message");
        publisher.send(message).await.expect("send");
        // The subscription may not have been there yet.
        if let Ok(heard) = timeout(Duration::from_millis(50), connection.next()).await {
            break heard.expect("a message");
        }
    };
    assert_eq!(heard, parts);
}

#[tokio::test]
async fn a_library_router_answers_what_a_dealer_asks() {
    let mut router = RouterSocket::new();
    let address = router.bind("tcp://127.0.0.1:0").await.expect("bind").to_string();
    let mut dealer =
        Connection::open(address.trim_start_matches("tcp://"), Kind::Dealer, 1000).await.expect("open");
    dealer.send(&[b"", b"question"]).await.expect("send");
    let asked = router.recv().await.expect("a message").into_vec();
    assert_eq!(asked[1..], [Bytes::new(), Bytes::from_static(b"question")]);
    let answer = vec![asked[0].clone(), Bytes::new(), Bytes::from_static(b"answer")];
    router.send(ZmqMessage::try_from(answer).expect("a message")).await.expect("send");
    assert_eq!(dealer.next().await.expect("a message"), [Bytes::new(), Bytes::from_static(b"answer")]);
}

#[tokio::test]
async fn who_is_no_such_peer_is_told_apart() {
    let http = open(
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\nserver: x\r\n\r\n".to_vec(),
    );
    assert!(matches!(http.await, Err(Trouble::NotZmtp)));
    let mut curve = greeting();
    curve[12..17].copy_from_slice(b"CURVE");
    assert!(matches!(open(curve).await, Err(Trouble::Mechanism(name)) if name == "CURVE"));
    let refusal = [greeting(), b"\x04\x0a\x05ERROR\x03bad".to_vec()].concat();
    assert!(matches!(open(refusal).await, Err(Trouble::Refused(text)) if text.contains("bad")));
    assert!(matches!(open(greeting()[..30].to_vec()).await, Err(Trouble::Slow(_))));
    let nobody = Connection::open("127.0.0.1:1", Kind::Sub, 1000).await;
    assert!(matches!(nobody, Err(Trouble::Broken(_))));
}

#[tokio::test]
async fn an_announced_length_makes_no_room_before_it_is_allowed() {
    for head in [
        vec![LONG, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![LONG, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        [&[LONG][..], &1001_u64.to_be_bytes()].concat(),
        [&[MORE, 200][..], &[0; 200], &[LONG], &900_u64.to_be_bytes()].concat(),
        [MORE, 0].repeat(MOST_FRAMES + 1),
    ] {
        let mut connection = open(after_handshake(&head)).await.expect("open");
        assert!(matches!(connection.next().await, Err(Trouble::TooLong { .. })), "{head:?}");
        assert!(connection.buffer.capacity() < 2 * ROOM, "{}", connection.buffer.capacity());
    }
}

#[tokio::test]
async fn commands_between_messages_are_passed_over() {
    let ping = b"\x04\x07\x04PING\x00\x00";
    let bytes = after_handshake(&[&ping[..], b"\x01\x01a\x00\x01b", ping, b"\x00\x01c"].concat());
    let mut connection = open(bytes).await.expect("open");
    assert_eq!(connection.next().await.expect("a message"), [&b"a"[..], b"b"]);
    assert_eq!(connection.next().await.expect("a message"), [&b"c"[..]]);
    assert!(timeout(Duration::from_millis(50), connection.next()).await.is_err(), "nothing more yet");
}
