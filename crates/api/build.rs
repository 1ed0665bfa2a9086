//! Generates the contract's code from `proto/`. Compiled by protox, so that no machine needs protoc.

use std::error::Error;

const NODE: &str = "proto/warmlane/node/v1/node.proto";
const KUBELET: &str = "proto/kubelet/podresources/v1/podresources.proto";
const EXTENSION: &str = "proto/envoygateway/extension/extension.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile([NODE, KUBELET, EXTENSION], ["proto"])?;
    // Lists of models, and what is made for Envoy, are passed on as they came: slices of the message, not copies.
    let slices = [".warmlane.node.v1.ModelList", ".envoygateway.extension"];
    slices
        .into_iter()
        .fold(tonic_prost_build::configure(), |build, path| build.bytes(path))
        .compile_fds(files)?;
    Ok(())
}
