//! At which keys names stand. Pure.

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Host,
    Model,
    Node,
    Pod,
    Pool,
    Request,
}

/// What stands at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A word of ours, which means the same everywhere.
    Ours,
    Name(Kind),
    /// Anything.
    Text,
}

/// By a key and the one above it.
pub(super) fn place(key: &str, above: &str) -> Place {
    match (key, above) {
        ("name", "pools") => Place::Name(Kind::Pool),
        ("name", "models" | "targets") => Place::Name(Kind::Model),
        (
            "model" | "asked_model" | "models" | "serves" | "base" | "adapters" | "active" | "waiting"
            | "model_name" | "target_model_name",
            _,
        ) => Place::Name(Kind::Model),
        (
            "address" | "socket" | "endpoint" | "endpoints" | "router" | "agents" | "fallbacks" | "agent"
            | "hosts" | "lease",
            _,
        )
        | ("name", "agent_tls") => Place::Name(Kind::Host),
        ("node", _) => Place::Name(Kind::Node),
        ("pod" | "pods", _) => Place::Name(Kind::Pod),
        ("pool" | "pools", _) => Place::Name(Kind::Pool),
        ("request_id", _) => Place::Name(Kind::Request),
        (
            "format" | "version" | "listener" | "verdict" | "strategy" | "criticality" | "end" | "mode"
            | "matched_by" | "contact" | "cursor" | "session" | "group" | "seed" | "id" | "generation"
            | "what" | "grade" | "relaxed",
            _,
        ) => Place::Ours,
        _ => Place::Text,
    }
}

// === Kind ===

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Model => "model",
            Self::Node => "node",
            Self::Pod => "pod",
            Self::Pool => "pool",
            Self::Request => "request",
        }
    }
}
