//! A request's place in its trace, by W3C Trace Context: read from what came with it, and told to its endpoint.
//!
//! A `traceparent` that cannot be read, or that came more than once, counts as none, and then so does what came in `tracestate`.
//! Whether a request is sampled its parent decides; where it has none, a share of all does.

/// Names a request's parent.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// What others keep beside it.
pub(crate) const TRACESTATE: &str = "tracestate";

/// Most bytes of a state that are told to the collector: as many as every system has to pass on.
const MOST_STATE: usize = 512;

/// Of the flags: recorded by whoever called.
const SAMPLED: u8 = 1;
/// Of the flags: the trace's number is random.
const RANDOM: u8 = 2;

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The trace; never 0.
    pub trace_id: u128,
    /// The span that it is below; `None`: its trace begins here.
    pub parent: Option<u64>,
    /// Number of the server's span.
    pub server: u64,
    /// Number of the client's span, which is the endpoint's parent.
    pub client: u64,
    /// Its spans are handed over.
    pub is_sampled: bool,
    /// What came in `tracestate`, where it is text.
    pub state: String,
    /// Of the flags that came, what goes on as it is.
    random: u8,
}

/// What came in `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

// === Place ===

impl Place {
    /// Of a request with these headers.
    pub(super) fn of<'h>(
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
        sample: f32,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let (mut parents, mut states) = ((0, None), Vec::new());
        for (name, value) in headers {
            if name.eq_ignore_ascii_case(TRACEPARENT.as_bytes()) {
                parents = (parents.0 + 1, Some(value));
            } else if name.eq_ignore_ascii_case(TRACESTATE.as_bytes()) {
                states.push(value);
            }
        }
        let parent = parents.1.filter(|_| parents.0 == 1).and_then(Parent::read);
        let trace_id = parent.map_or_else(|| rng.u128(1..), |parent| parent.trace_id);
        Self {
            trace_id,
            parent: parent.map(|parent| parent.span_id),
            server: rng.u64(1..),
            client: rng.u64(1..),
            is_sampled: parent
                .map_or_else(|| is_among(trace_id, sample), |parent| parent.flags & SAMPLED != 0),
            state: parent.map(|_| state(&states)).unwrap_or_default(),
            random: parent.map_or(RANDOM, |parent| parent.flags & RANDOM),
        }
    }

    /// Whether its trace began elsewhere.
    pub(crate) fn is_child(&self) -> bool {
        self.parent.is_some()
    }

    /// The `traceparent` for its endpoint.
    pub(crate) fn for_endpoint(&self) -> [u8; 55] {
        self.parent_of(self.client)
    }

    /// The same where a gateway calls the endpoint.
    pub(crate) fn for_gateway(&self) -> [u8; 55] {
        self.parent_of(self.server)
    }

    fn parent_of(&self, span: u64) -> [u8; 55] {
        let flags = self.random | if self.is_sampled { SAMPLED } else { 0 };
        let text = format!("00-{:032x}-{span:016x}-{flags:02x}", self.trace_id);
        let mut bytes = [b'0'; 55];
        bytes.copy_from_slice(text.as_bytes());
        bytes
    }

    /// The flags of its spans: those of its context, that it is known whether its parent is remote, and whether it is.
    pub(super) fn flags(&self) -> u32 {
        let context = self.random | if self.is_sampled { SAMPLED } else { 0 };
        u32::from(context) | 0x100 | if self.is_child() { 0x200 } else { 0 }
    }
}

/// Whether a trace is among this share of all: every router with this share says the same of it.
fn is_among(trace_id: u128, share: f32) -> bool {
    // As OpenTelemetry's ratio does: by the last 63 bits.
    let bound = f64::from(share) * (1_u64 << 63) as f64;
    (((trace_id as u64) >> 1) as f64) < bound
}

/// What is told of a state.
fn state(values: &[&[u8]]) -> String {
    let joined = values.join(&b',');
    let is_text = joined.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t');
    let text = String::from_utf8(joined).ok().filter(|text| is_text && text.len() <= MOST_STATE);
    text.unwrap_or_default()
}

// === Parent ===

impl Parent {
    /// Reads one. Of a version that is not known yet, the beginning is as of the first one.
    fn read(text: &[u8]) -> Option<Self> {
        let (first, rest) = text.split_at_checked(55)?;
        let dashes = [2, 35, 52].iter().all(|at| first[*at] == b'-');
        let version = hex(&first[..2])?;
        let ends_well = rest.is_empty() || version > 0 && rest[0] == b'-';
        if !dashes || version == 0xff || !ends_well {
            return None;
        }
        let trace_id = hex(&first[3..35])?;
        let (span_id, flags) = (hex(&first[36..52])? as u64, hex(&first[53..55])? as u8);
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags })
    }
}

/// A number in lower-case digits.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn place(headers: &[(&str, &str)], sample: f32) -> Place {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Place::of(headers, sample, &mut fastrand::Rng::with_seed(7))
    }

    #[test]
    fn a_parent_is_taken_up_and_the_endpoint_is_told_of_the_span_below_it() {
        let place = place(&[("TraceParent", GOOD), ("tracestate", "a=1"), ("tracestate", "b=2")], 0.0);
        assert_eq!(
            (place.trace_id, place.parent),
            (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, Some(0xb7ad_6b71_6920_3331))
        );
        assert!(place.is_sampled && place.is_child());
        assert_eq!(place.state, "a=1,b=2");
        let told = String::from_utf8(place.for_endpoint().to_vec()).expect("text");
        assert_eq!(told, format!("00-0af7651916cd43dd8448eb211c80319c-{:016x}-01", place.client));
        assert_eq!(place.flags(), 0x301);
    }

    #[test]
    fn what_is_no_parent_is_none_and_its_state_nobodys() {
        let long = format!("{GOOD}-what-the-future-brings");
        let future = long.replacen("00", "01", 1);
        assert!(place(&[(TRACEPARENT, &future)], 0.0).is_child(), "of a later version");
        for wrong in [
            "",
            "00",
            &GOOD[..54],
            &GOOD.to_uppercase(),
            &GOOD.replacen("00-", "ff-", 1),
            &GOOD.replacen("00-", "0g-", 1),
            &GOOD.replacen('-', "_", 1),
            &long,
            &format!("{GOOD}x").replacen("00", "01", 1),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        ] {
            let place = place(&[(TRACEPARENT, wrong), (TRACESTATE, "a=1")], 1.0);
            assert!(!place.is_child() && place.is_sampled && place.state.is_empty(), "{wrong}: {place:?}");
        }
        assert!(!place(&[(TRACEPARENT, GOOD), (TRACEPARENT, GOOD)], 0.0).is_child(), "two of them");
    }

    #[test]
    fn a_parent_decides_and_else_a_share_does() {
        let unsampled = GOOD.replace("-01", "-00");
        assert!(!place(&[(TRACEPARENT, &unsampled)], 1.0).is_sampled);
        assert!(place(&[(TRACEPARENT, GOOD)], 0.0).is_sampled);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut count =
            |share| (0..10_000).filter(|_| Place::of([].into_iter(), share, &mut rng).is_sampled).count();
        assert_eq!([count(0.0), count(1.0)], [0, 10_000]);
        let tenth = count(0.1);
        assert!((800..1_200).contains(&tenth), "{tenth}");
    }

    #[test]
    fn a_state_that_is_long_or_no_text_is_not_told() {
        let long = "a=".to_owned() + &"x".repeat(MOST_STATE);
        for state in [&long, "a=\u{7f}"] {
            assert_eq!(place(&[(TRACEPARENT, GOOD), (TRACESTATE, state)], 1.0).state, "");
        }
    }
}
