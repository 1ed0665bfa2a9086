//! The life of a client connection: its handshake, its protocol, and its requests until either side ends it.

use std::{pin::pin, rc::Rc};

use tokio::{net::TcpStream, time::timeout};

use super::{Client, Door, Front, Seat, Transport, http2};
use crate::{
    ext_proc,
    metrics::Listener,
    path::{self, Next},
    seldom::Seldom,
    tls,
};

/// Handshakes of gateways that fail: their configuration's fault, or ours, and nothing works until it is mended.
static GATEWAYS: Seldom = Seldom::new();

/// Serves one connection to its end. Its seat is free afterwards.
pub(super) async fn converse(front: Rc<Front>, stream: TcpStream, door: Door, _seat: Seat) {
    // Chunks must go out as they come.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let _connected = front.worker.metrics.connected(door.listener);
    let Some(tls) = &door.tls else { return serve(&front, Transport::Tcp(stream), door.listener).await };
    // What a slow head may take, a slow handshake may take too.
    let handshake = timeout(front.worker.config.timeouts.client_head, tls.acceptor().accept(stream)).await;
    let Ok(Ok(stream)) = handshake else {
        front.worker.metrics.handshake_failed(door.listener);
        let outcome = handshake.map(|shaken| shaken.map(drop));
        tracing::debug!(?outcome, "TLS handshake failed");
        if door.listener == Listener::ExtProc
            && let Some(left_out) = GATEWAYS.is_due()
        {
            tracing::warn!(
                ?outcome,
                left_out,
                "a gateway's TLS handshake failed: does its picker cluster have a transport_socket that fits --ext-proc-tls?"
            );
        }
        return;
    };
    if door.listener == Listener::ExtProc {
        ext_proc::serve(&front, Transport::layered(stream)).await;
    } else if stream.get_ref().1.alpn_protocol() == Some(tls::H2) {
        http2::serve(&front, Transport::layered(stream), Vec::new(), door.listener).await;
    } else {
        serve(&front, Transport::layered(stream), door.listener).await;
    }
}

/// Serves requests in turn, or hands over to HTTP/2 where the client begins with its preface.
async fn serve(front: &Rc<Front>, transport: Transport, listener: Listener) {
    if listener == Listener::ExtProc {
        return ext_proc::serve(front, transport).await;
    }
    let worker = &front.worker;
    let mut client = Client::new(transport);
    let mut draining = worker.draining.subscribe();
    // One for all requests: making and dropping it takes locks.
    let mut drain = pin!(draining.wait_for(|draining| *draining));
    let (mut drains, mut is_first) = (false, true);
    loop {
        let next_request = client.wait_for_bytes(worker.config.timeouts.client_idle);
        let begun = tokio::select! {
            biased;
            begun = next_request, if !drains => begun,
            _ = &mut drain, if !drains => {
                drains = true;
                client.has_bytes()
            }
            else => client.has_bytes(),
        };
        if begun && is_first && client.begins_http2(worker.config.timeouts.client_head).await {
            return http2::serve(front, client.stream, client.request, listener).await;
        }
        is_first = false;
        if !begun || path::serve(worker, &mut client, listener).await == Next::Close {
            break;
        }
    }
    client.finish().await;
}
