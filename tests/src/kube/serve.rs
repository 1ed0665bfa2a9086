//! The server: connections, and which request is answered by what.

use std::{convert::Infallible, future::pending, io, net::SocketAddr, sync::Arc};

use http_body_util::BodyExt;
use hyper::{
    Request,
    body::Incoming,
    header::{ACCEPT, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot, task::JoinSet};

use super::{
    Shared,
    answer::{Failure, Reply, full, json, no_such_path},
    call::Call,
    refusal::Refusal,
    resource::Resource,
    store::Key,
    watching,
};

/// A bound port and what stands behind it.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
}

// === Server ===

impl Server {
    pub(super) fn bind(shared: Arc<Shared>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self { address: listener.local_addr()?, listener, shared })
    }

    /// Serves until `stop` is dropped.
    ///
    /// # Panics
    /// Where there can be no runtime.
    pub(super) fn run(self, stop: oneshot::Receiver<()>) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            tokio::select! {
                () = self.accept() => {}
                _ = stop => {}
            }
        });
    }

    async fn accept(self) {
        let listener = TcpListener::from_std(self.listener).expect("a listener");
        let mut order = self.shared.order.subscribe();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // While it is away a connection is closed as soon as it is made: the port stays taken, so that nobody
                    // else gets it.
                    match accepted {
                        Ok((stream, _)) if !order.borrow().is_away => {
                            connections.spawn(serve(self.shared.clone(), stream));
                        }
                        _ => self.shared.store().turned_away += 1,
                    }
                }
                _ = order.changed() => {
                    if order.borrow_and_update().is_away {
                        connections.abort_all();
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: tokio::net::TcpStream) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(&shared, request).await.unwrap_or_else(Reply::from)) }
    });
    // A client that goes away in the middle is what these tests are about.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Reply, Failure> {
    let (head, body) = request.into_parts();
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let call = Call::read(&head.method, &head.uri);
    if let Some(refusal) = refusal(shared, call.as_ref(), head.uri.path()) {
        return match refusal {
            Refusal::Code(code) => Err(Failure::refused(call.as_ref(), code)),
            Refusal::Silence => pending().await,
        };
    }
    let Some(call) = call else {
        return match head.method {
            hyper::Method::GET => Ok(shared.store().discover(head.uri.path(), header(ACCEPT))),
            _ => Err(Failure::no_such_verb()),
        };
    };
    let resource = {
        let store = shared.store();
        let is = |resource: &&Resource| {
            (resource.group, resource.version, resource.plural)
                == (call.group.as_str(), call.version.as_str(), call.plural.as_str())
        };
        store.resources.iter().find(is).copied()
    };
    let Some(resource) = resource.filter(|resource| has(*resource, &call)) else {
        return Ok(no_such_path());
    };
    match call.verb {
        "watch" => watching::open(shared, resource, &call),
        "list" => Ok(full(200, "application/json", shared.store().list(resource, &call)?)),
        verb => {
            let kind = header(CONTENT_TYPE).to_owned();
            let body = body.collect().await.map_err(|error| Failure::bad(error.to_string()))?.to_bytes();
            one(shared, resource, &call, verb, (&kind, &body))
        }
    }
}

/// Notes what is asked for. Whether it is refused.
fn refusal(shared: &Shared, call: Option<&Call>, path: &str) -> Option<Refusal> {
    let mut store = shared.store();
    let Some(call) = call else { return store.refusals.at(path) };
    store.log.push(call.logged());
    store.refusals.of(call)
}

fn has(resource: Resource, call: &Call) -> bool {
    call.subresource.is_empty() || call.subresource == "status" && resource.has_status
}

/// What is asked of one object.
fn one(
    shared: &Shared,
    resource: Resource,
    call: &Call,
    verb: &str,
    (kind, body): (&str, &[u8]),
) -> Result<Reply, Failure> {
    let key = Key::new(resource, &call.namespace, &call.name);
    let read = || serde_json::from_slice::<Value>(body).map_err(|error| Failure::bad(error.to_string()));
    let value = match verb {
        "get" => {
            let store = shared.store();
            store.get(&key).ok_or_else(|| Failure::not_found(&key))?.value.clone()
        }
        "create" => {
            let object = read()?;
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if name.is_empty() {
                return Err(Failure::bad("metadata.name: Required value: name is required"));
            }
            let key = Key { name, ..key };
            let created = shared.changed(|store| store.create(&key, object, call))?;
            return Ok(json(201, &created));
        }
        "update" => {
            let object = read()?;
            shared.changed(|store| store.update(&key, &object, call))?
        }
        "patch" => {
            let patch = read()?;
            shared.changed(|store| match kind {
                "application/merge-patch+json" => store.merge_patch(&key, &patch, call),
                "application/apply-patch+yaml" => store.apply(&key, &patch, call),
                other => Err(Failure::unsupported(format!("the patch type {other} is not supported here"))),
            })?
        }
        _ => shared.changed(|store| store.delete(&key, call))?,
    };
    Ok(json(200, &value))
}
