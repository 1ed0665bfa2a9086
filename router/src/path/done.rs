//! Done: what happened is fed back: the error answer where one is due, counters, the access line.

use super::{
    Trace,
    relay::{End, Relayed},
};
use crate::{
    decisions::{self, Outcome},
    error::Fault,
    front::Client,
    http1::{Method, Version, write_simple_head, write_simple_response},
    metrics::{Answered, ErrorReason, Label},
    stage::Stage,
    summary::{Served, Summary},
    worker::Worker,
};

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next request may follow.
    Again,
    /// It is closed.
    Close,
}

/// Ends a request.
pub(super) async fn done(
    worker: &Worker,
    client: &mut Client,
    mut trace: Trace,
    outcome: Result<Relayed, Fault>,
) -> Next {
    let next = match &outcome {
        Ok(relayed) => after_response(relayed),
        Err(fault) => {
            let next = refuse(worker, client, &trace, fault).await;
            trace.enter(Stage::Done);
            next
        }
    };
    let end = if next == Next::Again { client.request.len() } else { 0 };
    trace.close();
    count(worker, &trace, &outcome);
    match &outcome {
        Ok(relayed) => trace.end_of_model(answered(worker, relayed)),
        Err(fault) => trace.end_of_model(Err(fault.reason())),
    }
    trace.ended(worker, || what_became(&trace, &outcome));
    if trace.is_told(worker) {
        summary(&trace, client, &outcome).tell(worker);
    }
    if next == Next::Again {
        client.next_request(end);
    }
    next
}

fn after_response(relayed: &Relayed) -> Next {
    if relayed.keep_alive && relayed.end.is_whole() { Next::Again } else { Next::Close }
}

/// Answers with an OpenAI-style error object.
async fn refuse(worker: &Worker, client: &mut Client, trace: &Trace, fault: &Fault) -> Next {
    if matches!(fault, Fault::ClientGone) {
        return Next::Close;
    }
    let keep_alive = fault.keeps_connection()
        && client.head.keep_alive()
        && client.head.version() == Version::Http11
        && !worker.is_draining();
    let body = fault.object(&fault.to_string(), client.api);
    let retry_after = fault.retry_after().map(|seconds| seconds.to_string());
    let mut headers: Vec<(&str, &[u8])> = vec![("content-type", b"application/json")];
    headers.push(("x-request-id", &trace.request_id));
    if let Some(seconds) = &retry_after {
        headers.push(("retry-after", seconds.as_bytes()));
    }
    client.out.clear();
    if client.head.method() == Method::Head && fault.keeps_connection() {
        write_simple_head(&mut client.out, fault.status(), &headers, body.len() as u64, keep_alive);
    } else {
        write_simple_response(&mut client.out, fault.status(), &headers, body.as_bytes(), keep_alive);
    }
    client.linger |= !keep_alive;
    match client.send_out(worker.config.timeouts.client_body_idle).await {
        Ok(()) if keep_alive => Next::Again,
        _ => Next::Close,
    }
}

fn count(worker: &Worker, trace: &Trace, outcome: &Result<Relayed, Fault>) {
    let metrics = &worker.metrics;
    for (stage, spent) in trace.spent() {
        metrics.stage(stage, spent);
    }
    match outcome {
        Ok(relayed) => {
            metrics.rode(relayed.rode.has_ridden(), relayed.rode.refusal);
            metrics.request_done(trace.listener, relayed.status);
            match relayed.end.reason() {
                None => {}
                Some(ErrorReason::ClientGone) => metrics.aborted(),
                Some(reason) => metrics.error(trace.listener, reason),
            }
        }
        Err(Fault::ClientGone) => metrics.aborted(),
        Err(fault) => {
            if matches!(fault, Fault::Shed { .. }) {
                metrics.shed();
            }
            metrics.request_done(trace.listener, fault.status());
            metrics.error(trace.listener, fault.reason());
        }
    }
}

/// What its model's counts are told.
fn answered(worker: &Worker, relayed: &Relayed) -> Result<Answered, ErrorReason> {
    // A sample that traces choose must not pass for all there was.
    let usage = relayed.report.usage.filter(|_| worker.config.log.access);
    let answered = Answered { first_byte: relayed.first_byte, bytes: Some(relayed.bytes), usage };
    relayed.end.reason().map_or(Ok(answered), Err)
}

/// For those who ask later.
fn what_became(trace: &Trace, outcome: &Result<Relayed, Fault>) -> Outcome {
    let spent = trace.all_spent();
    match outcome {
        Ok(relayed) => {
            let rode = relayed.rode.has_ridden().then_some(relayed.rode.progress.data);
            Outcome {
                status: Some(relayed.status),
                end: relayed.end.reason().map_or("complete", Label::name),
                served: relayed.endpoint.clone().map_or(decisions::Served::Nobody, decisions::Served::By),
                first_byte: relayed.first_byte,
                bytes: Some(relayed.bytes),
                lane_bytes: rode.unwrap_or(0),
                spent,
            }
        }
        Err(fault) => Outcome {
            status: Some(fault.status()),
            end: fault.reason().name(),
            served: decisions::Served::Nobody,
            first_byte: None,
            bytes: None,
            lane_bytes: 0,
            spent,
        },
    }
}

/// What is told of it.
fn summary<'a>(trace: &'a Trace, client: &'a Client, outcome: &'a Result<Relayed, Fault>) -> Summary<'a> {
    // Of a head that could not be read nothing is known; what stands there is an earlier one's.
    let head = trace.has_head.then_some(&client.head);
    let method = head.map_or(&b""[..], |head| head.method_bytes(&client.request));
    let path = head.map_or(&b""[..], |head| head.path(&client.request));
    let model = &client.body.model;
    let unserved = Summary { method, path, api: client.api, model, ..Summary::begin(trace) };
    match outcome {
        Ok(relayed) => Summary {
            status: Some(relayed.status),
            end: relayed.end.reason().map_or("complete", Label::name),
            failure: relayed.end.reason(),
            served: Served {
                by: relayed.endpoint.as_deref(),
                picked: None,
                matched: relayed.matched,
                tried: Some(relayed.tried),
                report: relayed.report,
            },
            bytes: Some(relayed.bytes),
            lane_bytes: relayed.rode.has_ridden().then_some(relayed.rode.progress.data),
            first_byte: relayed.first_byte,
            ..unserved
        },
        Err(fault) => Summary {
            status: Some(fault.status()),
            end: fault.reason().name(),
            failure: Some(fault.reason()),
            fault: Some(fault),
            ..unserved
        },
    }
}

// === End ===

impl End {
    /// What the metrics and the access log count it under; `None` for a complete response.
    fn reason(self) -> Option<ErrorReason> {
        match self {
            Self::Complete => None,
            Self::GaveUp => Some(ErrorReason::ErrorEvent),
            Self::EndpointCut => Some(ErrorReason::ResponseCut),
            Self::Silent => Some(ErrorReason::StreamIdle),
            Self::Timeout => Some(ErrorReason::Timeout),
            Self::ClientGone => Some(ErrorReason::ClientGone),
            Self::Lost => Some(ErrorReason::Lane),
        }
    }
}
