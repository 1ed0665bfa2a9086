//! Reads a reply and notes when its tokens came. No IO and no clock: time comes in.
//!
//! A *token event* is an SSE event whose `choices` is not empty. TTFT runs from send to the first one,
//! a gap from each to the next. Events that arrive in one read share its time, so their gaps are zero:
//! that is what the user got. (`vllm bench serve` counts the same way.)

use std::time::{Duration, Instant};

use memchr::memmem;
use serde::{Deserialize, de::IgnoredAny};
use warmlane_engine::sse::{
    Event, Splitter,
    payload::{self, Finish, Kind, Report, Usage},
};

use crate::outcome::Failure;

/// Longest piece of an unknown error body that is quoted.
const QUOTE: usize = 300;

/// Gaps are reserved for at most this many tokens, whatever a request asks for.
const RESERVE: u32 = 1 << 14;

/// The state of one reply.
pub(super) struct Meter {
    events: Splitter,
    tally: Tally,
}

struct Tally {
    sent: Instant,
    first: Option<Instant>,
    last: Instant,
    gaps: Vec<f32>,
    chunks: u32,
    report: Report,
    done: bool,
    failure: Option<Failure>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

#[derive(Deserialize)]
struct ErrorObject {
    message: String,
}

// === Meter ===

impl Meter {
    pub(super) fn new(sent: Instant, max_tokens: u32) -> Self {
        let tally = Tally {
            sent,
            first: None,
            last: sent,
            gaps: Vec::with_capacity(max_tokens.min(RESERVE) as usize),
            chunks: 0,
            report: Report::default(),
            done: false,
            failure: None,
        };
        Self { events: Splitter::default(), tally }
    }

    /// Takes the next bytes of a stream, read at `now`.
    pub(super) fn feed(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Failure> {
        let tally = &mut self.tally;
        self.events.push(bytes, |event| tally.event(now, event));
        tally.failure.take().map_or(Ok(()), Err)
    }

    /// The stream ended. Without `[DONE]` it broke off.
    pub(super) fn end(&self) -> Result<(), Failure> {
        if self.tally.done { self.tally.served() } else { Err(self.truncated("no [DONE] event".into())) }
    }

    /// Takes a reply that was not streamed.
    pub(super) fn whole(&mut self, body: &[u8]) -> Result<(), Failure> {
        serde_json::from_slice::<IgnoredAny>(body)
            .map_err(|error| Failure::Malformed { reason: error.to_string() })?;
        self.tally.report = Report::of(body);
        self.tally.served()
    }

    pub(super) fn truncated(&self, reason: String) -> Failure {
        Failure::Truncated { chunks: self.tally.chunks, reason }
    }

    pub(super) fn ttft(&self) -> Option<Duration> {
        self.tally.first.map(|first| first - self.tally.sent)
    }

    pub(super) fn chunks(&self) -> u32 {
        self.tally.chunks
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.tally.report.usage
    }

    pub(super) fn into_gaps(self) -> Vec<f32> {
        self.tally.gaps
    }
}

// === Tally ===

impl Tally {
    /// Almost every event is a token event, told by a few substring searches: a full parse of each
    /// would cost more than the read that brought it.
    fn event(&mut self, now: Instant, event: Event<'_>) {
        match payload::kind(event) {
            Kind::Done => self.done = true,
            Kind::Error => {
                self.failure.get_or_insert_with(|| Failure::Stream { message: error_text(event.data) });
            }
            Kind::Data => {
                self.report.absorb(Report::of(event.data));
                if memmem::find(event.data, br#""choices":[]"#).is_none() {
                    self.token(now);
                }
            }
        }
    }

    /// An answer that the engine gave up is no answer, whatever its status.
    fn served(&self) -> Result<(), Failure> {
        match self.report.finish {
            Some(given_up @ (Finish::Abort | Finish::Error)) => {
                Err(Failure::Stream { message: format!("finish_reason is {}", given_up.as_str()) })
            }
            _ => Ok(()),
        }
    }

    fn token(&mut self, now: Instant) {
        if self.first.is_none() {
            self.first = Some(now);
        } else {
            self.gaps.push((now - self.last).as_secs_f32());
        }
        self.last = now;
        self.chunks += 1;
    }
}

/// The message of an OpenAI error object, else the start of whatever it is.
pub(super) fn error_text(body: &[u8]) -> String {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => body.error.message,
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(QUOTE)]).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &[u8] = b"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"text\":\" a\"}]}\n\n";
    const USAGE: &[u8] =
        b"data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"total_tokens\":12,\
        \"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n";

    fn meter() -> (Meter, Instant) {
        let sent = Instant::now();
        (Meter::new(sent, 8), sent)
    }

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn times_the_first_token_and_the_gaps() {
        let (mut meter, sent) = meter();
        for at in [50, 70, 100] {
            meter.feed(sent + ms(at), TOKEN).unwrap();
        }
        meter.feed(sent + ms(101), USAGE).unwrap();
        meter.feed(sent + ms(101), b"data: [DONE]\n\n").unwrap();
        meter.end().unwrap();
        assert_eq!(meter.ttft(), Some(ms(50)));
        assert_eq!(meter.chunks(), 3);
        assert_eq!(
            meter.usage(),
            Some(Usage { prompt_tokens: 9, completion_tokens: 3, cached_tokens: Some(4) })
        );
        let gaps = meter.into_gaps();
        assert_eq!(gaps.len(), 2);
        assert!((gaps[0] - 0.020).abs() < 1e-6 && (gaps[1] - 0.030).abs() < 1e-6, "{gaps:?}");
    }

    #[test]
    fn an_event_cut_anywhere_counts_once_when_it_is_whole() {
        for cut in 1..TOKEN.len() - 1 {
            let (mut meter, sent) = meter();
            meter.feed(sent + ms(1), &TOKEN[..cut]).unwrap();
            assert_eq!(meter.chunks(), 0, "cut at {cut}");
            meter.feed(sent + ms(9), &TOKEN[cut..]).unwrap();
            assert_eq!(meter.chunks(), 1, "cut at {cut}");
            assert_eq!(meter.ttft(), Some(ms(9)));
        }
    }

    #[test]
    fn running_usage_counts_tokens_and_keeps_the_last_counts() {
        let (mut meter, sent) = meter();
        for n in 1..=3 {
            let event = format!(
                "data: {{\"choices\":[{{\"text\":\"a\"}}],\"usage\":{{\"prompt_tokens\":2,\"completion_tokens\":{n}}}}}\n\n"
            );
            meter.feed(sent, event.as_bytes()).unwrap();
        }
        assert_eq!(meter.chunks(), 3);
        assert_eq!(meter.usage().unwrap().completion_tokens, 3);
    }

    #[test]
    fn an_error_object_in_a_stream_is_a_failure_with_its_message() {
        let (mut meter, sent) = meter();
        meter.feed(sent, TOKEN).unwrap();
        let failure = meter
            .feed(sent, b"data: {\"error\":{\"message\":\"engine died\",\"code\":500}}\n\ndata: [DONE]\n\n")
            .unwrap_err();
        assert_eq!(failure.kind(), "stream_error");
        assert!(failure.to_string().contains("engine died"));
    }

    #[test]
    fn an_answer_the_engine_gave_up_is_a_failure() {
        let (mut meter, sent) = meter();
        let end = b"data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"abort\"}]}\n\ndata: [DONE]\n\n";
        meter.feed(sent, end).unwrap();
        assert_eq!(meter.end().unwrap_err().kind(), "stream_error");
    }

    #[test]
    fn a_stream_without_its_end_mark_broke_off() {
        let (mut meter, sent) = meter();
        meter.feed(sent, TOKEN).unwrap();
        assert_eq!(meter.end().unwrap_err().kind(), "truncated");
    }

    #[test]
    fn an_error_that_is_no_json_is_quoted_in_part() {
        assert_eq!(error_text(&[b'x'; 5000]).len(), QUOTE);
    }
}
