//! TLS for routers: what the agent shows them and whom of them it lets in, from files that are looked at every second.
//!
//! New files count for handshakes that begin then; open streams go on with what they began with.

use std::{sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};
use tokio_rustls::TlsAcceptor;
use warmlane_tls::{File, H2, Kept, Server, TlsError};

use crate::config::Config;

/// How often the files are looked at: three small ones, mostly in memory. One that leaked must not be shown for long.
const LOOK: Duration = Duration::from_secs(1);

/// See the module's header.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Arc<Kept<Server>>);

// === Tls ===

impl Tls {
    /// Loads the files for the first time; `None` where routers are spoken to without TLS.
    ///
    /// # Errors
    /// When they cannot be read or do not fit together.
    pub(crate) fn load(config: &Config) -> Result<Option<Self>, TlsError> {
        let Some(pair) = &config.tls else { return Ok(None) };
        let kept = Kept::load(Server {
            certificate: File::new("--tls", &pair.certificate),
            key: File::new("--tls", &pair.key),
            clients: config.tls_client_ca.as_ref().map(|path| File::new("--tls-client-ca", path)),
            protocols: &[H2],
        })?;
        Ok(Some(Self(Arc::new(kept))))
    }

    /// Begins handshakes with what is loaded now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.current())
    }

    /// Looks at the files for ever.
    pub(crate) async fn watch(self) {
        loop {
            sleep(LOOK).await;
            let kept = self.0.clone();
            // A file system that hangs must not hold up the streams.
            match spawn_blocking(move || kept.reload()).await {
                Ok(Some(Ok(()))) => tracing::info!("certificates for TLS loaded anew"),
                Ok(Some(Err(error))) => {
                    tracing::warn!(
                        %error,
                        "certificates for TLS not loaded anew; the last good ones stay in use"
                    );
                }
                Ok(None) => {}
                // The runtime ends.
                Err(_) => return,
            }
        }
    }
}
