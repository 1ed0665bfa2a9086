//! A client of the API server: in the cluster by the pod's service account, outside by a kubeconfig.

use std::path::Path;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::error::{KubeError, deepest};

/// Connects as `kubeconfig` says, or as the pod that this runs in. Nothing is asked yet: whether there is an API server and what
/// it allows shows when it is.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, KubeError> {
    let mut config = match kubeconfig {
        None => Config::incluster().map_err(|why| KubeError::NotInCluster(why.to_string()))?,
        Some(path) => {
            let refused = |why: String| KubeError::Kubeconfig { path: path.to_owned(), why };
            let file = Kubeconfig::read_from(path).map_err(|why| refused(deepest(&why)))?;
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(file, &options).await;
            config.map_err(|why| refused(deepest(&why)))?
        }
    };
    // Whoever asks has a pace of its own; tries that nobody sees would only delay it.
    config.default_retry = false;
    Client::try_from(config).map_err(|why| KubeError::Client(why.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn refusal(path: &Path) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        match runtime.block_on(connect(Some(path))) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("connected"),
        }
    }

    #[test]
    fn a_kubeconfig_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let missing = folder.path().join("missing");
        assert!(refusal(&missing).contains(&missing.display().to_string()), "{}", refusal(&missing));
        let broken = folder.path().join("broken");
        fs::write(&broken, "clusters: 3").expect("write");
        assert!(refusal(&broken).contains("broken"), "{}", refusal(&broken));
    }
}
