//! Why the lane is off, or not taken. Each message is one line for an operator.

use std::{io, path::PathBuf};

/// Why the lane could not be laid.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No object.
    #[error("kernel programs cannot be read at {}: {error}; `cargo xtask ebpf` builds them", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// An object of another version, or of something else.
    #[error("{} does not fit this router ({why}): build both from one checkout, it by `cargo xtask ebpf`", path.display())]
    Unfit {
        /// Where it is.
        path: PathBuf,
        /// What shows it.
        why: String,
    },
    /// No cgroup to attach to.
    #[error("no cgroup v2 to attach to ({0}): mount one, or in a pod the host's; --lane-cgroup names it")]
    Cgroup(String),
    /// The kernel does not describe itself.
    #[error("the kernel's type information is of no use ({0}): it needs CONFIG_DEBUG_INFO_BTF")]
    Types(String),
    /// Not allowed.
    #[error("{what}: not permitted; the lane needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    Privilege {
        /// What was tried.
        what: &'static str,
    },
    /// The verifier refused a program.
    #[error(
        "the kernel refuses the program `{program}`: {why}; CAP_PERFMON is missing, or the kernel is too old"
    )]
    Refused {
        /// Its name.
        program: &'static str,
        /// The verifier's last words.
        why: String,
    },
    /// Something that this kernel cannot do.
    #[error("{what}: {why}; this kernel may be too old for the lane")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        why: String,
    },
}

/// Why a connection or a response does not take the lane. It goes by copy then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The system does not tell what is asked of the socket.
    #[error("the socket is no connected TCP socket")]
    Socket,
    /// The connection was not announced before it was made, or there was no room to note it.
    #[error("the connection was not announced")]
    Early,
    /// It was announced, and no program has seen it begin: none is attached any more, or not where this process is.
    #[error("the connection was not seen as it began")]
    Unseen,
    /// The other end is on another node, or there was no room for it in the map.
    #[error("the pod's end is not on this node")]
    Remote,
    /// All slots are taken.
    #[error("no slot is free")]
    Full,
    /// The client's connection did not come through a port that was made known, or there was no room for it.
    #[error("the client's connection was not seen as it began")]
    ClientUnseen,
    /// The map of clients is full, or does not take the socket.
    #[error("the client's connection does not fit into the map")]
    ClientFull,
    /// Much still waits to be sent to the client.
    #[error("the client is behind")]
    Behind,
    /// There was no room for an earlier response, at its client or in the machine, or the machine had none as the connection was made.
    #[error("the pod's connection is not on the lane for want of room")]
    Left,
    /// There is nothing left for the lane, or nothing that it can follow.
    #[error("the body's framing is not followed, or it is about to end")]
    Framing,
    /// Somebody switched it off.
    #[error("the lane was switched off by hand")]
    Off,
}

// === Refusal ===

impl Refusal {
    /// All, in their order.
    pub const ALL: [Self; 11] = [
        Self::Socket,
        Self::Early,
        Self::Unseen,
        Self::Remote,
        Self::Full,
        Self::ClientUnseen,
        Self::ClientFull,
        Self::Behind,
        Self::Left,
        Self::Framing,
        Self::Off,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Early => "early",
            Self::Unseen => "unseen",
            Self::Remote => "remote",
            Self::Full => "full",
            Self::ClientUnseen => "client_unseen",
            Self::ClientFull => "client_full",
            Self::Behind => "behind",
            Self::Left => "left",
            Self::Framing => "framing",
            Self::Off => "off",
        }
    }
}

/// What went wrong in the exchange that tries the lane out.
#[derive(Debug, thiserror::Error)]
#[error("the lane's self-test failed at {step}: {why}")]
pub struct SelfTestError {
    /// What was tried.
    pub step: &'static str,
    /// What happened.
    pub why: String,
}
