//! An HTTP/2 request as the HTTP/1.1 request that the path reads.
//!
//! What is written is not made valid: whatever HTTP/2 lets pass and HTTP/1.1 does not, the path's parser refuses.

use http_body_util::BodyExt;
use hyper::{
    Method,
    body::{Body as _, Incoming},
    header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST},
    http::request::Parts,
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// A request's head in HTTP/1.1, and whether its body goes in chunks.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    pub(super) chunked: bool,
}

impl Head {
    /// The head of a request with or without a body.
    pub(super) fn new(request: &Parts, body: &Incoming) -> Self {
        Self::of(request, body.is_end_stream())
    }

    fn of(request: &Parts, is_bodyless: bool) -> Self {
        let has_length = request.headers.contains_key(CONTENT_LENGTH);
        let mut head = Self { bytes: Vec::with_capacity(1_024), chunked: !is_bodyless && !has_length };
        let uri = &request.uri;
        let authority = uri.authority().map(|authority| authority.as_str());
        let target = uri.path_and_query().map(|target| target.as_str());
        // CONNECT has an authority only.
        let target = target.or(authority).unwrap_or_default();
        head.put(&[request.method.as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
        if let Some(authority) = authority {
            head.put(&[b"host: ", authority.as_bytes(), b"\r\n"]);
        }
        let mut cookies: &[u8] = b"cookie: ";
        for cookie in request.headers.get_all(COOKIE) {
            // They may come one by one, and must go on as one line (RFC 9113, 8.2.3).
            head.put(&[cookies, cookie.as_bytes()]);
            cookies = b"; ";
        }
        if cookies == b"; " {
            head.put(&[b"\r\n"]);
        }
        for (name, value) in &request.headers {
            let is_authority = || *name == HOST && authority.is_some_and(|host| host.as_bytes() == value);
            // The body is read whatever is expected.
            if *name == COOKIE || *name == EXPECT || is_authority() {
                continue;
            }
            head.put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
        let announces = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
        if head.chunked {
            head.put(&[b"transfer-encoding: chunked\r\n"]);
        } else if is_bodyless && !has_length && announces {
            head.put(&[b"content-length: 0\r\n"]);
        }
        head.put(&[b"\r\n"]);
        head
    }

    fn put(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }
}

/// Writes a request to its end. A body that breaks off closes the writer, so that it does not pass for a whole one.
pub(super) async fn send(mut writer: impl AsyncWrite + Unpin, head: Head, mut body: Incoming) {
    if writer.write_all(&head.bytes).await.is_err() {
        return;
    }
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            // Nobody may be reading any more.
            let _ = writer.shutdown().await;
            return;
        };
        let Ok(data) = frame.into_data() else { continue };
        if !data.is_empty() && put(&mut writer, &data, head.chunked).await.is_err() {
            // The request was refused before it was read: the answer says why.
            return;
        }
    }
    if head.chunked {
        let _ = writer.write_all(b"0\r\n\r\n").await;
    }
}

async fn put(writer: &mut (impl AsyncWrite + Unpin), data: &[u8], chunked: bool) -> std::io::Result<()> {
    if !chunked {
        return writer.write_all(data).await;
    }
    writer.write_all(format!("{:x}\r\n", data.len()).as_bytes()).await?;
    writer.write_all(data).await?;
    writer.write_all(b"\r\n").await
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::http1::{Framing, HeadLimits, RequestHead};

    fn head(request: hyper::http::request::Builder, is_bodyless: bool) -> String {
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        String::from_utf8(Head::of(&parts, is_bodyless).bytes).expect("text")
    }

    #[test]
    fn a_request_keeps_its_target_its_host_and_its_headers() {
        let request = Request::post("http://a:1/v1/x?y=z").header("content-length", "5").header("x-id", "7");
        assert_eq!(
            head(request, false),
            "POST /v1/x?y=z HTTP/1.1\r\nhost: a:1\r\ncontent-length: 5\r\nx-id: 7\r\n\r\n"
        );
    }

    #[test]
    fn a_body_of_unknown_length_goes_in_chunks_and_none_is_announced_as_none() {
        let end = |method, bodyless| head(Request::builder().method(method).uri("http://a/"), bodyless);
        assert_eq!(end("POST", false), "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(end("POST", true), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(end("GET", true), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    }

    #[test]
    fn cookies_become_one_line_and_a_second_host_stays_to_be_refused() {
        let request =
            Request::get("http://a/").header("cookie", "a=1").header("cookie", "b=2").header("host", "a");
        assert_eq!(head(request, true), "GET / HTTP/1.1\r\nhost: a\r\ncookie: a=1; b=2\r\n\r\n");
        let request = Request::get("http://a/").header("host", "b").header("expect", "100-continue");
        assert_eq!(head(request, true), "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n");
    }

    proptest! {
        /// Whatever HTTP/2 lets pass: one request of the same method, target and headers, or a refusal.
        #[test]
        fn what_is_written_is_one_request_or_none(
            method in "[A-Za-z!#$%&'*+.^_`|~-]{1,8}",
            path in "/[ -~]{0,20}",
            headers in vec(("[a-z0-9!#$%&'*+.^_`|~-]{1,12}", vec(any::<u8>(), 0..20)), 0..8),
            framing in select(vec![None, Some("5"), Some("+5"), Some("5, 5"), Some("")]),
            is_bodyless in any::<bool>(),
        ) {
            let mut request = Request::builder().method(method.as_str()).uri(format!("http://a{path}"));
            for (name, value) in &headers {
                request = request.header(name, &value[..]);
            }
            if let Some(length) = framing {
                request = request.header("content-length", length);
            }
            let Ok(request) = request.body(()) else { return Ok(()) };
            let (parts, ()) = request.into_parts();
            let written = Head::of(&parts, is_bodyless).bytes;
            let mut head = RequestHead::default();
            match head.parse(&written, &HeadLimits::default()) {
                Ok(None) => prop_assert!(false, "a head without an end: {:?}", String::from_utf8_lossy(&written)),
                Ok(Some(len)) => {
                    prop_assert_eq!(len, written.len(), "something follows the head");
                    prop_assert_eq!(head.method_bytes(&written), parts.method.as_str().as_bytes());
                    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
                    prop_assert_eq!(head.target(&written), target.as_bytes());
                    let added = ["host", "cookie", "expect", "content-length", "transfer-encoding"];
                    let kept = |name: &str| !added.contains(&name);
                    let sent = parts.headers.iter().filter(|(name, _)| kept(name.as_str()));
                    let sent: Vec<_> = sent.map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes().trim_ascii())).collect();
                    let read = head.headers(&written).filter(|(name, _)| kept(&String::from_utf8_lossy(name)));
                    prop_assert_eq!(read.map(|(n, v)| (n, v.trim_ascii())).collect::<Vec<_>>(), sent);
                    let has_body = head.framing() != Framing::None && head.framing() != Framing::Length(0);
                    prop_assert!(has_body != is_bodyless || framing.is_some(), "{:?}", head.framing());
                }
                Err(_) => {}
            }
        }
    }

    #[test]
    fn a_tunnel_is_asked_for_by_authority() {
        let request = Request::builder().method("CONNECT").uri("a:1");
        assert_eq!(head(request, true), "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n");
    }
}
