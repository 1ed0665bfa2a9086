//! Response heads: as strict as requests, with the body rules that depend on the request.

use std::mem::MaybeUninit;

use httparse::ParserConfig;

use super::fields::Fields;
use super::scan::{HeadScan, is_plain, max_head};
use super::{Framing, FramingError, HeadLimits, MAX_HEADERS, Method, RequestHead, Span, Version, refusal};

/// What must be known of the request to find the end of its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The method was `HEAD`.
    pub head: bool,
    /// The request that was sent on carried `Upgrade`.
    pub upgrade: bool,
}

impl RequestFacts {
    /// Facts of a request sent on without `Upgrade`.
    pub fn of(request: &RequestHead) -> Self {
        Self { head: request.method() == Method::Head, upgrade: false }
    }
}

/// One response head, reused for all responses of a connection.
#[derive(Debug, Default)]
pub struct ResponseHead {
    pub(super) fields: Fields,
    /// From the status code to the end of the reason phrase.
    pub(super) status_and_reason: Span,
    scan: HeadScan,
    status: u16,
    version: Version,
    framing: Framing,
    keep_alive: bool,
    head_len: u32,
}

impl ResponseHead {
    /// Parses the head at the start of `buf`, as [`RequestHead::parse`] does.
    pub fn parse(
        &mut self,
        buf: &[u8],
        limits: &HeadLimits,
        request: RequestFacts,
    ) -> Result<Option<usize>, FramingError> {
        let outcome = self.try_parse(buf, limits, request);
        if !matches!(outcome, Ok(None)) {
            self.scan = HeadScan::default();
        }
        outcome
    }

    fn try_parse(
        &mut self,
        buf: &[u8],
        limits: &HeadLimits,
        request: RequestFacts,
    ) -> Result<Option<usize>, FramingError> {
        if buf.first().is_some_and(|&first| first != b'H') {
            return Err(FramingError::BadVersion);
        }
        if self.scan.is_fresh()
            && let Some(outcome) = self.read_at_once(buf, limits, request)
        {
            return outcome.map(Some);
        }
        let Some(len) = self.scan.end(buf, limits, limits.head, FramingError::HeadTooLong)? else {
            return Ok(None);
        };
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        match ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, &buf[..len], &mut slots)
        {
            Ok(_) => self.accept(buf, len, &parsed, request).map(Some),
            Err(error) => Err(refusal::response(&buf[..len], error)),
        }
    }

    /// The usual case, the whole head in one read. `None` leaves it to the scan, which also names all faults.
    fn read_at_once(
        &mut self,
        buf: &[u8],
        limits: &HeadLimits,
        request: RequestFacts,
    ) -> Option<Result<usize, FramingError>> {
        let window = &buf[..buf.len().min(max_head(limits))];
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let slots = &mut slots[..limits.headers.min(MAX_HEADERS)];
        let outcome = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, window, slots);
        let Ok(httparse::Status::Complete(len)) = outcome else { return None };
        is_plain(&window[..len], parsed.headers, limits.head).then(|| self.accept(buf, len, &parsed, request))
    }

    fn accept(
        &mut self,
        buf: &[u8],
        end: usize,
        parsed: &httparse::Response<'_, '_>,
        request: RequestFacts,
    ) -> Result<usize, FramingError> {
        let (Some(status @ 100..=599), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(FramingError::BadStatusLine);
        };
        self.fields.collect(buf, parsed.headers)?;
        let line_end = self.fields.list.first().map_or(end - 2, |field| field.name.start as usize) - 2;
        // httparse has seen "HTTP/1.x " and three digits before.
        self.status_and_reason = Span { start: 9, end: line_end as u32 };
        self.status = status;
        self.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        self.head_len = end as u32;
        self.conclude(buf, request)?;
        Ok(end)
    }

    fn conclude(&mut self, buf: &[u8], request: RequestFacts) -> Result<(), FramingError> {
        let announced = self.fields.facts.framing(buf, self.version)?;
        self.framing = match self.status {
            101 if !request.upgrade => return Err(FramingError::UnaskedUpgrade),
            // RFC 9110, 8.6 and RFC 9112, 6.1 forbid both headers here. A length of zero is common and harmless.
            100..=199 | 204 if !matches!(announced, None | Some(Framing::Length(0))) => {
                return Err(FramingError::BodyOnBodiless);
            }
            101 => Framing::UntilClose,
            100..=199 | 204 | 304 => Framing::None,
            _ if request.head => Framing::None,
            _ => announced.unwrap_or(Framing::UntilClose),
        };
        self.keep_alive = self.framing != Framing::UntilClose && self.fields.facts.keep_alive(self.version);
        Ok(())
    }

    /// The status code, 100 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase as sent, possibly empty.
    pub fn reason<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        self.status_and_reason.get(buf).get(4..).unwrap_or_default()
    }

    /// Whether a final response is still to come behind this one. 101 is final.
    pub fn is_informational(&self) -> bool {
        matches!(self.status, 100..=199) && self.status != 101
    }

    /// The version of the endpoint's message.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body ends. After 101, the other protocol's bytes count as a body until close.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the endpoint lets the connection be used again after this response.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Bytes of the head; the body starts here.
    pub fn head_len(&self) -> usize {
        self.head_len as usize
    }

    /// Value of the first header of this name, in any case.
    pub fn header<'b>(&self, buf: &'b [u8], name: &str) -> Option<&'b [u8]> {
        self.fields.get(buf, name.as_bytes())
    }

    /// Names and values of all headers in order.
    pub fn headers<'b>(&self, buf: &'b [u8]) -> impl Iterator<Item = (&'b [u8], &'b [u8])> {
        self.fields.iter(buf)
    }

    /// Number of header lines.
    pub fn header_count(&self) -> usize {
        self.fields.list.len()
    }
}

#[cfg(test)]
mod tests;
