//! The nodes of a demo: one agent for each simulated replica, over a fake NVML with one card of its own.
//!
//! A card's script is a file beside the logs, read again whenever it changes: that is how a card is made to fail.

use std::{net::SocketAddr, path::PathBuf, process::Command};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Binaries, plan::Card, process::Process};
use crate::nvml;
use warmlane_xtask::workspace;

/// Where a card's energy counter starts again after a reset, in millijoules. Far below [`nvml::card`]'s.
const ENERGY_AFTER_RESET: u64 = 1_000;

/// One node: its agent and its card.
#[derive(Debug)]
pub(super) struct Node {
    name: String,
    agent: Process,
    script: Value,
    file: PathBuf,
}

impl Node {
    /// Starts the agent of each replica and waits until all listen.
    pub(super) fn start_all(
        binaries: &Binaries,
        cards: &[Card],
        replicas: &[SocketAddr],
    ) -> anyhow::Result<Vec<Self>> {
        let cards_and_replicas = cards.iter().zip(replicas).enumerate();
        let mut nodes = cards_and_replicas
            .map(|(number, (card, replica))| Self::start(binaries, number, *card, *replica))
            .collect::<anyhow::Result<Vec<Self>>>()?;
        nodes.iter_mut().try_for_each(|node| node.agent.wait())?;
        Ok(nodes)
    }

    fn start(binaries: &Binaries, number: usize, card: Card, replica: SocketAddr) -> anyhow::Result<Self> {
        let name = name(number);
        let file = workspace::target().join("demo").join(format!("{name}.json"));
        let script = script(number, card);
        publish(&script, &file)?;
        let mut command = Command::new(&binaries.agent);
        command.args(["--node", &name, "--engine", &replica.to_string()]);
        for listener in ["--listen", "--metrics", "--admin"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.arg("--nvml-lib");
        command.arg(&binaries.fake_nvml).env("WARMLANE_FAKE_NVML", &file);
        let agent = Process::start(&format!("agent {}", number + 1), &mut command)?;
        Ok(Self { name, agent, script, file })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where routers dial.
    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        self.agent.address(Some("node"))
    }

    /// An error once its agent has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.agent.check()
    }

    /// Its driver reports an XID.
    pub(super) fn raise(&mut self, xid: u64) -> anyhow::Result<()> {
        raise(&mut self.script, xid);
        publish(&self.script, &self.file)
    }

    /// Its card is reset, which shows in a counter that starts again.
    pub(super) fn reset(&mut self) -> anyhow::Result<()> {
        reset(&mut self.script);
        publish(&self.script, &self.file)
    }
}

/// Counts from 1, as replicas do where people see them.
fn name(number: usize) -> String {
    format!("node-{}", number + 1)
}

fn script(number: usize, card: Card) -> Value {
    let mut device = nvml::card(number);
    device["name"] = json!(format!("NVIDIA {}", card.title()));
    device["values"]["nvmlDeviceGetMemoryInfo_v2.total"] = json!(card.memory());
    device["xids"] = json!([]);
    json!({ "driver": "570.86.10", "devices": [device] })
}

fn raise(script: &mut Value, xid: u64) {
    if let Some(xids) = script["devices"][0]["xids"].as_array_mut() {
        xids.push(json!(xid));
    }
}

fn reset(script: &mut Value) {
    script["devices"][0]["values"]["nvmlDeviceGetTotalEnergyConsumption"] = json!(ENERGY_AFTER_RESET);
}

fn publish(script: &Value, file: &std::path::Path) -> anyhow::Result<()> {
    nvml::publish(script, file).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_one_sound_card_of_its_replicas_kind() {
        let script = script(3, Card::L20);
        assert_eq!(script["devices"].as_array().unwrap().len(), 1);
        let card = &script["devices"][0];
        assert_eq!((&card["uuid"], &card["name"]), (&json!("GPU-3"), &json!("NVIDIA L20")));
        assert_eq!(card["xids"], json!([]));
    }

    #[test]
    fn xids_are_raised_behind_those_before_and_a_reset_sets_the_energy_back() {
        let mut script = script(0, Card::A10);
        let energy = |script: &Value| {
            script["devices"][0]["values"]["nvmlDeviceGetTotalEnergyConsumption"].as_u64().unwrap()
        };
        let before = energy(&script);
        raise(&mut script, 79);
        raise(&mut script, 119);
        reset(&mut script);
        assert_eq!(script["devices"][0]["xids"], json!([79, 119]));
        assert!(energy(&script) < before);
    }
}
