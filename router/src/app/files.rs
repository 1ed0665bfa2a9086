//! What the files hold that the settings name: certificates, credentials, tokenizers. Read before anything is started.

use std::sync::Arc;

use anyhow::Context;
use warmlane_tokens::Tokenizer;

use crate::{
    agents::Credentials,
    config::{Config, TokenizerFile},
    tls::Tls,
};

/// See the module's header.
#[derive(Debug)]
pub struct Files {
    pub(super) certificates: Certificates,
    /// For agents.
    pub(super) credentials: Option<Credentials>,
    /// By the model's name.
    pub(super) tokenizers: Vec<(String, Tokenizer)>,
}

/// The certificates that listeners show.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) clients: Option<Arc<Tls>>,
    pub(super) gateways: Option<Arc<Tls>>,
    pub(super) extension: Option<Arc<Tls>>,
}

// === Files ===

impl Files {
    /// Reads them.
    ///
    /// # Errors
    /// When one cannot be used; the message names it.
    pub fn read(config: &Config) -> anyhow::Result<Self> {
        let certificates = Certificates::read(config)?;
        let credentials = Credentials::load(&config.agent_tls)?;
        let load = |file: &TokenizerFile| {
            let tokenizer = Tokenizer::load(&file.path)
                .with_context(|| format!("--tokenizer {}={}", file.model, file.path.display()))?;
            Ok((file.model.clone(), tokenizer))
        };
        let tokenizers = config.tokenizers.iter().map(load).collect::<anyhow::Result<_>>()?;
        Ok(Self { certificates, credentials, tokenizers })
    }
}

// === Certificates ===

impl Certificates {
    fn read(config: &Config) -> anyhow::Result<Self> {
        let interval = config.tls.reload_interval;
        let clients = config.listen.has_tls().then(|| Tls::load(&config.tls)).transpose()?;
        let gateways = Tls::for_gateways(&config.ext_proc.tls, interval)?;
        let extension = Tls::for_extension(&config.extension_tls, interval)?;
        Ok(Self {
            clients: clients.map(Arc::new),
            gateways: gateways.map(Arc::new),
            extension: extension.map(Arc::new),
        })
    }

    /// Each that a listener shows.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Tls>> {
        self.clients.iter().chain(&self.gateways).chain(&self.extension)
    }
}
