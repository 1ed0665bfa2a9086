//! Streams through a whole router whose kernel lane is on: what takes it, what does not, and every way in which it ends.

#[path = "lane/privileged.rs"]
mod privileged;
