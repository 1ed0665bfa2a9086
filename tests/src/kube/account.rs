//! What a kubelet gives a pod to reach the API server with: files, two variables, and an address that speaks TLS.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::oneshot,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use warmlane_tls::{File, HTTP11, Kept, Pair, Server};

use super::FakeApi;
use crate::tls::Authority;

/// See the module's header. The address is served until this is dropped.
pub struct ServiceAccount {
    folder: TempDir,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

// === ServiceAccount ===

impl ServiceAccount {
    /// Of a pod in this namespace, for this API server.
    ///
    /// # Panics
    /// Where there is no free port or thread, or the disk is full.
    pub fn mounted(api: &FakeApi, namespace: &str) -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
        fs::copy(authority.file(), folder.path().join("ca.crt")).expect("the CA");
        fs::write(folder.path().join("token"), "token").expect("a token");
        fs::write(folder.path().join("namespace"), namespace).expect("a namespace");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        // Its files go when it does: they are read here.
        let issued = authority.issue("127.0.0.1");
        let (to, acceptor) = (api.address(), acceptor(&issued.pair()));
        let work = move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, acceptor, to) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("kube-tls".to_owned()).spawn(work).expect("a thread");
        Self { folder, address, stop: Some(stop), thread: Some(thread) }
    }

    /// The files that a pod finds at `/var/run/secrets/kubernetes.io/serviceaccount`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The variables that say where the API server is.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("KUBERNETES_SERVICE_HOST", self.address.ip().to_string()),
            ("KUBERNETES_SERVICE_PORT", self.address.port().to_string()),
        ]
    }
}

impl Drop for ServiceAccount {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: its test fails by what is missing.
            let _ = thread.join();
        }
    }
}

fn acceptor(shown: &Pair) -> TlsAcceptor {
    let server = Server {
        certificate: File::new("certificate", &shown.certificate),
        key: File::new("key", &shown.key),
        clients: None,
        protocols: &[HTTP11],
    };
    TlsAcceptor::from(Kept::load(server).expect("a certificate").current())
}

/// Passes what comes by TLS on in the clear.
async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, to: SocketAddr) {
    let (listener, acceptor) = (TcpListener::from_std(listener).expect("a listener"), Arc::new(acceptor));
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            // Whoever does not trust the certificate, or breaks off, is what the test is about.
            let Ok(mut secure) = acceptor.accept(stream).await else { return };
            let Ok(mut plain) = TcpStream::connect(to).await else { return };
            let _ = copy_bidirectional(&mut secure, &mut plain).await;
        });
        while connections.try_join_next().is_some() {}
    }
}
