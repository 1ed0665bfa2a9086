//! The same bytes given to hyper's own server: what this router accepts, hyper reads alike or refuses.
//!
//! Allowed is to be stricter. Forbidden is to find another request, another body, or another place where the next request
//! begins: that is what smuggling is made of.

use std::{cell::RefCell, convert::Infallible, rc::Rc};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http1::{Body, HeadLimits, RequestHead};

/// A request as somebody read it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    method: String,
    path: String,
    body: Vec<u8>,
}

/// Requests of one connection as this router reads them, up to the first that it refuses or that is not whole.
fn ours(mut rest: &[u8]) -> Vec<Read> {
    let (mut head, mut all) = (RequestHead::default(), Vec::new());
    while let Ok(Some(len)) = head.parse(rest, &HeadLimits::default()) {
        let (mut body, mut payload, mut at) = (Body::new(head.framing()), Vec::new(), len);
        while !body.is_done() && at < rest.len() {
            let Ok(step) = body.advance(&rest[at..]) else { return all };
            payload.extend_from_slice(step.payload);
            at += step.consumed;
        }
        if !body.is_done() {
            return all;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        all.push(Read { method: text(head.method_bytes(rest)), path: text(head.path(rest)), body: payload });
        if !head.keep_alive() {
            return all;
        }
        rest = &rest[at..];
    }
    all
}

/// The same by hyper.
fn theirs(bytes: &[u8]) -> Vec<Read> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let serve = |request: Request<Incoming>, seen: Rc<RefCell<Vec<Read>>>| async move {
        let (parts, body) = request.into_parts();
        // Only a whole request counts.
        if let Ok(body) = body.collect().await {
            let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
            seen.borrow_mut().push(Read { method, path, body: body.to_bytes().to_vec() });
        }
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let service = service_fn(|request| serve(request, seen.clone()));
        let connection =
            http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
        let talk = async {
            // hyper may close before it has read everything.
            let _ = client.write_all(bytes).await;
            let _ = client.shutdown().await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        };
        let _ = tokio::join!(connection, talk);
    });
    Rc::try_unwrap(seen).expect("the connection is over").into_inner()
}

/// Why hyper ends a connection at a request that this router takes.
fn may_refuse(request: &Read) -> bool {
    // Its targets are URIs: it refuses bytes in them that are none there, such as quotes and brackets.
    let odd = |byte: u8| !(byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte));
    request.path.bytes().any(odd)
}

fn compare(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (ours, theirs) = (ours(bytes), theirs(bytes));
    for (at, request) in ours.iter().enumerate() {
        match theirs.get(at) {
            Some(other) => {
                prop_assert_eq!(request, other, "request {} of {:?}", at, String::from_utf8_lossy(bytes));
            }
            None => {
                prop_assert!(
                    may_refuse(request),
                    "hyper refuses {:?} of {:?}",
                    request,
                    String::from_utf8_lossy(bytes)
                );
                break;
            }
        }
    }
    Ok(())
}

const LINES: &[&str] = &["GET /a", "POST /b?q=1", "PUT /c", "HEAD /d", "OPTIONS *", "DELETE /e%20f"];

/// Framing and bodies that belong together.
const CONSISTENT: &[(&str, &str)] = &[
    ("", ""),
    ("Content-Length: 5\r\n", "hello"),
    ("content-length:5\r\n", "hello"),
    ("Content-Length: 05\r\n", "hello"),
    ("Content-Length: 0\r\n", ""),
    ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: Chunked\r\n", "5;a=b\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding:\tchunked\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n"),
    ("Trailer: X-T\r\nTransfer-Encoding: chunked\r\n", "0005\r\nhello\r\n00\r\n\r\n"),
];

const ODD_FRAMING: &[&str] = &[
    "Content-Length: +5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length : 5\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: \r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: \x0bchunked\r\n",
    "transfer_encoding: chunked\r\n",
    "X-A: b\r\n Content-Length: 5\r\n",
];

const ODD_BODIES: &[&str] = &[
    "5 \r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5\nhello\n0\n\n",
    "5\r\nhelloX\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\n",
    "5;a=\"\r\nhello\r\n0\r\n\r\n",
    "fffffffffffffffff\r\n",
    "-1\r\n\r\n",
    "hello",
    "",
];

/// One message: good, or with one thing wrong in its framing, its body, or a byte anywhere.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let header = select(vec![
        "",
        "",
        "Connection: keep-alive\r\n",
        "Connection: close\r\n",
        "X-A: b\r\n",
        "Expect: 100-continue\r\n",
        "X-N: \u{e9}\r\n",
    ]);
    let version = select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]);
    let byte = select(vec![b'\r', b'\n', b' ', b'\t', 0, b':', b'0', b'5', b',', b';', 0x80, b'h']);
    let odd = prop_oneof![
        6 => Just((None, None, None)),
        2 => select(ODD_FRAMING).prop_map(|framing| (Some(framing), None, None)),
        2 => select(ODD_BODIES).prop_map(|body| (None, Some(body), None)),
        2 => (any::<Index>(), byte, any::<bool>()).prop_map(|change| (None, None, Some(change))),
    ];
    (select(LINES), version, header, select(CONSISTENT), odd).prop_map(
        |(line, version, header, (framing, body), (odd_framing, odd_body, change))| {
            let (framing, body) = (odd_framing.unwrap_or(framing), odd_body.unwrap_or(body));
            let head = format!("{line} {version}\r\nHost: h\r\n{header}{framing}\r\n");
            let mut bytes = [head.as_bytes(), body.as_bytes()].concat();
            if let Some((at, byte, replace)) = change {
                let at = at.index(bytes.len());
                if replace {
                    bytes[at] = byte;
                } else {
                    bytes.insert(at, byte);
                }
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn hyper_finds_the_same_requests_or_fewer(messages in vec(message(), 1..4)) {
        compare(&messages.concat())?;
    }
}

#[test]
fn both_read_what_is_good() {
    let bytes = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcPOST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /d HTTP/1.1\r\n";
    assert_eq!(ours(bytes).len(), 3);
    assert_eq!(ours(bytes), theirs(bytes));
}
