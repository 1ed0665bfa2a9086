//! `cargo xtask image`: builds the container images, with docker or podman.
//!
//! Everything is compiled inside, so that an image does not depend on the machine that makes it.

use std::process::Command;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::{step, workspace};

const FILE: &str = "deploy/image/Dockerfile";
/// Either takes the same words.
const PROGRAMS: [&str; 2] = ["docker", "podman"];
const INSTALL: &str = "install docker (Debian: apt-get install docker.io; its service must run) or podman (apt-get install podman)";

/// Build the container images of router, agent and simulated engine
///
/// With docker, or podman where docker does not answer. Compiles everything inside, kernel programs too: half an hour on two
/// cores the first time, with a network. Images are named warmlane-router:VERSION and so on, as the manifests name them.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Only these; all by default
    #[arg(value_enum, value_name = "IMAGE")]
    images: Vec<Image>,
    /// Name them NAME/warmlane-router:VERSION and so on, as for a registry
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Print the commands, and run none
    #[arg(long)]
    print: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Image {
    Router,
    Agent,
    Sim,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let images = match args.images.as_slice() {
        [] => Image::value_variants(),
        some => some,
    };
    let program = if args.print { PROGRAMS[0] } else { program()? };
    for image in images {
        let words = words(*image, args.registry.as_deref());
        if args.print {
            println!("{program} {}", words.join(" "));
        } else {
            step::shown(Command::new(program).args(words).current_dir(workspace::root()))?;
        }
    }
    Ok(())
}

/// The first that can build: docker's client is there on many machines without its service.
fn program() -> anyhow::Result<&'static str> {
    let answers = |program: &&&str| step::output(Command::new(program).arg("info")).is_some();
    let found = PROGRAMS.iter().find(answers).copied();
    found.with_context(|| {
        format!("neither docker nor podman answers `info` here: {INSTALL}; --print shows what would be run")
    })
}

fn words(image: Image, registry: Option<&str>) -> Vec<String> {
    let target = image.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let place = registry.map(|registry| format!("{registry}/")).unwrap_or_default();
    let tag = format!("{place}warmlane-{target}:{version}");
    ["build", "--file", FILE, "--target", &target, "--tag", &tag, "."].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_as_manifests_name_them() {
        let version = env!("CARGO_PKG_VERSION");
        let plain = words(Image::Router, None).join(" ");
        assert_eq!(plain, format!("build --file {FILE} --target router --tag warmlane-router:{version} ."));
        let placed = words(Image::Sim, Some("registry.example.com/team"));
        assert!(placed.contains(&format!("registry.example.com/team/warmlane-sim:{version}")), "{placed:?}");
    }

    #[test]
    fn every_image_is_a_stage_of_the_file() {
        let file = std::fs::read_to_string(workspace::root().join(FILE)).unwrap();
        for image in Image::value_variants() {
            let name = words(*image, None)[4].clone();
            assert!(file.lines().any(|line| line.ends_with(&format!(" AS {name}"))), "{name}");
        }
    }
}
