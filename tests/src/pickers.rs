//! Endpoint pickers beside the router's own.

pub mod noop;
