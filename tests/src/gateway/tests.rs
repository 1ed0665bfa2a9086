use std::{net::TcpListener, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::*;
use crate::pickers::noop;

const BODY: &[u8] = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

fn picker() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process.
    std::thread::spawn(move || noop::serve(listener));
    address
}

/// A port with TLS before another without.
fn behind_tls(plain: SocketAddr) -> SocketAddr {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["nobody".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let (stream, _) = tokio::net::TcpListener::from_std(listener).unwrap().accept().await.unwrap();
            let mut secure = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
            let mut plain = tcp(plain).await;
            // Ends with the client, however that leaves.
            let _ = tokio::io::copy_bidirectional(&mut secure, &mut plain).await;
        });
    });
    address
}

#[test]
fn a_whole_request_and_its_response_are_played() {
    let gateway = Gateway::connect(picker());
    let mut answer = gateway.ask(&Asked::post("/v1/chat/completions", BODY));
    assert_eq!(answer.destination.as_deref(), Some(noop::DESTINATION));
    assert_eq!(answer.metadata_destination, answer.destination);
    assert!(answer.clear_route_cache && answer.body_eos, "{:?}", answer.said);
    assert_eq!(answer.body, BODY);
    let chunks: [&[u8]; 3] = [b"data: 1\n\n", b"data: 2\n\n", b""];
    let responded = answer.exchange.respond(200, &[("content-type", "text/event-stream")], &chunks, false);
    assert_eq!(responded.chunk_lengths, [9, 9, 0]);
    assert_eq!(responded.body, chunks.concat());
    answer.exchange.half_close();
    assert!(answer.exchange.next().is_none(), "the stream ends well");
}

#[test]
fn a_request_without_a_body_and_one_with_trailers_are_answered() {
    let gateway = Gateway::connect(picker());
    let get = gateway.ask(&Asked::get("/v1/models"));
    assert!(get.destination.is_some() && get.chunk_lengths.is_empty());
    let trailed = gateway.ask(&Asked { trailers: true, ..Asked::post("/x", BODY) });
    assert!(trailed.trailers_answered && !trailed.body_eos);
    assert_eq!(trailed.body, BODY);
}

#[test]
fn a_body_larger_than_any_window_goes_through_in_chunks() {
    let body: Vec<u8> = (0..20_000_000_u32).map(|n| n as u8).collect();
    let gateway = Gateway::connect(picker());
    let answer = gateway.ask(&Asked::post("/x", body.clone()).in_chunks(1 << 20));
    assert!(answer.chunk_lengths.iter().all(|&length| length <= noop::CHUNK));
    assert!(answer.body == body, "the same bytes");
}

#[test]
fn a_reset_ends_one_stream_and_not_the_connection() {
    let gateway = Gateway::connect(picker());
    let mut exchange = gateway.open();
    exchange.send(&messages::request_headers(&messages::post("/x"), false));
    exchange.reset();
    assert!(gateway.ask(&Asked::post("/x", BODY)).body_eos);
}

#[test]
fn a_refusal_is_told_as_a_status() {
    let mut exchange = Gateway::connect(picker()).open();
    // No kind of message: nothing that a picker could answer.
    exchange.send(&ProcessingRequest::default());
    let status = exchange.next().expect("a status").expect_err("a refusal");
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(exchange.next().is_none());
}

#[test]
fn metadata_stands_on_every_message_and_modes_on_the_first() {
    let asked = Asked::post("/x", BODY).among(["127.0.0.1:1", "127.0.0.1:2"]);
    let sent = asked.messages();
    assert_eq!(sent.len(), 3, "headers, body and the end");
    assert!(sent.iter().all(|message| message.metadata_context.is_some()));
    let with_modes = sent.iter().map(|message| message.protocol_config.is_some());
    assert_eq!(with_modes.collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn any_certificate_is_taken() {
    let gateway = Gateway::connect_tls(behind_tls(picker()));
    assert!(gateway.ask(&Asked::post("/x", BODY)).body_eos);
}
