//! The ports of the control plane, bound before anything of it runs: what cannot be served is known at once.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use super::ControlError;
use crate::{
    admin::LocalSocket,
    config::{Config, Listen},
};

/// See the module's header.
pub(super) struct Ports {
    pub(super) metrics: TcpListener,
    pub(super) admin: TcpListener,
    /// The admin port's twin.
    pub(super) socket: Option<LocalSocket>,
    pub(super) health: Option<TcpListener>,
    pub(super) extension: Option<TcpListener>,
}

/// Where they are bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) metrics: SocketAddr,
    pub(super) admin: SocketAddr,
    health: Option<SocketAddr>,
    extension: Option<SocketAddr>,
}

// === Ports ===

impl Ports {
    pub(super) fn bind(config: &Config) -> Result<(Self, Places), ControlError> {
        let listen = &config.listen;
        let (metrics, metrics_at) = bind("metrics", listen.metrics)?;
        let (admin, admin_at) = bind("admin", listen.admin)?;
        let health = listen.grpc_health.map(|address| bind("grpc-health", address)).transpose()?;
        let (health, health_at) = health.unzip();
        let extension = listen.extension.map(|address| bind("extension-server", address)).transpose()?;
        let (extension, extension_at) = extension.unzip();
        let path = Some(&config.admin.socket).filter(|path| !path.as_os_str().is_empty());
        let socket = path.map(PathBuf::as_path).map(LocalSocket::bind).transpose()?;
        let places =
            Places { metrics: metrics_at, admin: admin_at, health: health_at, extension: extension_at };
        Ok((Self { metrics, admin, socket, health, extension }, places))
    }
}

fn bind(flag: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ControlError> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    open().map_err(|source: io::Error| ControlError::Port { flag, address, source })
}

// === Places ===

impl Places {
    /// Puts them in.
    pub(super) fn say(self, listening: &mut Listen) {
        listening.metrics = self.metrics;
        listening.admin = self.admin;
        listening.grpc_health = self.health;
        listening.extension = self.extension;
    }
}
