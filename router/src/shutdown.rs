//! How far the process is on its way out.

/// See the module's header. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Not at all.
    #[default]
    Serving,
    /// Readiness says no, and all is served as before: whoever sends requests here is given time to notice.
    Announced,
    /// No new connection is taken; what is open runs to its end.
    Draining,
}

// === Shutdown ===

impl Shutdown {
    /// Whether new requests should go elsewhere.
    pub fn is_announced(self) -> bool {
        self >= Self::Announced
    }

    /// Whether new connections are refused.
    pub fn is_draining(self) -> bool {
        self >= Self::Draining
    }
}
