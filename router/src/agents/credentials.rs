//! TLS with the agents: what the router shows them and whom of them it believes. The files are looked at again for each dial, of
//! which there are few.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{net::TcpStream, task::spawn_blocking, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use warmlane_tls::{Client, Failed, File, H2, Kept, TlsError};

use super::trouble;

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Where the certificates are. Paths may be empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentTls {
    /// PEM file of the CAs that agents' certificates must be signed by. Empty: agents are spoken to without TLS.
    pub ca: PathBuf,
    /// PEM file of the chain that the router shows, its own certificate first.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// The name that agents' certificates carry. Empty: the host by which each is dialled.
    pub name: String,
}

/// See the module's header.
#[derive(Debug)]
pub struct Credentials {
    kept: Arc<Kept<Client>>,
    name: String,
}

/// Why agent and router do not come together over TLS, or without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsecured {
    /// No handshake came about, or the agent ended what it had begun.
    #[error("no TLS with it: {}", trouble::why_no_tls(.0))]
    Failed(Failed),
    /// Nothing came.
    #[error("no TLS with it: the handshake did not come to an end within {HANDSHAKE:?}")]
    Slow,
    /// It answered by an alert of TLS where nobody spoke that to it.
    #[error("it speaks TLS only: name the CA of its certificate with --agent-tls-ca")]
    Wanted,
    /// There is nothing that a certificate could be checked for.
    #[error("{0:?} is no name that a certificate can carry; give one with --agent-tls-name")]
    Nameless(String),
}

// === AgentTls ===

impl AgentTls {
    /// Whether agents are spoken to by TLS.
    pub fn is_on(&self) -> bool {
        !self.ca.as_os_str().is_empty()
    }

    /// The name that an agent's certificate must carry, if it is one.
    pub(crate) fn name_of(&self, address: &str) -> Option<ServerName<'static>> {
        server_name(&self.name, address).ok()
    }
}

// === Credentials ===

impl Credentials {
    /// Loads the files for the first time; `None` where agents are spoken to without TLS.
    ///
    /// # Errors
    /// When they cannot be read or do not fit together.
    pub fn load(settings: &AgentTls) -> Result<Option<Self>, TlsError> {
        if !settings.is_on() {
            return Ok(None);
        }
        let certificate = File::new("agent_tls.certificate", &settings.certificate);
        let key = File::new("agent_tls.key", &settings.key);
        let shows = !settings.certificate.as_os_str().is_empty();
        let kept = Kept::load(Client {
            authority: File::new("agent_tls.ca", &settings.ca),
            identity: shows.then_some((certificate, key)),
            protocols: &[H2],
        })?;
        Ok(Some(Self { kept: Arc::new(kept), name: settings.name.clone() }))
    }

    /// Makes TLS of a connection to the agent at this address.
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        address: &str,
    ) -> Result<TlsStream<TcpStream>, Unsecured> {
        let name = server_name(&self.name, address)?;
        self.look().await;
        let shaking = TlsConnector::from(self.kept.current()).connect(name, stream);
        let shaken = timeout(HANDSHAKE, shaking).await.map_err(|_| Unsecured::Slow)?;
        shaken.map_err(|error: io::Error| Unsecured::Failed(Failed::of(&error)))
    }

    async fn look(&self) {
        let kept = self.kept.clone();
        // A file system that hangs must not hold up the control plane.
        match spawn_blocking(move || kept.reload()).await {
            Ok(Some(Ok(()))) => tracing::info!("certificates for TLS with agents loaded anew"),
            Ok(Some(Err(error))) => {
                tracing::warn!(
                    %error,
                    "certificates for TLS with agents not loaded anew; the last good ones stay in use"
                );
            }
            Ok(None) | Err(_) => {}
        }
    }
}

fn server_name(name: &str, address: &str) -> Result<ServerName<'static>, Unsecured> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    // An IPv6 address stands in brackets, and a name may end with the root's dot.
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let name = if name.is_empty() { host } else { name };
    ServerName::try_from(name.to_owned()).map_err(|_| Unsecured::Nameless(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_to_check_is_the_host_that_is_dialled_or_what_is_set() {
        let of = |name, address| server_name(name, address).expect(address).to_str().into_owned();
        assert_eq!(of("", "gpu-a.svc.:9010"), "gpu-a.svc");
        assert_eq!(of("", "[fd00::1]:9010"), "fd00::1");
        assert_eq!(of("", "10.0.0.1:9010"), "10.0.0.1");
        assert_eq!(of("agent.svc", "10.0.0.1:9010"), "agent.svc");
        assert!(
            server_name("an agent", "a:1").expect_err("no name").to_string().contains("--agent-tls-name")
        );
    }
}
