//! InferencePool: which pods serve, on which ports, and who picks among them.
//!
//! Version 1alpha2 has a flat selector, one port, and `extensionRef`; version 1 has `selector.matchLabels`, up to eight ports
//! (each of them an endpoint: ranks of data parallelism), and `endpointPickerRef`, which later releases made optional.

use serde_json::Value;

use super::{Invalid, Labels, field::Field};

/// As many ports as the schema of version 1 allows.
const MOST_PORTS: usize = 8;
/// The port of a picker in version 1alpha2 where none is named.
const PICKER_PORT: u16 = 9_002;

/// A pool of either version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Labels of its pods; never empty.
    pub selector: Labels,
    /// Ports of each pod, in the order given; never empty, no two alike.
    pub ports: Vec<u16>,
    /// Who is asked which pod to take.
    pub picker: Option<Picker>,
}

/// A Service that picks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picker {
    /// Of the Service, in the pool's namespace.
    pub service: String,
    /// Of the Service, not of its pods.
    pub port: u16,
    /// What a gateway does when it does not answer.
    pub failure: FailureMode,
}

/// What a gateway does when the picker does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureMode {
    /// Requests go to any pod.
    Open,
    /// Requests fail.
    #[default]
    Close,
}

/// How a pool's pods are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 in the clear, from the first byte on.
    H2c,
}

// === Pool ===

impl Pool {
    /// Reads `spec` of group `inference.networking.x-k8s.io`, version `v1alpha2`.
    pub fn from_v1alpha2(spec: &Value) -> Result<Self, Invalid> {
        let spec = Field::root("spec", spec);
        Ok(Self {
            selector: spec.need("selector")?.labels()?,
            ports: vec![spec.need("targetPortNumber")?.port()?],
            picker: spec.get("extensionRef").map(|reference| picker(&reference, "portNumber")).transpose()?,
        })
    }

    /// Reads `spec` of group `inference.networking.k8s.io`, version `v1`.
    pub fn from_v1(spec: &Value) -> Result<Self, Invalid> {
        let spec = Field::root("spec", spec);
        Ok(Self {
            selector: spec.need("selector")?.need("matchLabels")?.labels()?,
            ports: ports(&spec.need("targetPorts")?)?,
            picker: spec.get("endpointPickerRef").map(|reference| picker(&reference, "port")).transpose()?,
        })
    }
}

// === Protocol ===

impl Protocol {
    /// Reads it from a `spec` of group `inference.networking.k8s.io`, version `v1`, which has it since release 1.5. Version 1alpha2
    /// has none.
    pub fn from_v1(spec: &Value) -> Result<Self, Invalid> {
        let spec = Field::root("spec", spec);
        let Some(field) = spec.get("appProtocol") else { return Ok(Self::default()) };
        match &*field.text()? {
            "" | "http" => Ok(Self::Http1),
            "kubernetes.io/h2c" => Ok(Self::H2c),
            other => {
                Err(field.invalid(format!("{other:?} is unknown; valid ones are http, kubernetes.io/h2c")))
            }
        }
    }
}

fn ports(field: &Field<'_>) -> Result<Vec<u16>, Invalid> {
    let list = field.list()?;
    if list.is_empty() || list.len() > MOST_PORTS {
        return Err(field.invalid(format!("it has {} ports; 1 to {MOST_PORTS} are allowed", list.len())));
    }
    let mut ports = Vec::with_capacity(list.len());
    for item in &list {
        let number = item.need("number")?;
        let port = number.port()?;
        if ports.contains(&port) {
            return Err(number.invalid(format!("{port} stands there twice")));
        }
        ports.push(port);
    }
    Ok(ports)
}

fn picker(reference: &Field<'_>, key: &str) -> Result<Picker, Invalid> {
    let port = match reference.get(key) {
        None => PICKER_PORT,
        Some(port) => port.get("number").unwrap_or(port).port()?,
    };
    let mode = reference.get("failureMode");
    let failure = match mode.as_ref().map(Field::text).transpose()?.as_deref() {
        Some("FailOpen") => FailureMode::Open,
        None | Some("" | "FailClose") => FailureMode::Close,
        Some(other) => {
            let why = format!("{other:?} is unknown; valid ones are FailOpen, FailClose");
            return Err(mode.unwrap_or_else(|| reference.clone()).invalid(why));
        }
    };
    Ok(Picker { service: reference.need("name")?.filled()?, port, failure })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::refusal;

    #[test]
    fn both_versions_read_into_one_shape() {
        let old = Pool::from_v1alpha2(&json!({
            "selector": {"app": "qwen"}, "targetPortNumber": 8000, "extensionRef": {"name": "picker"},
        }));
        let new = Pool::from_v1(&json!({
            "selector": {"matchLabels": {"app": "qwen"}}, "targetPorts": [{"number": 8000}],
            "endpointPickerRef": {"name": "picker", "port": {"number": 9002}, "failureMode": "FailClose"},
        }));
        let picker = Picker { service: "picker".into(), port: 9002, failure: FailureMode::Close };
        let pool = Pool {
            selector: Labels::from([("app".into(), "qwen".into())]),
            ports: vec![8000],
            picker: Some(picker),
        };
        assert_eq!(old.expect("v1alpha2"), pool);
        assert_eq!(new.expect("v1"), pool);
    }

    #[test]
    fn a_pool_of_version_1_may_have_several_ports_and_no_picker_and_fields_nobody_knows() {
        let pool = Pool::from_v1(&json!({
            "selector": {"matchLabels": {"app": "qwen"}, "matchNothing": 1}, "appProtocol": "http",
            "targetPorts": [{"number": 8001, "name": "rank"}, {"number": 8000}],
        }))
        .expect("pool");
        assert_eq!((pool.ports, pool.picker), (vec![8001, 8000], None));
    }

    #[test]
    fn pods_are_spoken_to_over_http_1_unless_the_pool_says_otherwise() {
        let read = |spec: Value| Protocol::from_v1(&spec);
        for spec in [json!({}), json!({"appProtocol": null}), json!({"appProtocol": "http"})] {
            assert_eq!(read(spec.clone()), Ok(Protocol::Http1), "{spec}");
        }
        assert_eq!(read(json!({"appProtocol": "kubernetes.io/h2c"})), Ok(Protocol::H2c));
        for wrong in [json!("h2c"), json!("HTTP"), json!(2)] {
            let why = refusal(read(json!({"appProtocol": wrong})));
            assert!(why.starts_with("spec.appProtocol: "), "{why}");
        }
        assert!(refusal(read(json!({"appProtocol": "h2c"}))).contains("kubernetes.io/h2c"));
    }

    #[test]
    fn a_failure_mode_is_read_in_both_versions() {
        let reference = json!({"name": "picker", "failureMode": "FailOpen", "portNumber": 7});
        let old = Pool::from_v1alpha2(
            &json!({"selector": {"a": "b"}, "targetPortNumber": 1, "extensionRef": reference}),
        );
        let picker = old.expect("pool").picker.expect("picker");
        assert_eq!((picker.port, picker.failure), (7, FailureMode::Open));
        let closed = json!({"name": "picker", "failureMode": "FailClosed"});
        let wrong = Pool::from_v1alpha2(
            &json!({"selector": {"a": "b"}, "targetPortNumber": 1, "extensionRef": closed}),
        );
        let why = refusal(wrong);
        assert!(why.starts_with("spec.extensionRef.failureMode: ") && why.contains("FailOpen"), "{why}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let old = |selector: Value, port: Value| {
            refusal(Pool::from_v1alpha2(&json!({"selector": selector, "targetPortNumber": port})))
        };
        for port in [json!(0), json!(65_536), json!(-1), json!("8000"), json!(80.5)] {
            let why = old(json!({"a": "b"}), port);
            assert!(why.starts_with("spec.targetPortNumber: ") && why.contains("1 to 65535"), "{why}");
        }
        assert!(old(json!({}), json!(80)).starts_with("spec.selector: it is empty"));
        assert!(old(json!({"a": 1}), json!(80)).starts_with("spec.selector.a: "));
        let new = |ports: Value| {
            refusal(Pool::from_v1(&json!({"selector": {"matchLabels": {"a": "b"}}, "targetPorts": ports})))
        };
        assert!(new(json!([])).starts_with("spec.targetPorts: "));
        assert!(new(json!([{"number": 1}, {"number": 0}])).starts_with("spec.targetPorts[1].number: "));
        assert!(new(json!([{"number": 1}, {"number": 1}])).contains("twice"));
        let nine: Vec<Value> = (1..=9).map(|port| json!({"number": port})).collect();
        assert!(new(json!(nine)).contains("1 to 8"));
        assert!(refusal(Pool::from_v1(&json!({"targetPorts": []}))).starts_with("spec.selector: "));
    }
}
