//! Generates the contract's code from `proto/`. Compiled by protox, so that no machine needs protoc.

use std::error::Error;

const NODE: &str = "proto/warmlane/node/v1/node.proto";
const KUBELET: &str = "proto/kubelet/podresources/v1/podresources.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile([NODE, KUBELET], ["proto"])?;
    // Lists of models are passed on as they came: slices of the message, not copies.
    tonic_prost_build::configure().bytes(".warmlane.node.v1.ModelList").compile_fds(files)?;
    Ok(())
}
