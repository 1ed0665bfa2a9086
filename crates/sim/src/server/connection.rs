//! Accepts connections and serves each until it ends or the server does.

use std::{future::Future, net::SocketAddr, rc::Rc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    pin, select,
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet, spawn_local},
    time::timeout,
};

use super::{Mode, Stop, Troubles, replica::Replica, route, trouble::Line};

/// How long ended streams may take to leave for clients that do not read.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the engine and serves connections until `stop` resolves.
pub(super) async fn accept(
    listener: TcpListener,
    replica: Rc<Replica>,
    stop: impl Future<Output = Stop>,
    mut orders: Option<mpsc::UnboundedReceiver<Troubles>>,
) {
    let mut door = Door { address: listener.local_addr().ok(), listener: Some(listener) };
    let _engine = Owned(spawn_local(Rc::clone(&replica).drive()));
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    pin!(stop);
    let how = loop {
        select! {
            biased;
            how = &mut stop => break how,
            Some(troubles) = next_order(&mut orders) => replica.misbehave(troubles),
            () = replica.changed() => door.set(!replica.has(Mode::Refuse)).await,
            accepted = door.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn_local(serve(stream, Rc::clone(&replica), closed.clone()));
                }
                // Out of file descriptors: those in use come back as connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    };
    drop(door);
    if how == Stop::Terminate {
        replica.terminate();
        closing.send_replace(true);
        let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    }
}

async fn serve(stream: TcpStream, replica: Rc<Replica>, mut closed: watch::Receiver<bool>) {
    // Tokens must not wait for the acknowledgement of the one before. A socket without the option is dead.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let keep_alive = replica.options().keep_alive;
    let line = Rc::new(Line::of(&stream));
    let service = service_fn(move |request| route::answer(Rc::clone(&replica), request, Rc::clone(&line)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(keep_alive)
        // Chunks are small: copying one is cheaper than a vectored write of its three pieces.
        .writev(false)
        .serve_connection(TokioIo::new(stream), service);
    pin!(connection);
    // Errors are clients that went away; their requests are aborted by the guards in the bodies.
    select! {
        _ = connection.as_mut() => return,
        _ = closed.wait_for(|&closed| closed) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Where clients come in, unless it is shut.
struct Door {
    address: Option<SocketAddr>,
    listener: Option<TcpListener>,
}

impl Door {
    /// The next connection; none while it is shut.
    async fn accept(&self) -> std::io::Result<(TcpStream, SocketAddr)> {
        match &self.listener {
            Some(listener) => listener.accept().await,
            None => std::future::pending().await,
        }
    }

    async fn set(&mut self, open: bool) {
        if !open {
            self.listener = None;
        } else if let (None, Some(address)) = (&self.listener, self.address) {
            // Taken by somebody else meanwhile: it stays shut until it is opened again.
            self.listener = TcpListener::bind(address).await.ok();
        }
    }
}

async fn next_order(orders: &mut Option<mpsc::UnboundedReceiver<Troubles>>) -> Option<Troubles> {
    match orders {
        Some(orders) => orders.recv().await,
        None => std::future::pending().await,
    }
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}
