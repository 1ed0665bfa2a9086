//! What the picker promises, checked from outside.

mod admission;
mod capacity;
mod decision;
mod herding;
mod newcomers;
mod pins;
mod plain;
mod pool;
mod silence;
mod threads;
