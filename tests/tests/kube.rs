//! Kubernetes: the fake API server's own semantics, met by a real client, and the router's watching against it.

#[path = "kube/api.rs"]
mod api;
#[path = "kube/cluster.rs"]
mod cluster;
#[path = "kube/faults.rs"]
mod faults;
#[path = "kube/lines.rs"]
mod lines;
#[path = "kube/objects.rs"]
mod objects;
#[path = "kube/outages.rs"]
mod outages;
#[path = "kube/refusals.rs"]
mod refusals;
#[path = "kube/status.rs"]
mod status;
#[path = "kube/watches.rs"]
mod watches;
