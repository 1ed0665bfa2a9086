//! A picker that picks nothing: the least that a gateway must be answered, written the ordinary way on `tonic` and
//! `envoy-types`. What the router's picker costs more than this is what it costs to pick.
//!
//! It holds the body until its end, since a picker must, and sends it back unread.

use std::net::TcpListener;

use envoy_types::pb::{
    envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
        service::ext_proc::v3::{
            BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ProcessingRequest,
            ProcessingResponse, StreamedBodyResponse, TrailersResponse,
            body_mutation::Mutation,
            external_processor_server::{ExternalProcessor, ExternalProcessorServer},
            processing_request::Request,
            processing_response::Response,
        },
    },
    google::protobuf::{Struct, Value, value::Kind},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::server::TcpIncoming};

use crate::gateway::{DESTINATION as HEADER, NAMESPACE};

/// Where it sends every request.
pub(crate) const DESTINATION: &str = "127.0.0.1:8000";
/// Bytes of a body's answer at most; Envoy refuses more than 64 KB in one.
pub(crate) const CHUNK: usize = 62_000;

/// Answers that wait until they are written.
const QUEUE: usize = 16;

struct Noop;

/// One request's stream.
struct Stream {
    held: Vec<Vec<u8>>,
    is_decided: bool,
    answers: mpsc::Sender<Result<ProcessingResponse, Status>>,
}

/// The gateway has left.
struct Gone;

/// Serves on this thread, for ever.
///
/// # Panics
/// When the listener cannot be used.
pub(crate) fn serve(listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a listener");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = tonic::transport::Server::builder().add_service(ExternalProcessorServer::new(Noop));
        server.serve_with_incoming(incoming).await.expect("served");
    });
}

// === Noop ===

#[tonic::async_trait]
impl ExternalProcessor for Noop {
    type ProcessStream = ReceiverStream<Result<ProcessingResponse, Status>>;

    async fn process(
        &self,
        request: tonic::Request<Streaming<ProcessingRequest>>,
    ) -> Result<tonic::Response<Self::ProcessStream>, Status> {
        let (answers, answered) = mpsc::channel(QUEUE);
        let mut messages = request.into_inner();
        let mut stream = Stream { held: Vec::new(), is_decided: false, answers };
        tokio::spawn(async move {
            // An error is the gateway's reset: usual when all is said.
            while let Ok(Some(message)) = messages.message().await {
                if stream.take(message).await.is_err() {
                    return;
                }
            }
        });
        Ok(tonic::Response::new(ReceiverStream::new(answered)))
    }
}

// === Stream ===

impl Stream {
    async fn take(&mut self, message: ProcessingRequest) -> Result<(), Gone> {
        match message.request {
            Some(Request::RequestHeaders(headers)) if headers.end_of_stream => {
                self.is_decided = true;
                self.send(decided()).await
            }
            Some(Request::RequestHeaders(_)) => Ok(()),
            // Envoy may send the last part twice.
            Some(Request::RequestBody(_)) if self.is_decided => Ok(()),
            Some(Request::RequestBody(body)) => {
                self.held.push(body.body);
                if body.end_of_stream { self.release(true).await } else { Ok(()) }
            }
            Some(Request::RequestTrailers(_)) => {
                self.release(false).await?;
                self.send(answer(Response::RequestTrailers(TrailersResponse::default()))).await
            }
            Some(Request::ResponseHeaders(_)) => {
                self.send(answer(Response::ResponseHeaders(HeadersResponse::default()))).await
            }
            Some(Request::ResponseBody(body)) => {
                let echo = streamed(body.body, body.end_of_stream);
                self.send(answer(Response::ResponseBody(echo))).await
            }
            Some(Request::ResponseTrailers(_)) => {
                self.send(answer(Response::ResponseTrailers(TrailersResponse::default()))).await
            }
            None => {
                let refusal = Status::invalid_argument("a message of no kind");
                self.answers.send(Err(refusal)).await.map_err(|_| Gone)?;
                Err(Gone)
            }
        }
    }

    /// Answers the headers, and sends the body back.
    async fn release(&mut self, eos: bool) -> Result<(), Gone> {
        self.is_decided = true;
        self.send(decided()).await?;
        let held = std::mem::take(&mut self.held);
        let last = held.len();
        for (number, body) in held.into_iter().enumerate() {
            let is_last = number + 1 == last;
            if body.len() <= CHUNK {
                self.send(request_body(body, eos && is_last)).await?;
                continue;
            }
            let parts = body.len().div_ceil(CHUNK);
            for (number, part) in body.chunks(CHUNK).enumerate() {
                self.send(request_body(part.to_vec(), eos && is_last && number + 1 == parts)).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, answer: ProcessingResponse) -> Result<(), Gone> {
        self.answers.send(Ok(answer)).await.map_err(|_| Gone)
    }
}

fn answer(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }
}

fn request_body(body: Vec<u8>, eos: bool) -> ProcessingResponse {
    answer(Response::RequestBody(streamed(body, eos)))
}

fn streamed(body: Vec<u8>, end_of_stream: bool) -> BodyResponse {
    let streamed = StreamedBodyResponse { body, end_of_stream, ..StreamedBodyResponse::default() };
    let mutation = BodyMutation { mutation: Some(Mutation::StreamedResponse(streamed)) };
    BodyResponse {
        response: Some(CommonResponse { body_mutation: Some(mutation), ..CommonResponse::default() }),
    }
}

/// The destination, in the header and in the metadata.
fn decided() -> ProcessingResponse {
    let header = HeaderValue {
        key: HEADER.to_owned(),
        value: String::new(),
        raw_value: DESTINATION.as_bytes().to_vec(),
    };
    let header = HeaderValueOption {
        header: Some(header),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    };
    let common = CommonResponse {
        header_mutation: Some(HeaderMutation { set_headers: vec![header], remove_headers: Vec::new() }),
        clear_route_cache: true,
        ..CommonResponse::default()
    };
    let one = |key: &str, kind| Struct { fields: [(key.to_owned(), Value { kind: Some(kind) })].into() };
    let destination = one(HEADER, Kind::StringValue(DESTINATION.to_owned()));
    ProcessingResponse {
        dynamic_metadata: Some(one(NAMESPACE, Kind::StructValue(destination))),
        ..answer(Response::RequestHeaders(HeadersResponse { response: Some(common) }))
    }
}
