//! The stages of a request, in order. The one enum behind the code's file names, the span, the histogram
//! label, the access log and the chart in ARCHITECTURE.md.

/// Where a request is on its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Taking what the picker needs from head and body.
    Read,
    /// Pass or shed.
    Admit,
    /// Choosing the endpoint.
    Pick,
    /// Getting a connection to it and sending the request.
    Connect,
    /// Streaming the response.
    Relay,
    /// Feeding back what happened.
    Done,
}

// === Stage ===

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 6] = [Self::Read, Self::Admit, Self::Pick, Self::Connect, Self::Relay, Self::Done];

    /// Name in labels, spans and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admit => "admit",
            Self::Pick => "pick",
            Self::Connect => "connect",
            Self::Relay => "relay",
            Self::Done => "done",
        }
    }
}
