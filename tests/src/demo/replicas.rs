//! The replicas of a demo: simulated ones that are started anew for each route, or real engines that stay.

use std::{net::SocketAddr, path::PathBuf, process::Command};

use anyhow::Context as _;

use super::{
    Binaries,
    plan::{Card, Engines, MODEL, Plan},
    process::Process,
};
use warmlane_xtask::vllm::{Fleet, Install};

/// The replicas that run.
#[derive(Debug)]
pub(super) enum Replicas {
    Sim { kit: Kit, running: Vec<Process> },
    Real(Fleet),
}

/// What it takes to start simulated replicas again.
#[derive(Debug)]
pub(super) struct Kit {
    binary: PathBuf,
    cards: Vec<Card>,
    adapters: String,
    time_scale: f64,
}

impl Replicas {
    pub(super) fn start(plan: &Plan, binaries: &Binaries) -> anyhow::Result<Self> {
        match plan.engines {
            Engines::Sim => {
                let kit = Kit {
                    binary: binaries.sim.clone(),
                    cards: plan.cards.clone(),
                    adapters: plan.adapters.join(","),
                    time_scale: plan.time_scale,
                };
                Ok(Self::Sim { kit, running: Vec::new() })
            }
            Engines::Real => {
                let mut fleet = Fleet::start_anywhere(&Install::ensure()?, 2)?;
                fleet.wait_until_ready()?;
                Ok(Self::Real(fleet))
            }
        }
    }

    /// Fresh replicas with empty caches. Real engines take a minute and a half to start, so they stay as they are.
    pub(super) fn renew(&mut self) -> anyhow::Result<()> {
        if let Self::Sim { kit, running } = self {
            running.clear();
            for number in 0..kit.cards.len() {
                running.push(kit.start(number)?);
            }
            running.iter_mut().try_for_each(Process::wait)?;
        }
        Ok(())
    }

    pub(super) fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        match self {
            Self::Sim { running, .. } => running.iter().map(|process| process.address(None)).collect(),
            Self::Real(fleet) => {
                let parse =
                    |address: String| address.parse().with_context(|| format!("no address: {address}"));
                fleet.engines().iter().map(|engine| parse(engine.address())).collect()
            }
        }
    }

    /// An error once one of them has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Sim { running, .. } => running.iter_mut().try_for_each(Process::check),
            Self::Real(fleet) => fleet.check(),
        }
    }
}

impl Kit {
    fn start(&self, number: usize) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.binary);
        command.args(["--listen", "127.0.0.1:0", "--model", MODEL, "--lora", &self.adapters]);
        command.args(["--profile", self.cards[number].profile()]);
        command.args(["--time-scale", &self.time_scale.to_string()]);
        Process::start(&format!("replica {}", number + 1), &mut command)
    }
}
