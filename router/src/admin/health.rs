//! gRPC health (grpc.health.v1) for gateways and for Kubernetes' own gRPC probes.
//!
//! `liveness` serves as long as the process answers. The empty name and `readiness` serve while `/readyz` says 200. The name
//! of Envoy's external processor serves from the first ready replica until shutdown is announced: with no replica left the
//! picker still answers, and better than an Envoy that goes around it. Any other name is unknown: `Check` fails with
//! NOT_FOUND, `Watch` says so and goes on.

use std::{
    future::pending,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Interval, interval, sleep},
};
use tonic::{
    Request, Response, Status, async_trait,
    codegen::{Service as _, tokio_stream::Stream},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use super::{HEAD_TIMEOUT, router::unready};
use crate::{ext_proc::names, front::PING_INTERVAL, shutdown::Shutdown, world::World};

/// How soon a watcher hears of a change.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Calls of one connection at once: a probe has one, a watcher a few.
const MAX_STREAMS: u32 = 16;

const LIVENESS: &str = "liveness";
const READINESS: &str = "readiness";
const PICKER: &str = names::SERVICE;

/// Whether requests can be served, for whoever asks.
#[derive(Clone)]
pub struct Checks {
    /// The pool's state.
    pub world: Arc<World>,
    /// How far the process is on its way out.
    pub shutdown: watch::Receiver<Shutdown>,
}

/// The changes of one service's status.
pub struct Changes {
    checks: Checks,
    service: String,
    beat: Interval,
    /// Resolves when the process goes on to its next step on the way out.
    step: Pin<Box<dyn Future<Output = ()> + Send>>,
    told: Option<ServingStatus>,
}

/// Serves one connection to its end. One that asks nothing at first is closed: it takes the place of a probe.
pub(super) async fn serve(stream: TcpStream, checks: Checks) {
    let asked = Arc::new(AtomicBool::new(false));
    let health = HealthServer::new(checks);
    let service = service_fn(|request| {
        asked.store(true, Relaxed);
        health.clone().call(request)
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(MAX_STREAMS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(HEAD_TIMEOUT) => {}
    }
    if asked.load(Relaxed) {
        // A client that breaks off is no event. A watcher stays; pings tell whether it is there.
        let _ = connection.await;
    }
}

// === Checks ===

impl Checks {
    /// `None` of a name that means nothing here.
    fn status(&self, service: &str) -> Option<ServingStatus> {
        let serves = match service {
            LIVENESS => true,
            "" | READINESS => unready(&self.world, *self.shutdown.borrow()).is_none(),
            PICKER => !self.shutdown.borrow().is_announced() && self.world.has_served(),
            _ => return None,
        };
        Some(if serves { ServingStatus::Serving } else { ServingStatus::NotServing })
    }
}

#[async_trait]
impl Health for Checks {
    type WatchStream = Changes;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        let status = self.status(&service).ok_or_else(|| {
            Status::not_found(format!(
                "no service {service:?} here; known are \"\", {LIVENESS}, {READINESS}, {PICKER}"
            ))
        })?;
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Changes>, Status> {
        let service = request.into_inner().service;
        Ok(Response::new(Changes {
            checks: self.clone(),
            service,
            beat: interval(WATCH_INTERVAL),
            step: next_step(self.shutdown.clone()),
            told: None,
        }))
    }
}

/// See [`Changes::step`]. After the last there is none.
fn next_step(mut shutdown: watch::Receiver<Shutdown>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let now = *shutdown.borrow();
    Box::pin(async move {
        if now.is_draining() || shutdown.wait_for(|step| *step != now).await.is_err() {
            pending::<()>().await;
        }
    })
}

// === Changes ===

impl Stream for Changes {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let changes = self.get_mut();
        loop {
            if changes.step.as_mut().poll(cx).is_ready() {
                changes.step = next_step(changes.checks.shutdown.clone());
            } else {
                ready!(changes.beat.poll_tick(cx));
            }
            let status = changes.checks.status(&changes.service).unwrap_or(ServingStatus::ServiceUnknown);
            if changes.told.replace(status) != Some(status) {
                return Poll::Ready(Some(Ok(HealthCheckResponse { status: status.into() })));
            }
            if changes.checks.shutdown.borrow().is_draining() {
                // It has been told; a watcher must not hold the drain up.
                return Poll::Ready(None);
            }
        }
    }
}
