//! The life of a client connection: its handshake, its protocol, and its requests until either side ends it.

use std::{mem::MaybeUninit, pin::pin, rc::Rc};

use socket2::SockRef;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::server::TlsStream;

use super::{Client, Door, Front, Seat, Transport, http2};
use crate::{
    ext_proc,
    metrics::Listener,
    path::{self, Next},
    seldom::Seldom,
    tls::{self, Tls},
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
    let Some(stream) = shake_hands(&front, tls, stream, door.listener).await else { return };
    if door.listener == Listener::ExtProc {
        ext_proc::serve(&front, Transport::layered(stream)).await;
    } else if stream.get_ref().1.alpn_protocol() == Some(tls::H2) {
        http2::serve(&front, Transport::layered(stream), Vec::new(), door.listener).await;
    } else {
        serve(&front, Transport::layered(stream), door.listener).await;
    }
}

/// The TLS handshake, where it comes to an end that is good. A drain does not wait for one that has not begun.
async fn shake_hands(
    front: &Front,
    tls: &Tls,
    stream: TcpStream,
    listener: Listener,
) -> Option<TlsStream<TcpStream>> {
    let mut draining = front.worker.draining.subscribe();
    // What a slow head may take, a slow handshake may take too.
    let (limit, mut first) = (front.worker.config.timeouts.client_head, [0]);
    let shaken = timeout(limit, async {
        tokio::select! {
            biased;
            begun = stream.peek(&mut first) => drop(begun.ok()?),
            _ = draining.wait_for(|draining| *draining) => if !has_begun(&stream) { return None },
        }
        Some(tls.acceptor().accept(stream).await)
    });
    let why = match shaken.await {
        Ok(None) => return None,
        Ok(Some(Ok(stream))) => return Some(stream),
        Ok(Some(Err(error))) => tls::why_no_handshake(&error),
        Err(_) => format!("it did not come to an end within {limit:?}"),
    };
    front.worker.metrics.handshake_failed(listener);
    tracing::debug!("a TLS handshake failed: {why}");
    if listener == Listener::ExtProc
        && let Some(not_logged) = GATEWAYS.is_due()
    {
        tracing::warn!(
            not_logged,
            "a gateway's TLS handshake failed: {why}; does its picker cluster have a transport_socket that fits --ext-proc-tls?"
        );
    }
    None
}

/// Whether bytes are here: that a socket is readable may not have been told yet.
fn has_begun(stream: &TcpStream) -> bool {
    SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|count| count > 0)
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
