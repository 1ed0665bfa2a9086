//! What is said to Envoy, put together.

use bytes::Bytes;

use super::{
    messages::{
        Answer, AppendAction, BodyMode, BodyMutation, CommonResponse, HeaderMutation, HeaderValue,
        HeaderValueOption, HttpBody, HttpStatus, ImmediateResponse, Kind, Mutation, ProcessingResponse,
        Reply, Struct, TrailersAnswer, Value,
    },
    names::{DESTINATION, LB},
};

/// How long a body is.
pub(super) const LENGTH: &str = "content-length";

/// Largest piece of body in an answer: gRPC and Envoy take more, gateways in between may not.
pub(super) const PIECE: usize = 62_000;

/// Headers to set.
pub(super) type Headers = Vec<(&'static str, Bytes)>;

/// What changes in the head of a request that goes to an endpoint.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) set: Headers,
    /// A client's word that must not pass for the router's.
    pub(super) remove: Vec<&'static str>,
}

/// The answer to a request's head: where it goes.
pub(super) fn routed(changes: Changes, endpoints: String) -> ProcessingResponse {
    ProcessingResponse {
        response: Some(Reply::RequestHeaders(routing(changes, None))),
        dynamic_metadata: Some(metadata(endpoints)),
    }
}

/// The same where the head was answered before: in the answer to the body, which may be another one.
pub(super) fn routed_by_body(changes: Changes, endpoints: String, body: Option<Bytes>) -> ProcessingResponse {
    let body = body.map(Mutation::Body);
    ProcessingResponse {
        response: Some(Reply::RequestBody(routing(changes, body))),
        dynamic_metadata: Some(metadata(endpoints)),
    }
}

fn routing(changes: Changes, body: Option<Mutation>) -> Answer {
    let remove_headers = changes.remove.into_iter().map(str::to_owned).collect();
    Answer {
        response: Some(CommonResponse {
            header_mutation: Some(HeaderMutation { set_headers: set(changes.set), remove_headers }),
            body_mutation: body.map(|body| BodyMutation { mutation: Some(body) }),
            // Routes may match on what was set.
            clear_route_cache: true,
        }),
    }
}

fn metadata(endpoints: String) -> Struct {
    let value = |kind| Value { kind: Some(kind) };
    let fields = [(DESTINATION.to_owned(), value(Kind::Text(endpoints)))].into();
    let inner = Struct { fields };
    Struct { fields: [(LB.to_owned(), value(Kind::Struct(inner)))].into() }
}

fn setting(headers: Headers) -> HeaderMutation {
    HeaderMutation { set_headers: set(headers), remove_headers: Vec::new() }
}

fn set(headers: Headers) -> Vec<HeaderValueOption> {
    let option = |(name, raw_value): (&'static str, Bytes)| HeaderValueOption {
        header: Some(HeaderValue {
            key: Bytes::from_static(name.as_bytes()),
            raw_value,
            ..Default::default()
        }),
        // A client's own header of that name must not survive.
        append_action: AppendAction::OverwriteIfExistsOrAdd.into(),
    };
    headers.into_iter().map(option).collect()
}

/// The head of a request stays as it is.
pub(super) fn go_on() -> ProcessingResponse {
    plain(Reply::RequestHeaders(Answer::default()))
}

/// The answer to a response's head.
pub(super) fn response_headers(headers: Headers) -> ProcessingResponse {
    let mutation = (!headers.is_empty()).then(|| setting(headers));
    let common = mutation.map(|mutation| CommonResponse {
        header_mutation: Some(mutation),
        body_mutation: None,
        clear_route_cache: false,
    });
    plain(Reply::ResponseHeaders(Answer { response: common }))
}

/// A body, or a piece of one, goes on unchanged, where Envoy waits for the word.
pub(super) fn unchanged(wrap: fn(Answer) -> Reply) -> ProcessingResponse {
    plain(wrap(Answer::default()))
}

/// Another body instead of the one that came, where Envoy waits for the word. Of a whole one the length is told, which
/// Envoy compares; of a part of one no length is right.
pub(super) fn replaced(wrap: fn(Answer) -> Reply, mode: BodyMode, body: Bytes) -> ProcessingResponse {
    let header_mutation = match mode {
        BodyMode::Buffered => Some(setting(vec![length_of(&body)])),
        BodyMode::BufferedPartial => {
            Some(HeaderMutation { set_headers: Vec::new(), remove_headers: vec![LENGTH.to_owned()] })
        }
        BodyMode::None | BodyMode::Streamed | BodyMode::FullDuplexStreamed | BodyMode::Grpc => None,
    };
    let body_mutation = Some(BodyMutation { mutation: Some(Mutation::Body(body)) });
    let common = CommonResponse { header_mutation, body_mutation, ..CommonResponse::default() };
    plain(wrap(Answer { response: Some(common) }))
}

/// The header that says how long a body is.
pub(super) fn length_of(body: &Bytes) -> (&'static str, Bytes) {
    (LENGTH, body.len().to_string().into())
}

/// A body streamed back in pieces of bounded size; nothing is copied. An empty one at the end says that it is the end.
pub(super) fn streamed(
    wrap: fn(Answer) -> Reply,
    mut body: Bytes,
    end: bool,
) -> impl Iterator<Item = ProcessingResponse> {
    let mut said_end = !end;
    std::iter::from_fn(move || {
        if body.is_empty() && said_end {
            return None;
        }
        let piece = body.split_to(body.len().min(PIECE));
        let is_last = end && body.is_empty();
        said_end |= is_last;
        let piece = HttpBody { body: piece, end_of_stream: is_last };
        Some(plain(wrap(with_body(Mutation::Streamed(piece)))))
    })
}

fn with_body(mutation: Mutation) -> Answer {
    let body_mutation = Some(BodyMutation { mutation: Some(mutation) });
    Answer { response: Some(CommonResponse { body_mutation, ..CommonResponse::default() }) }
}

/// Trailers go on unchanged.
pub(super) fn trailers(wrap: fn(TrailersAnswer) -> Reply) -> ProcessingResponse {
    plain(wrap(TrailersAnswer {}))
}

/// The client gets this instead of an endpoint's answer.
pub(super) fn immediate(status: u16, headers: Headers, body: String, details: &str) -> ProcessingResponse {
    plain(Reply::Immediate(ImmediateResponse {
        status: Some(HttpStatus { code: status.into() }),
        headers: Some(setting(headers)),
        body: body.into(),
        details: details.to_owned(),
    }))
}

fn plain(response: Reply) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), dynamic_metadata: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(body: &'static [u8], end: bool) -> Vec<(usize, bool)> {
        let piece = |reply: ProcessingResponse| match reply.response {
            Some(Reply::RequestBody(Answer {
                response:
                    Some(CommonResponse {
                        body_mutation: Some(BodyMutation { mutation: Some(Mutation::Streamed(piece)) }),
                        ..
                    }),
            })) => (piece.body.len(), piece.end_of_stream),
            other => panic!("{other:?}"),
        };
        streamed(Reply::RequestBody, Bytes::from_static(body), end).map(piece).collect()
    }

    #[test]
    fn a_body_comes_back_in_pieces_of_bounded_size_and_only_the_last_says_so() {
        static LONG: [u8; 2 * PIECE + 1] = [b'x'; 2 * PIECE + 1];
        assert_eq!(pieces(&LONG, true), [(PIECE, false), (PIECE, false), (1, true)]);
        assert_eq!(pieces(&LONG[..PIECE], true), [(PIECE, true)]);
        assert_eq!(pieces(&LONG[..PIECE + 1], false), [(PIECE, false), (1, false)]);
        assert_eq!(pieces(b"", true), [(0, true)], "an end without bytes is told");
        assert_eq!(pieces(b"", false), [], "nothing is nothing");
    }
}
