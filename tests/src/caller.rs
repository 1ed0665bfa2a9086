//! Envoy Gateway's connection to an extension server, and calls of hooks on it.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use tonic::{
    Status,
    codegen::Service,
    transport::{Channel, Endpoint, Uri},
};
use warmlane_api::extension::{
    ExtensionResource, PostClusterExtensionContext, PostClusterModifyRequest, PostTranslateModifyRequest,
    PostTranslateModifyResponse, envoy_gateway_extension_client::EnvoyGatewayExtensionClient,
};
use warmlane_tls::{Client, File, H2, Kept};

use crate::tls::{Authority, Issued};

/// See the module's header.
pub struct Caller {
    runtime: Runtime,
    hooks: EnvoyGatewayExtensionClient<Channel>,
}

/// Connects by TLS to this address and wants this name, whatever is asked for.
struct Dialler(TlsConnector, SocketAddr, ServerName<'static>);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

// === Caller ===

impl Caller {
    /// In the clear.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = runtime();
        let dial = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = runtime.block_on(dial.connect()).expect("it listens");
        Self { runtime, hooks: EnvoyGatewayExtensionClient::new(channel) }
    }

    /// By TLS, with a server of this name that this CA knows, showing this certificate.
    ///
    /// # Errors
    /// Why it did not come to that. A server that does not know the certificate may say so to the first call only.
    ///
    /// # Panics
    /// When the certificates cannot be read.
    pub fn connect_by_tls(
        address: SocketAddr,
        name: &str,
        servers: &Authority,
        shown: Option<&Issued>,
    ) -> Result<Self, String> {
        let runtime = runtime();
        let file = |path: PathBuf| File::new("a test's", path);
        let identity = shown.map(|shown| {
            let pair = shown.pair();
            (file(pair.certificate), file(pair.key))
        });
        let client = Client { authority: file(servers.file()), identity, protocols: &[H2] };
        let config = Kept::load(client).expect("certificates").current();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let dialler = Dialler(TlsConnector::from(config), address, name);
        let dial = Endpoint::from_static("http://extension");
        let channel = runtime.block_on(dial.connect_with_connector(dialler));
        let channel = channel.map_err(|error| error.to_string())?;
        Ok(Self { runtime, hooks: EnvoyGatewayExtensionClient::new(channel) })
    }

    /// `Cluster`, for this pool's.
    ///
    /// # Errors
    /// As the hook is refused.
    pub fn cluster(&self, cluster: impl Into<Bytes>, pool: &Value) -> Result<Bytes, Status> {
        let resource = ExtensionResource { unstructured_bytes: pool.to_string().into() };
        let context = PostClusterExtensionContext { backend_extension_resources: vec![resource] };
        let request =
            PostClusterModifyRequest { cluster: cluster.into(), post_cluster_context: Some(context) };
        let answer = self.runtime.block_on(self.hooks.clone().post_cluster_modify(request));
        answer.map(|answer| answer.into_inner().cluster)
    }

    /// `Translation`.
    ///
    /// # Errors
    /// As the hook is refused.
    pub fn translate(
        &self,
        request: PostTranslateModifyRequest,
    ) -> Result<PostTranslateModifyResponse, Status> {
        let answer = self.runtime.block_on(self.hooks.clone().post_translate_modify(request));
        answer.map(tonic::Response::into_inner)
    }
}

// === Dialler ===

impl Service<Uri> for Dialler {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self(connector, address, name) = self;
        let (connector, address, name) = (connector.clone(), *address, name.clone());
        Box::pin(async move {
            connector.connect(name, TcpStream::connect(address).await?).await.map(TokioIo::new)
        })
    }
}
