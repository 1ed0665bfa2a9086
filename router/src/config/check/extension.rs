//! What the settings of the extension server must be together.

use std::path::Path;

use super::{Config, Fault, require};

pub(super) fn extension(config: &Config) -> Result<(), Fault> {
    let (tls, listens) = (&config.extension_tls, config.listen.extension.is_some());
    let is_set = |file: &Path| !file.as_os_str().is_empty();
    let files = [
        ("extension_tls.certificate", is_set(&tls.certificate)),
        ("extension_tls.key", is_set(&tls.key)),
        ("extension_tls.client_ca", is_set(&tls.client_ca)),
    ];
    let why = "no listener uses it: give --extension-server an address, or leave it out";
    files.into_iter().try_for_each(|(key, is_set)| require(listens || !is_set, key, why))?;
    let why = "name the PEM file: a certificate and its private key go together";
    require(is_set(&tls.key) || !is_set(&tls.certificate), "extension_tls.key", why)?;
    require(is_set(&tls.certificate) || !is_set(&tls.key), "extension_tls.certificate", why)?;
    let why = "nobody shows a certificate without TLS: name --extension-tls-certificate and its key too";
    require(tls.is_on() || !is_set(&tls.client_ca), "extension_tls.client_ca", why)?;
    let why = "write the domain of the cluster's Services, such as cluster.local";
    let is_name = |part: &str| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty() && part.chars().all(allowed)
    };
    require(config.extension.domain.split('.').all(is_name), "extension.domain", why)
}

#[cfg(test)]
mod tests {
    use super::{super::loaded, *};

    fn load(args: &str) -> Result<Config, String> {
        loaded(&format!("--endpoint a:1 {args}"))
    }

    #[test]
    fn what_callers_are_shown_and_asked_for_goes_together() {
        let all = "--extension-server 127.0.0.1:1 --extension-tls-certificate c --extension-tls-key k \
                   --extension-tls-client-ca ca";
        assert!(load(all).expect("valid").extension_tls.is_on());
        let cases = [
            ("--extension-tls-certificate c --extension-tls-key k", "no listener uses it"),
            ("--extension-server 127.0.0.1:1 --extension-tls-certificate c", "go together"),
            ("--extension-server 127.0.0.1:1 --extension-tls-key k", "go together"),
            ("--extension-server 127.0.0.1:1 --extension-tls-client-ca ca", "without TLS"),
            ("--extension-server 127.0.0.1:1 --extension-domain cluster..local", "such as cluster.local"),
            ("--extension-server 127.0.0.1:8081", "its own port"),
        ];
        for (args, why) in cases {
            let said = load(args).expect_err(args);
            assert!(said.contains(why), "{args}: {said}");
        }
    }

    #[test]
    fn a_router_may_serve_hooks_and_no_requests() {
        let config = load("--plain off --aware off --extension-server 127.0.0.1:1").expect("valid");
        assert!(config.listen.extension.is_some());
        assert!(load("--plain off --aware off").expect_err("nothing to do").contains("no listener is left"));
    }
}
