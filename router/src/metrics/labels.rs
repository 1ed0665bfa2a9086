//! The label values.

use super::Label;

mod elsewhere;

/// Declares an enum of label values with its names.
macro_rules! labels {
    ($(#[$doc:meta])* $enum:ident { $($(#[$value_doc:meta])* $value:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $enum {
            $($(#[$value_doc])* $value,)*
        }

        impl Label for $enum {
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn index(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)*
                }
            }
        }
    };
}

labels! {
    /// Where a request came in.
    Listener {
        /// No inference awareness.
        Plain = "plain",
        /// The picker decides.
        Aware = "aware",
        /// Envoy asks the picker.
        ExtProc = "ext_proc",
    }
}

labels! {
    /// Why the router answered a request itself, or cut its response.
    ErrorReason {
        /// The client's bytes are not a request.
        Framing = "framing",
        /// The body cannot be routed.
        Body = "body",
        /// The body is over the limit.
        TooLarge = "too_large",
        /// The process holds as many body bytes as it may.
        OverBudget = "over_budget",
        /// As many connections and streams are open as may be.
        Crowded = "crowded",
        /// The request did not come in time.
        SlowClient = "slow_client",
        /// No replica lists the model.
        UnknownModel = "unknown_model",
        /// The pool is empty, or every replica is down, asleep or failed.
        NoEndpoint = "no_endpoint",
        /// Sheddable, and every replica is saturated.
        Shed = "shed",
        /// Neither the chosen replica nor a fallback answered.
        Upstream = "upstream",
        /// No response began in time.
        Timeout = "timeout",
        /// The client closed its connection before it was answered.
        ClientGone = "client_gone",
        /// The replica broke off in the middle of its response.
        ResponseCut = "response_cut",
        /// The engine gave its answer up by an error event in a stream.
        ErrorEvent = "error_event",
        /// A response that had begun fell silent.
        StreamIdle = "stream_idle",
        /// The router stopped before the response ended.
        Draining = "draining",
        /// Bytes of the response were lost on the kernel lane, or others came between: it was cut.
        Lane = "lane",
    }
}

labels! {
    /// Why a request was sent once more.
    RetryReason {
        /// The replica could not be connected to.
        Connect = "connect",
        /// Connecting took too long.
        ConnectTimeout = "connect_timeout",
        /// The connection broke before an answer.
        Broken = "broken",
        /// The replica closed the connection without an answer.
        Closed = "closed",
        /// The replica answered 502.
        BadGateway = "bad_gateway",
        /// The replica answered 503.
        Busy = "busy",
        /// The replica answered that it is shutting down.
        Terminating = "terminating",
        /// The replica's stream began with an error.
        ErrorEvent = "error_event",
        /// The replica stopped responding while the request waited there.
        Abandoned = "abandoned",
    }
}

labels! {
    /// How an exchange with Envoy ended.
    StreamEnd {
        /// The response was seen to its end.
        Complete = "complete",
        /// The request was routed, its response began, and Envoy told no more of it.
        Routed = "routed",
        /// The request was routed, and nothing was seen of its response: Envoy shows no heads, or the client left.
        Unseen = "unseen",
        /// Envoy, or a filter of its, answered instead of an endpoint.
        Gateway = "gateway",
        /// An error 500 or above was seen to its end, and Envoy does not tell whether an endpoint gave it.
        Error = "error",
        /// The router answered itself.
        Refused = "refused",
        /// Envoy gave it up before its end: its client left, mostly.
        Abandoned = "abandoned",
        /// Envoy said nothing for too long.
        Silent = "silent",
        /// Messages came in an order in which they make no sense.
        WrongOrder = "wrong_order",
        /// A message held nothing that is known, or could not be read.
        Unreadable = "unreadable",
        /// The filter is configured so that nothing can be picked.
        Misconfigured = "misconfigured",
    }
}

impl StreamEnd {
    /// What a request that ended so has failed by, if it has.
    pub fn failure(self) -> Option<ErrorReason> {
        match self {
            Self::Complete | Self::Routed | Self::Unseen | Self::Gateway | Self::Refused => None,
            Self::Error => Some(ErrorReason::Upstream),
            Self::Abandoned => Some(ErrorReason::ClientGone),
            Self::Silent => Some(ErrorReason::StreamIdle),
            Self::WrongOrder | Self::Unreadable | Self::Misconfigured => Some(ErrorReason::Framing),
        }
    }

    /// The status that Envoy, or who counts for it, sees it end with.
    pub fn code(self) -> &'static str {
        match self {
            Self::Complete | Self::Routed | Self::Unseen | Self::Gateway | Self::Error | Self::Refused => {
                "OK"
            }
            Self::Abandoned => "Canceled",
            Self::Silent => "DeadlineExceeded",
            Self::WrongOrder => "FailedPrecondition",
            Self::Unreadable => "InvalidArgument",
            Self::Misconfigured => "Unimplemented",
        }
    }
}

labels! {
    /// What a client may ask of a response's pace.
    Goal {
        /// Time to the first token.
        Ttft = "ttft",
        /// Time per token after it.
        Tpot = "tpot",
    }
}

labels! {
    /// How loading a changed TLS certificate ended.
    LoadOutcome {
        /// It is in use.
        Ok = "ok",
        /// It cannot be used; the last one stays.
        Failed = "failed",
    }
}

labels! {
    /// A hook of Envoy Gateway's, as it calls them.
    Hook {
        /// Once for each cluster.
        Cluster = "cluster",
        /// Once for each configuration, at its end.
        Translation = "translation",
        /// Once for each route.
        Route = "route",
        /// Once for each virtual host.
        VirtualHost = "virtual_host",
        /// Once for each HTTP listener.
        HttpListener = "http_listener",
    }
}

labels! {
    /// How a call of a hook ended.
    HookOutcome {
        /// It was answered.
        Ok = "ok",
        /// A part of the configuration, or an object, is not what it should be.
        Unreadable = "unreadable",
        /// An InferencePool cannot be routed to.
        Pool = "pool",
        /// Somebody else has changed a cluster's mark.
        Mark = "mark",
        /// The CA of pickers cannot be read.
        Authority = "authority",
        /// The router broke off.
        Broken = "broken",
    }
}

labels! {
    /// A change of the running router, asked for by the admin port.
    ActionKind {
        /// An endpoint gets no new requests.
        Drain = "drain",
        /// It gets them again.
        Undrain = "undrain",
        /// A session is unpinned.
        Unpin = "unpin",
        /// A prefix group is.
        UnpinGroup = "unpin_group",
        /// The kernel lane is switched off or on.
        Lane = "lane",
        /// The log is written by another filter.
        LogLevel = "log_level",
    }
}

labels! {
    /// What became of it.
    ActionOutcome {
        /// It was made.
        Done = "done",
        /// It was so before.
        Unchanged = "unchanged",
        /// Who asked may not.
        Refused = "refused",
        /// It could not be read.
        Unreadable = "unreadable",
        /// There is nothing of that name.
        Absent = "absent",
        /// It cannot be so.
        Impossible = "impossible",
        /// The router could not.
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use warmlane_picker::{PlainPolicy, Source, Strategy};
    use warmlane_scrape::Outcome;

    use super::*;
    use crate::{kernel::Refusal, stage::Stage};

    fn agrees<L: Label>() {
        assert!(L::ALL.iter().enumerate().all(|(at, label)| label.index() == at));
    }

    #[test]
    fn every_label_is_at_its_own_index() {
        agrees::<Listener>();
        agrees::<ErrorReason>();
        agrees::<RetryReason>();
        agrees::<StreamEnd>();
        agrees::<Goal>();
        agrees::<Outcome>();
        agrees::<LoadOutcome>();
        agrees::<Stage>();
        agrees::<Strategy>();
        agrees::<Source>();
        agrees::<PlainPolicy>();
        agrees::<Refusal>();
        agrees::<Hook>();
        agrees::<HookOutcome>();
        agrees::<ActionKind>();
        agrees::<ActionOutcome>();
    }
}
