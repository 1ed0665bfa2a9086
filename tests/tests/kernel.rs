//! The kernel lane on this kernel: responses spliced from a pod's socket to a client's connection, and all that can come
//! between. Real programs, real sockets; no engine and no router around them.

#[path = "kernel/privileged.rs"]
mod privileged;
