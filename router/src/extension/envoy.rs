//! The fields of Envoy's messages that are read or set here, by number, and the forms that many of them share. The numbers are
//! Envoy's and never change their meaning; a test reads what is made here by Envoy's own definitions.

use bytes::Bytes;

use super::wire::{Malformed, Message};

/// What names of types in an `Any` begin with.
const TYPES: &str = "type.googleapis.com/";

// google.protobuf
const ENTRY_KEY: u32 = 1;
const ENTRY_VALUE: u32 = 2;
const ANY_TYPE: u32 = 1;
const ANY_VALUE: u32 = 2;
pub(super) const STRUCT_FIELDS: u32 = 1;
pub(super) const VALUE_STRING: u32 = 3;
const WRAPPED: u32 = 1;
const DURATION_SECONDS: u32 = 1;

// envoy.config.core.v3: Metadata, Address, TypedExtensionConfig and TransportSocket
pub(super) const METADATA_FILTER: u32 = 1;
const ADDRESS_SOCKET: u32 = 1;
const SOCKET_ADDRESS: u32 = 2;
const SOCKET_PORT: u32 = 3;

// envoy.config.cluster.v3.Cluster
pub(super) const CLUSTER_NAME: u32 = 1;
pub(super) const CLUSTER_TYPE: u32 = 2;
pub(super) const CLUSTER_EDS: u32 = 3;
pub(super) const CLUSTER_CONNECT_TIMEOUT: u32 = 4;
pub(super) const CLUSTER_LB_POLICY: u32 = 6;
pub(super) const CLUSTER_HEALTH_CHECKS: u32 = 8;
pub(super) const CLUSTER_CIRCUIT_BREAKERS: u32 = 10;
pub(super) const CLUSTER_DNS_FAMILY: u32 = 17;
pub(super) const CLUSTER_LB_SUBSET: u32 = 22;
pub(super) const CLUSTER_LB_RING_HASH: u32 = 23;
pub(super) const CLUSTER_TRANSPORT_SOCKET: u32 = 24;
pub(super) const CLUSTER_METADATA: u32 = 25;
pub(super) const CLUSTER_COMMON_LB: u32 = 27;
pub(super) const CLUSTER_LOAD_ASSIGNMENT: u32 = 33;
pub(super) const CLUSTER_LB_ORIGINAL_DST: u32 = 34;
pub(super) const CLUSTER_PROTOCOL_OPTIONS: u32 = 36;
pub(super) const CLUSTER_LB_LEAST_REQUEST: u32 = 37;
pub(super) const CLUSTER_CUSTOM_TYPE: u32 = 38;
pub(super) const CLUSTER_LB_POLICIES: u32 = 41;
pub(super) const CLUSTER_SOCKET_MATCHES: u32 = 43;
pub(super) const CLUSTER_LB_MAGLEV: u32 = 52;
pub(super) const CLUSTER_LB_ROUND_ROBIN: u32 = 56;
pub(super) const STRICT_DNS: u64 = 1;
pub(super) const ORIGINAL_DST: u64 = 4;
pub(super) const CLUSTER_PROVIDED: u64 = 6;
/// Of two families the older, where a name has both.
pub(super) const V4_PREFERRED: u64 = 3;

/// The name and the type of how a cluster speaks HTTP.
pub(super) const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A map's entry.
pub(super) fn entry(key: &str, value: impl Into<Bytes>) -> Message {
    Message::default().with(ENTRY_KEY, key.to_owned()).with(ENTRY_VALUE, value)
}

/// A map's value under this key.
pub(super) fn get(holder: &Message, map: u32, key: &str) -> Result<Option<Bytes>, Malformed> {
    let mut found = None;
    for entry in holder.each(map) {
        let entry = Message::parse("an entry of a map", entry)?;
        if entry.bytes(ENTRY_KEY).is_some_and(|name| *name == key) {
            found = Some(entry.bytes(ENTRY_VALUE).cloned().unwrap_or_default());
        }
    }
    Ok(found)
}

/// Puts a value under this key into a map, at the end if it is a new one. Whether that changes anything.
pub(super) fn put(holder: &mut Message, map: u32, key: &str, value: impl Into<Bytes>) -> bool {
    let entry = entry(key, value).encode();
    let is_it = |bytes: &Bytes| {
        Message::parse("", bytes).is_ok_and(|entry| entry.bytes(ENTRY_KEY).is_some_and(|name| *name == key))
    };
    let place = holder.each(map).position(is_it);
    if place.and_then(|place| holder.each(map).nth(place)) == Some(&entry) {
        return false;
    }
    let place = place.unwrap_or_else(|| holder.each(map).count());
    holder.retain(map, |bytes| !is_it(bytes));
    holder.insert(map, place, entry);
    true
}

/// A message with its type.
pub(super) fn any(kind: &str, value: impl Into<Bytes>) -> Message {
    Message::default().with(ANY_TYPE, format!("{TYPES}{kind}")).with(ANY_VALUE, value)
}

/// Changes what is in an `Any` of this type; one of another type is left alone.
pub(super) fn change_any<E: From<Malformed>>(
    any: &mut Message,
    kind: &'static str,
    change: impl FnMut(&mut Message) -> Result<bool, E>,
) -> Result<bool, E> {
    let is_it = any
        .bytes(ANY_TYPE)
        .is_some_and(|name| name.strip_prefix(TYPES.as_bytes()).is_some_and(|name| name == kind.as_bytes()));
    if is_it { any.change(kind, ANY_VALUE, change) } else { Ok(false) }
}

/// An extension: its name and its configuration.
pub(super) fn extension(name: &str, config: u32, kind: &str, value: impl Into<Bytes>) -> Message {
    Message::default().with(1, name.to_owned()).with(config, any(kind, value))
}

/// An integer or a bool that may be absent.
pub(super) fn wrapped(value: impl Into<u64>) -> Message {
    Message::default().with_number(WRAPPED, value)
}

/// A time.
pub(super) fn seconds(seconds: u32) -> Message {
    Message::default().with_number(DURATION_SECONDS, seconds)
}

/// What is not set is 0 in protobuf, and a message of that is empty.
pub(super) fn endless() -> Message {
    Message::default()
}

/// An address by name.
pub(super) fn address(host: &str, port: u16) -> Message {
    let socket = Message::default().with(SOCKET_ADDRESS, host.to_owned()).with_number(SOCKET_PORT, port);
    Message::default().with(ADDRESS_SOCKET, socket)
}

/// Where a cluster's hosts are: one name, and these ports.
pub(super) fn hosts(cluster: Bytes, host: &str, ports: &[u16]) -> Message {
    // ClusterLoadAssignment, LocalityLbEndpoints, LbEndpoint and Endpoint.
    let endpoint = |port: &u16| Message::default().with(1, Message::default().with(1, address(host, *port)));
    let locality = ports.iter().fold(Message::default(), |all, port| all.with(2, endpoint(port)));
    Message::default().with(1, cluster).with(2, locality)
}

/// A key of metadata: its namespace and one step into it.
pub(super) fn metadata_key(namespace: &str, key: &str) -> Message {
    let step = Message::default().with(1, key.to_owned());
    Message::default().with(1, namespace.to_owned()).with(2, step)
}
