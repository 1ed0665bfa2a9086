//! A pool as Envoy must know it: read from the InferencePool that Envoy Gateway sends, and written into the metadata of the pool's
//! cluster, where a later hook finds it again. So hooks need no memory, and any replica of this server can answer any of them.

use serde_json::Value;
use warmlane_api::extension::ExtensionResource;
use warmlane_api::kube::{FailureMode, GROUP, GROUP_X, Invalid, Picker, Pool, Protocol};

use super::{ExtensionError, envoy, wire::Message};

/// Annotation of a pool: a headless Service, in its namespace, that selects its pods. With it Envoy knows the pods by itself, and
/// can go on without a picker.
pub const REPLICAS: &str = "warmlane.dev/replicas-service";

/// Where a cluster's metadata says what pool it is of.
const MARK: &str = "warmlane.dev";

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `namespace/name`.
    pub pool: String,
    /// Of the picker's Service.
    pub service: String,
    /// Of the picker's Service.
    pub port: u16,
    /// What becomes of requests while the picker is away.
    pub failure: FailureMode,
}

/// A pool as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// What its cluster is marked with; `None` where no picker is named.
    pub backend: Option<Backend>,
    /// `namespace/name`.
    pub name: String,
    /// See [`REPLICAS`].
    pub replicas: Option<String>,
    /// Of its pods.
    pub ports: Vec<u16>,
    /// How its pods are spoken to.
    pub protocol: Protocol,
}

/// The pools among a hook's resources, each once.
pub fn pools(resources: &[ExtensionResource]) -> Result<Vec<Declared>, ExtensionError> {
    let mut pools = Vec::new();
    for resource in resources {
        let object: Value = serde_json::from_slice(&resource.unstructured_bytes)?;
        if object["kind"] == "InferencePool" {
            let pool = Declared::read(&object)?;
            if !pools.contains(&pool) {
                pools.push(pool);
            }
        }
    }
    Ok(pools)
}

// === Declared ===

impl Declared {
    fn read(object: &Value) -> Result<Self, ExtensionError> {
        let metadata = &object["metadata"];
        let filled = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let name = filled(&metadata["name"]).ok_or(ExtensionError::Nameless("metadata.name"))?;
        let namespace =
            filled(&metadata["namespace"]).ok_or(ExtensionError::Nameless("metadata.namespace"))?;
        let pool = format!("{namespace}/{name}");
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let spec = match version.split_once('/') {
            Some((GROUP, "v1")) => v1(&object["spec"]),
            Some((GROUP_X, "v1alpha2")) => {
                Pool::from_v1alpha2(&object["spec"]).map(|spec| (spec, Protocol::default()))
            }
            _ => return Err(ExtensionError::Version { pool, version: version.to_owned() }),
        };
        let (spec, protocol) =
            spec.map_err(|invalid| ExtensionError::Pool { pool: pool.clone(), invalid })?;
        let backend =
            |Picker { service, port, failure }| Backend { pool: pool.clone(), service, port, failure };
        let (backend, replicas) = (spec.picker.map(backend), filled(&metadata["annotations"][REPLICAS]));
        Ok(Self { backend, name: pool, replicas, ports: spec.ports, protocol })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        namespace(&self.name)
    }
}

fn v1(spec: &Value) -> Result<(Pool, Protocol), Invalid> {
    Ok((Pool::from_v1(spec)?, Protocol::from_v1(spec)?))
}

fn namespace(pool: &str) -> &str {
    pool.split_once('/').map_or("", |(namespace, _)| namespace)
}

// === Backend ===

impl Backend {
    /// Its namespace.
    pub fn namespace(&self) -> &str {
        namespace(&self.pool)
    }

    /// Whether requests go on without the picker.
    pub fn fails_open(&self) -> bool {
        self.failure == FailureMode::Open
    }

    /// Writes it into the metadata of a cluster, where there may be more.
    pub fn mark(&self, metadata: &mut Message) {
        let failure = if self.fails_open() { "FailOpen" } else { "FailClose" };
        let port = self.port.to_string();
        let fields =
            [("pool", &*self.pool), ("service", &self.service), ("port", &port), ("failure", failure)];
        let field = |all: Message, (key, text): (&str, &str)| {
            let value = Message::default().with(envoy::VALUE_STRING, text.to_owned());
            all.with(envoy::STRUCT_FIELDS, envoy::entry(key, value))
        };
        let mark = fields.into_iter().fold(Message::default(), field);
        envoy::put(metadata, envoy::METADATA_FILTER, MARK, mark);
    }

    /// What a cluster is marked with; `None` where it is no pool's.
    pub fn of(cluster: &Message) -> Result<Option<Self>, ExtensionError> {
        let Some(metadata) = cluster.message("a cluster's metadata", envoy::CLUSTER_METADATA)? else {
            return Ok(None);
        };
        let Some(mark) = envoy::get(&metadata, envoy::METADATA_FILTER, MARK)? else { return Ok(None) };
        let mark = Message::parse("a cluster's mark", &mark)?;
        let text = |key: &'static str| -> Result<String, ExtensionError> {
            let value = envoy::get(&mark, envoy::STRUCT_FIELDS, key)?.ok_or(ExtensionError::Mark(key))?;
            let value = Message::parse("a cluster's mark", &value)?;
            let text = value.bytes(envoy::VALUE_STRING).ok_or(ExtensionError::Mark(key))?;
            String::from_utf8(text.to_vec()).map_err(|_| ExtensionError::Mark(key))
        };
        let failure = match &*text("failure")? {
            "FailOpen" => FailureMode::Open,
            "FailClose" => FailureMode::Close,
            _ => return Err(ExtensionError::Mark("failure")),
        };
        let port = text("port")?.parse().map_err(|_| ExtensionError::Mark("port"))?;
        Ok(Some(Self { pool: text("pool")?, service: text("service")?, port, failure }))
    }
}
