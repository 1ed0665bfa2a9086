//! The agent's settings: flags, each also an environment variable. Checked once.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use clap::Parser;
use tracing::Level;
use warmlane_engine::metrics::EngineKind;
use warmlane_scrape::Rhythm;
use warmlane_tls::Pair;

use crate::{
    gpu::LibrarySource,
    kubelet::PodName,
    node::{MOST_ENGINES, Named},
};

/// Reads the engines and GPUs of one node and tells every router of them.
///
/// Each engine is read once, however many routers there are, and never for more than a thirtieth of its time.
#[derive(Clone, Debug, Parser)]
#[command(name = "warmlane-agent", version, after_help = EXAMPLES)]
pub struct Config {
    /// The node's name, as routers and logs show it; with --kube, as the cluster does
    #[arg(long, env = "WARMLANE_NODE", value_name = "NAME")]
    pub node: String,

    /// Engines on this node, each with its pod where it has one. May be given several times
    ///
    /// With the pod named, the engine is known to run on the GPUs that the kubelet gave to that pod: when one fails, it and no
    /// other is taken out. Several ports of one pod are several engines
    #[arg(
        long = "engine",
        env = "WARMLANE_ENGINE",
        value_name = "HOST:PORT[=NAMESPACE/POD][,...]",
        value_delimiter = ','
    )]
    pub engines: Vec<EngineFlag>,

    /// Find this node's engines in the cluster: the pods on it that an InferencePool selects, at the pool's target ports
    ///
    /// Beside or instead of --engine: an address that stands there is what it says there. Pods say where they publish KV events
    /// by the annotation warmlane.dev/kv-events
    #[arg(long, env = "WARMLANE_KUBE")]
    pub kube: bool,

    /// How to reach the cluster's API server; the pod's own service account where none is given
    #[arg(long, env = "WARMLANE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Where the engines publish KV events (ZMQ): one for each --engine, in the same order, or none. An engine replays at the
    /// port behind
    #[arg(long, env = "WARMLANE_KV_EVENTS", value_name = "HOST:PORT|none[,...]", value_delimiter = ',', value_parser = host_and_port_or_none)]
    pub kv_events: Vec<Option<String>>,

    /// Where routers dial: gRPC, in the clear unless --tls is given
    #[arg(long, env = "WARMLANE_LISTEN", value_name = "ADDR", default_value_t = any(9010))]
    pub listen: SocketAddr,

    /// Speak to routers by TLS: PEM files of the certificate chain that they are shown, and of its private key
    ///
    /// Looked at every second: new connections use what is there then, open ones go on
    #[arg(long, env = "WARMLANE_TLS", value_name = "CERT,KEY")]
    pub tls: Option<Pair>,

    /// Let only routers in that show a certificate signed by the CA in this PEM file; with --tls
    #[arg(long, env = "WARMLANE_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// /metrics, /healthz and /readyz
    #[arg(long, env = "WARMLANE_METRICS", value_name = "ADDR", default_value_t = any(9011))]
    pub metrics: SocketAddr,

    /// /debug/node: what it knows of its node, for people on it; keep it on loopback
    #[arg(long, env = "WARMLANE_ADMIN", value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 9012)))]
    pub admin: SocketAddr,

    /// The NVML library of the driver; none: do not look at GPUs
    #[arg(long, env = "WARMLANE_NVML_LIB", value_name = "PATH|none", default_value = "libnvidia-ml.so.1")]
    pub nvml_lib: PathBuf,

    /// The kubelet's pod-resources socket, which tells which pod has which GPU; none: do not ask
    ///
    /// In a container mount its directory, not the socket: the kubelet makes it anew when it starts
    #[arg(long, env = "WARMLANE_KUBELET_SOCKET", value_name = "PATH|none", default_value = KUBELET_SOCKET)]
    pub kubelet_socket: PathBuf,

    /// error, warn, info, debug, trace, or per module
    #[arg(long, env = "WARMLANE_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: String,

    /// One JSON object per line instead of text
    #[arg(long, env = "WARMLANE_LOG_JSON")]
    pub log_json: bool,
}

/// An engine as it is given: its address, and its pod where that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFlag {
    /// `HOST:PORT`, as routers write their `--endpoint`.
    pub address: String,
    /// Whose GPUs are the engine's.
    pub pod: Option<PodName>,
}

/// Where every kubelet has it.
const KUBELET_SOCKET: &str = "/var/lib/kubelet/pod-resources/kubelet.sock";

const EXAMPLES: &str = "\
Examples:
  warmlane-agent --node gpu-1 --engine 127.0.0.1:8000,127.0.0.1:8001
  warmlane-agent --node gpu-1 --engine 127.0.0.1:8000 --kv-events 127.0.0.1:5557
  warmlane-agent --node gpu-1 --engine 10.0.3.7:8000=llm/qwen-0,10.0.3.9:8000=llm/qwen-1
  warmlane-agent --node gpu-1 --kube            engines that InferencePools select on the cluster's node gpu-1
  warmlane-agent --node gpu-1 --kube --kubeconfig ~/.kube/config --engine 127.0.0.1:8000
  warmlane-agent --node gpu-1 --engine 127.0.0.1:8000 --tls tls.crt,tls.key --tls-client-ca ca.crt
  warmlane-router --endpoint 127.0.0.1:8000,127.0.0.1:8001 --agent 127.0.0.1:9010
  curl http://127.0.0.1:9011/metrics            what it reads, and how often
  curl http://127.0.0.1:9091/debug/agents       what a router has heard of it
  curl http://127.0.0.1:9012/debug/node         what it knows of its node, and who follows it; or, for people:
  warmlane --agent 127.0.0.1:9012 agents";

/// How often engines are read; the router's own readers do as these, but each by itself.
const RHYTHM: Rhythm = Rhythm {
    min_interval: Duration::from_millis(50),
    max_interval: Duration::from_secs(1),
    timeout: Duration::from_secs(2),
    // Engines whose load moves are then read on every second one: half as many wake-ups of the node's core.
    beat: Some(Duration::from_millis(25)),
};

// === Config ===

impl Config {
    /// What parsing one flag at a time does not see.
    ///
    /// # Errors
    /// With the flag, what is wrong, and what to write.
    pub fn check(&self) -> Result<(), String> {
        self.check_engines()?;
        if self.node.trim().is_empty() {
            return Err("--node: it is empty; routers and logs show it".to_owned());
        }
        self.check_kube()?;
        self.check_log_level()?;
        if self.tls_client_ca.is_some() && self.tls.is_none() {
            return Err(
                "--tls-client-ca: nobody shows a certificate without TLS; give --tls CERT,KEY too".to_owned()
            );
        }
        match (self.kv_events.len(), self.engines.len()) {
            (0, _) => Ok(()),
            (events, engines) if events == engines => Ok(()),
            (events, engines) => Err(format!(
                "--kv-events: {events} addresses for {engines} engines; write one for each, in the same order, or none for one \
                 that publishes nothing"
            )),
        }
    }

    fn check_engines(&self) -> Result<(), String> {
        if self.engines.is_empty() && !self.kube {
            return Err("neither --engine nor --kube: write --engine HOST:PORT, or --kube to find engines in the cluster".to_owned());
        }
        if self.engines.len() > MOST_ENGINES {
            let many = self.engines.len();
            return Err(format!("--engine: {many} engines; an agent reads {MOST_ENGINES} at most"));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = self.engines.iter().find(|engine| !seen.insert(&engine.address)) {
            return Err(format!("--engine: {} is there twice", twice.address));
        }
        Ok(())
    }

    fn check_kube(&self) -> Result<(), String> {
        // It becomes a part of what is asked of the API server.
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if self.kube && !self.node.chars().all(is_name) {
            return Err(format!(
                "--node: {:?} is no name of a Kubernetes node, which --kube needs: write it as `kubectl get nodes` shows it",
                self.node
            ));
        }
        match &self.kubeconfig {
            Some(_) if !self.kube => Err("--kubeconfig: of use with --kube only".to_owned()),
            _ => Ok(()),
        }
    }

    /// A bare word that is no level would be taken for a module, and everything else would fall silent.
    fn check_log_level(&self) -> Result<(), String> {
        let is_level = |word: &str| word == "off" || word.parse::<Level>().is_ok();
        let mut words = self.log_level.split(',').map(str::trim);
        match words.find(|word| !word.contains(['=', '[', ':']) && !is_level(word)) {
            None => Ok(()),
            Some(stray) => Err(format!(
                "--log-level: {stray:?} is no level; write error, warn, info, debug, trace, or MODULE=LEVEL"
            )),
        }
    }

    /// The engines that are listed.
    pub fn named(&self) -> Vec<Named> {
        let events = self.kv_events.iter().map(Option::as_deref).chain(std::iter::repeat(None));
        let named = |(flag, events): (&EngineFlag, Option<&str>)| Named {
            address: flag.address.as_str().into(),
            pod: flag.pod.clone(),
            uid: "".into(),
            kv_events: events.map(Into::into),
            runtime: EngineKind::Unknown,
        };
        self.engines.iter().zip(events).map(named).collect()
    }

    /// When engines are read.
    pub fn rhythm(&self) -> Rhythm {
        RHYTHM
    }

    /// Where NVML is.
    pub fn library(&self) -> LibrarySource {
        match self.nvml_lib.to_str() {
            Some("none") => LibrarySource::None,
            Some("libnvidia-ml.so.1") => LibrarySource::Default,
            _ => LibrarySource::Path(self.nvml_lib.clone()),
        }
    }

    /// The kubelet's socket, unless it is not to be asked.
    pub fn kubelet(&self) -> Option<PathBuf> {
        (self.kubelet_socket.as_os_str() != "none").then(|| self.kubelet_socket.clone())
    }
}

// === EngineFlag ===

impl FromStr for EngineFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, pod) = text.split_once('=').map_or((text, None), |(address, pod)| (address, Some(pod)));
        let pod = pod.map(PodName::from_str).transpose().map_err(|error| error.to_string())?;
        Ok(Self { address: host_and_port(address)?, pod })
    }
}

fn any(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}

fn host_and_port(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains('/'));
    match port.and_then(|(_, port)| port.parse().ok()) {
        Some(1..=u16::MAX) => Ok(text.to_owned()),
        _ => Err("write HOST:PORT, such as 127.0.0.1:8000 or gpu-a:8000; no http://".to_owned()),
    }
}

fn host_and_port_or_none(text: &str) -> Result<Option<String>, String> {
    match text {
        "none" => Ok(None),
        _ if text.ends_with(":65535") => Err("port 65535 has none behind it for replays".to_owned()),
        _ => host_and_port(text).map(Some),
    }
}

#[cfg(test)]
mod tests;
