//! Reads the engines and GPUs of one node and tells every router of them.
//!
//! Start reading at [`app`], which puts it together: [`kube`] says which engines there are where flags do not, `engines`, [`gpu`] and
//! [`kubelet`] find out, [`node`] is what is known, `publish` tells it. It never chooses a replica: that is the picker's.

#![forbid(unsafe_code)]

pub mod app;
pub mod cache;
pub mod config;
mod engines;
pub mod gpu;
mod incoming;
pub mod join;
pub mod kube;
pub mod kubelet;
mod message;
pub mod metrics;
pub mod node;
mod pace;
mod pages;
pub mod publish;
pub mod score;
mod tls;
