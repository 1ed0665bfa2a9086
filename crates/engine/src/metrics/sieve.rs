//! A page that is read while it comes: of its lines only those are kept that the table names, some thirty of a thousand, so that nobody
//! holds whole pages of many engines at once.
//!
//! Memory: the lines that are kept, and one that has not ended yet.

use memchr::{memchr, memrchr};

use super::{EngineKind, Metrics, MetricsError, page, scan_of, table};

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub struct Sieve {
    /// Whole lines.
    kept: Vec<u8>,
    /// The beginning of one.
    begun: Vec<u8>,
    /// That have come.
    bytes: usize,
}

// === Sieve ===

impl Sieve {
    /// Takes the next piece of the page.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes += piece.len();
        let mut rest = piece;
        if !self.begun.is_empty() {
            let Some(end) = memchr(b'\n', rest) else {
                self.begun.extend_from_slice(rest);
                return;
            };
            self.begun.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            keep(&mut self.kept, &self.begun);
            self.begun.clear();
        }
        let whole = memrchr(b'\n', rest).map_or(0, |last| last + 1);
        let (lines, begun) = rest.split_at(whole);
        for line in page::lines(lines) {
            keep(&mut self.kept, line);
        }
        self.begun.extend_from_slice(begun);
    }

    /// What the whole page says, as [`scan_of`] reads it.
    ///
    /// # Errors
    /// When no family of the table was on it.
    pub fn scan(mut self, said: EngineKind) -> Result<Metrics, MetricsError> {
        keep(&mut self.kept, &self.begun);
        let of_whole_page =
            |MetricsError::NotAnEngine { .. }| MetricsError::NotAnEngine { bytes: self.bytes };
        scan_of(said, &self.kept).map_err(of_whole_page)
    }
}

/// Adds a line, if it matters.
fn keep(kept: &mut Vec<u8>, line: &[u8]) {
    if matches!(line.first(), None | Some(b'#')) {
        return;
    }
    let rows = table::split(page::name(line)).map(|(engine, family)| engine.rows(family));
    if rows.is_some_and(|rows| !rows.is_empty()) {
        kept.extend_from_slice(line);
        kept.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP vllm:num_requests_running Running.\n\
        vllm:num_requests_running{engine=\"0\"} 2.0\n\n\
        vllm:num_requests_waiting{engine=\"0\"} 3.0\r\n\
        vllm:e2e_request_latency_seconds_bucket{le=\"0.3\"} 1.0\n\
        # vllm:kv_cache_usage_perc 0.9\n\
        vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\n\
        python_gc_objects_collected_total{generation=\"0\"} 1.0\n\
        vllm:prompt_tokens_total{engine=\"0\"} 10.0";

    fn sifted(page: &[u8], piece: usize) -> Result<Metrics, MetricsError> {
        let mut sieve = Sieve::default();
        page.chunks(piece).for_each(|piece| sieve.push(piece));
        sieve.scan(EngineKind::Unknown)
    }

    #[test]
    fn a_page_in_pieces_says_what_the_whole_says() {
        let whole = scan_of(EngineKind::Unknown, PAGE.as_bytes());
        assert!(whole.as_ref().is_ok_and(|metrics| metrics.prompt_tokens == Some(10.0)), "{whole:?}");
        for piece in 1..=PAGE.len() {
            assert_eq!(sifted(PAGE.as_bytes(), piece), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn recorded_pages_say_the_same_in_pieces() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/metrics");
        let pages: Vec<Vec<u8>> = std::fs::read_dir(folder)
            .expect("recorded pages")
            .map(|file| std::fs::read(file.expect("a file").path()).expect("a page"))
            .collect();
        assert!(pages.len() > 5);
        for page in pages {
            let whole = scan_of(EngineKind::Unknown, &page);
            assert!(whole.is_ok());
            for piece in [1, 7, 1_000, 16_384] {
                assert_eq!(sifted(&page, piece), whole);
            }
        }
    }

    #[test]
    fn what_was_left_out_is_not_held() {
        let filler = "python_gc_objects_collected_total{generation=\"0\"} 1.0\n".repeat(1_000);
        let mut sieve = Sieve::default();
        for piece in format!("{filler}{PAGE}\n{filler}").as_bytes().chunks(8_192) {
            sieve.push(piece);
        }
        assert!(sieve.kept.capacity() + sieve.begun.capacity() < 2_048, "{}", sieve.kept.capacity());
        assert!(sieve.scan(EngineKind::Unknown).is_ok());
    }

    #[test]
    fn a_page_of_no_engine_is_told_by_its_own_size() {
        assert_eq!(sifted(b"up 1\nx 2\n", 3), Err(MetricsError::NotAnEngine { bytes: 9 }));
    }
}
