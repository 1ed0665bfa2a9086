//! What is written about requests, and kept of them.

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `tracing` filter directives. `info`.
    pub level: String,
    /// One JSON object per line instead of text.
    pub json: bool,
    /// One line per request. False by default: at thousands of requests a second it costs more than routing.
    pub access: bool,
    /// Decisions that are kept for the debug pages. 1,024 of each worker; 0: none.
    pub decisions: usize,
}
