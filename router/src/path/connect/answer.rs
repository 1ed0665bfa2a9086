//! The beginning of an answer: read up to the first byte of its body, and judged.
//!
//! The head is held until then, so that an engine that sends its head and dies before its first token costs no
//! request, and head and first bytes leave in one write. Nothing is held longer: each further byte goes on as it comes.

use tokio::io::{AsyncRead, AsyncReadExt};
use warmlane_engine::{error::says_shutdown, sse::payload::begins_with_failure};

use crate::{
    error::UpstreamFault,
    http1::{Body, Framing, FramingError, HeadLimits, RequestFacts, ResponseHead},
};

/// Bytes read at once while an answer begins.
const READ: usize = 16 * 1024;

/// A 500 is read this far to learn whether the engine is shutting down.
const MOST_OF_500: usize = 4 * 1024;

/// Reads until the beginning of an answer is complete; what was read stays in `answer`.
pub(super) async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    answer: &mut Vec<u8>,
    head: &mut ResponseHead,
    limits: &HeadLimits,
    facts: RequestFacts,
) -> Result<(), UpstreamFault> {
    let mut has_head = false;
    loop {
        if !has_head {
            match head.parse(answer, limits, facts).map_err(UpstreamFault::Malformed)? {
                // Nothing that an informational response says concerns this client.
                Some(end) if head.is_informational() => {
                    answer.drain(..end);
                    continue;
                }
                Some(_) => has_head = true,
                None => {}
            }
        }
        if has_head && has_begun(answer, head) {
            return Ok(());
        }
        answer.reserve(READ);
        match reader.read_buf(answer).await {
            Ok(0) if has_head => return ended(answer, head, UpstreamFault::Closed),
            Err(error) if has_head => return ended(answer, head, UpstreamFault::Broken(error)),
            Ok(0) if answer.is_empty() => return Err(UpstreamFault::Closed),
            Err(error) if answer.is_empty() => return Err(UpstreamFault::Broken(error)),
            Ok(0) | Err(_) => return Err(UpstreamFault::Malformed(FramingError::Truncated)),
            Ok(_) => {}
        }
    }
}

/// Whether the answer's first payload is here, or there will be none. Bad framing counts: the relay refuses it.
fn has_begun(answer: &[u8], head: &ResponseHead) -> bool {
    let bytes = &answer[head.head_len()..];
    let most = if head.status() == 500 { MOST_OF_500 } else { 0 };
    match head.framing() {
        Framing::None => true,
        Framing::Length(length) => length == 0 || bytes.len() as u64 >= length.min(most.max(1) as u64),
        Framing::UntilClose => bytes.len() > most,
        Framing::Chunked => {
            let scan = Body::new(Framing::Chunked).scan(bytes);
            scan.map_or(true, |scan| scan.done || scan.payload > most as u64)
        }
    }
}

/// The endpoint ended the connection before its answer's first payload, or while a 500 was read to its end.
fn ended(answer: &[u8], head: &ResponseHead, cause: UpstreamFault) -> Result<(), UpstreamFault> {
    let has_payload = answer.len() > head.head_len() && head.status() == 500;
    if has_payload || head.framing() == Framing::UntilClose { Ok(()) } else { Err(cause) }
}

/// Why this answer should rather come from another endpoint; `None` for one that is meant for the client.
pub(super) fn trouble(answer: &[u8], head: &ResponseHead) -> Option<UpstreamFault> {
    match head.status() {
        502 => Some(UpstreamFault::BadGateway),
        503 => Some(UpstreamFault::Busy),
        500 if says_shutdown(&answer[head.head_len()..]) => Some(UpstreamFault::Terminating),
        200..=299 => {
            let mut body = Body::new(head.framing());
            let mut rest = &answer[head.head_len()..];
            while let Ok(step) = body.advance(rest) {
                if !step.payload.is_empty() {
                    return begins_with_failure(step.payload).then_some(UpstreamFault::ErrorEvent);
                }
                if step.done || step.consumed == 0 {
                    return None;
                }
                rest = &rest[step.consumed..];
            }
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
