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
use warmlane_scrape::Rhythm;
use warmlane_tls::Pair;

use crate::{gpu::LibrarySource, kubelet::PodName};

/// Reads the engines and GPUs of one node and tells every router of them.
///
/// Each engine is read once, however many routers there are, and never for more than a thirtieth of its time.
#[derive(Clone, Debug, Parser)]
#[command(name = "warmlane-agent", version, after_help = EXAMPLES)]
pub struct Config {
    /// The node's name, as routers and logs show it
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
        value_delimiter = ',',
        required = true
    )]
    pub engines: Vec<EngineFlag>,

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
  warmlane-agent --node gpu-1 --engine 127.0.0.1:8000 --tls tls.crt,tls.key --tls-client-ca ca.crt
  warmlane-router --endpoint 127.0.0.1:8000,127.0.0.1:8001 --agent 127.0.0.1:9010
  curl http://127.0.0.1:9011/metrics            what it reads, and how often
  curl http://127.0.0.1:9091/debug/agents       what a router has heard of it";

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
        let mut seen = HashSet::new();
        if let Some(twice) = self.engines.iter().find(|engine| !seen.insert(&engine.address)) {
            return Err(format!("--engine: {} is there twice", twice.address));
        }
        if self.node.trim().is_empty() {
            return Err("--node: it is empty; routers and logs show it".to_owned());
        }
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
mod tests {
    use super::*;

    fn parse(flags: &str) -> Result<Config, String> {
        let words = ["warmlane-agent", "--node", "n"].into_iter().chain(flags.split_whitespace());
        let config = Config::try_parse_from(words).map_err(|error| error.to_string())?;
        config.check().map(|()| config)
    }

    #[test]
    fn engines_are_listed_in_one_flag_or_several() {
        let config = parse("--engine a:1,b:2 --engine [::1]:3").expect("good flags");
        let addresses: Vec<&str> = config.engines.iter().map(|engine| &*engine.address).collect();
        assert_eq!(addresses, ["a:1", "b:2", "[::1]:3"]);
        assert!(config.engines.iter().all(|engine| engine.pod.is_none()));
        assert_eq!((config.listen.port(), config.metrics.port()), (9010, 9011));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_write() {
        for (flags, told) in [
            ("", "--engine"),
            ("--engine http://a:1", "no http://"),
            ("--engine a", "HOST:PORT"),
            ("--engine a:0", "HOST:PORT"),
            ("--engine a:1,a:1", "twice"),
            ("--engine a:1,b:1 --kv-events a:2", "1 addresses for 2 engines"),
            ("--engine a:1 --kv-events x", "HOST:PORT"),
            ("--engine a:1=llm/x,a:1=llm/y", "twice"),
            ("--engine a:1 --log-level verbose", "is no level"),
            ("--engine a:1=", "NAMESPACE/POD"),
            ("--engine a:1=vllm-0", "NAMESPACE/POD"),
            ("--engine a:1=llm/vllm_0", "NAMESPACE/POD"),
            ("--engine llm/vllm-0=a:1", "NAMESPACE/POD"),
            ("--engine a:1 --tls a.crt", "CERT,KEY"),
            ("--engine a:1 --tls a.crt,", "CERT,KEY"),
            ("--engine a:1 --tls-client-ca ca.crt", "give --tls CERT,KEY too"),
            ("--engine a=llm/vllm-0", "HOST:PORT"),
        ] {
            let error = parse(flags).expect_err(flags);
            assert!(error.contains(told), "{flags}: {error}");
        }
    }

    #[test]
    fn kv_events_stand_in_the_order_of_the_engines() {
        let config = parse("--engine a:1,b:1 --kv-events none,b:5557").expect("good flags");
        assert_eq!(config.kv_events, [None, Some("b:5557".to_owned())]);
    }

    #[test]
    fn an_engine_may_name_its_pod_and_a_pod_may_have_several() {
        let config = parse("--engine a:1=llm/x-0,a:2=llm/x-0,b:1").expect("good flags");
        let pods: Vec<_> =
            config.engines.iter().map(|engine| engine.pod.as_ref().map(ToString::to_string)).collect();
        assert_eq!(pods, [Some("llm/x-0".to_owned()), Some("llm/x-0".to_owned()), None]);
    }

    #[test]
    fn the_kubelet_is_asked_where_it_always_is_unless_told_otherwise() {
        let socket = |flags: &str| parse(&format!("--engine a:1 {flags}")).expect("good flags").kubelet();
        assert_eq!(socket(""), Some(PathBuf::from("/var/lib/kubelet/pod-resources/kubelet.sock")));
        assert_eq!(socket("--kubelet-socket /k.sock"), Some(PathBuf::from("/k.sock")));
        assert_eq!(socket("--kubelet-socket none"), None);
    }

    #[test]
    fn the_library_may_be_left_alone() {
        let library = |flags: &str| parse(&format!("--engine a:1 {flags}")).expect("good flags").library();
        assert!(matches!(library(""), LibrarySource::Default));
        assert!(matches!(library("--nvml-lib none"), LibrarySource::None));
        assert!(
            matches!(library("--nvml-lib /x.so"), LibrarySource::Path(path) if path.as_os_str() == "/x.so")
        );
    }
}
