//! The whole agent in process.

use std::net::SocketAddr;

use serde_json::{Value, json};
use warmlane_agent::{
    app::Agent,
    config::{Config, EngineFlag},
};

use crate::{Wire, kube::FakeApi};

/// An agent on port 0, stopped when dropped.
#[derive(Debug)]
pub struct TestAgent {
    running: Agent,
}

// === TestAgent ===

impl TestAgent {
    /// Starts one over these engines, without GPUs.
    pub fn start(engines: &[SocketAddr]) -> Self {
        Self::with(engines, |_| {})
    }

    /// Starts one that finds the engines of this node in the cluster.
    ///
    /// # Panics
    /// When it does not start.
    pub fn in_cluster(api: &FakeApi, node: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        api.write_kubeconfig(&kubeconfig).expect("it is written");
        Self::with(&[], |config| {
            config.node = node.to_owned();
            (config.kube, config.kubeconfig) = (true, Some(kubeconfig));
        })
    }

    /// The same with other settings.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with(engines: &[SocketAddr], change: impl FnOnce(&mut Config)) -> Self {
        Self::try_with(engines, change).expect("the agent starts")
    }

    /// The same, where it may not start.
    ///
    /// # Errors
    /// When it does not.
    pub fn try_with(engines: &[SocketAddr], change: impl FnOnce(&mut Config)) -> anyhow::Result<Self> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config {
            node: "node-a".to_owned(),
            engines: engines
                .iter()
                .map(|engine| EngineFlag { address: engine.to_string(), pod: None })
                .collect(),
            kv_events: Vec::new(),
            kube: false,
            kubeconfig: None,
            listen: any,
            tls: None,
            tls_client_ca: None,
            metrics: any,
            admin: any,
            nvml_lib: "none".into(),
            kubelet_socket: "none".into(),
            log_level: "info".to_owned(),
            log_json: false,
        };
        change(&mut config);
        Ok(Self { running: Agent::start(config)? })
    }

    /// It as the one agent behind the agents' Service, on this node.
    pub fn slice(&self, node: &str) -> Value {
        let address = self.address();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "warmlane-agent-1", "namespace": "warmlane-system",
                "labels": {"kubernetes.io/service-name": "warmlane-agent"},
            },
            "addressType": "IPv4", "ports": [{"name": "grpc", "port": address.port()}],
            "endpoints": [{"addresses": [address.ip().to_string()], "nodeName": node}],
        })
    }

    /// Where routers dial.
    pub fn address(&self) -> SocketAddr {
        self.running.listen
    }

    /// Where its metrics are.
    pub fn metrics_address(&self) -> SocketAddr {
        self.running.metrics
    }

    /// Where its admin port is.
    pub fn admin_address(&self) -> SocketAddr {
        self.running.admin
    }

    /// The sum of all metric lines that start with `series`.
    pub fn metric(&self, series: &str) -> f64 {
        crate::metric(&Wire::connect(self.running.metrics).get("/metrics").text(), series)
    }
}
