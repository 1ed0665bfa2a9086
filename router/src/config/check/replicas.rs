//! Who is routed to: replicas or pools. Only a server of hooks alone has neither, and then nothing may be asked for that needs them.

use super::{Config, Fault, Origin, addresses, require};
use crate::world::MAX_ENDPOINTS;

pub(super) fn replicas(config: &Config) -> Result<(), Fault> {
    const KEY: &str = "endpoints";
    if !config.has_replicas() {
        return hooks_alone(config);
    }
    let all = &config.endpoints;
    let many = format!("{} are more than the {MAX_ENDPOINTS} that one router serves", all.len());
    require(all.len() <= MAX_ENDPOINTS, KEY, many)?;
    addresses(KEY, all)
}

/// The hooks take pools from what Envoy Gateway sends; all else needs replicas.
fn hooks_alone(config: &Config) -> Result<(), Fault> {
    let listen = &config.listen;
    let why = "name replicas, --endpoint HOST:PORT[,HOST:PORT...], or pools of the cluster, --pool NAMESPACE/NAME; only hooks \
               for Envoy Gateway need none: --extension-server ADDR --plain off --aware off";
    require(listen.extension.is_some(), "endpoints", why)?;
    let listeners = [
        ("listen.plain", "plain", listen.plain),
        ("listen.aware", "aware", listen.aware),
        ("listen.plain_tls", "plain-tls", listen.plain_tls),
        ("listen.aware_tls", "aware-tls", listen.aware_tls),
        ("listen.ext_proc", "ext-proc", listen.ext_proc),
    ];
    for (key, flag, address) in listeners {
        let why = format!(
            "its requests have nowhere to go: name replicas (--endpoint HOST:PORT) or pools (--pool NAMESPACE/NAME), or write \
             --{flag} off; --extension-server alone needs neither"
        );
        require(address.is_none(), key, why)?;
    }
    let why = "it is of use with replicas only: name them (--endpoint HOST:PORT) or pools (--pool NAMESPACE/NAME), or leave it \
               out; --extension-server alone needs none of it";
    let of_replicas = [
        ("agents", config.agents.is_empty()),
        ("models", config.models.is_empty()),
        ("objectives", config.objectives.is_empty()),
        ("tokenizers", config.tokenizers.is_empty()),
    ];
    of_replicas.into_iter().try_for_each(|(key, is_empty)| require(is_empty, key, why))
}

/// What is set and means nothing where hooks are all that is served, in a line each. No error: manifests share it with routers.
pub(in super::super) fn idle(config: &Config) -> Vec<String> {
    if config.has_replicas() {
        return Vec::new();
    }
    let of_requests = [
        ("workers", "no request comes in, so no thread is there for any"),
        ("kube.lease", "no status of models is written without pools"),
        ("kube.agents", "no agents are looked for without pools"),
    ];
    let is_set = |(key, why): (&'static str, &str)| match config.origins.of(key) {
        Origin::Default => None,
        origin => Some(format!("`{key}` ({origin}) means nothing to a server of hooks alone: {why}")),
    };
    of_requests.into_iter().filter_map(is_set).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, ffi::OsString};

    use super::{super::loaded as load, *};

    /// Of a server of hooks without listeners for requests.
    const ALONE: &str = "--extension-server 127.0.0.1:9004 --plain off --aware off";

    #[test]
    fn hooks_need_neither_replicas_nor_pools() {
        let config = load(ALONE).expect("valid");
        assert!(!config.has_replicas() && !config.listen.takes_requests());
        assert!(load(&format!("{ALONE} --grpc-health 127.0.0.1:9003")).is_ok());
        let with_pool =
            load(&format!("{ALONE} --pool default/qwen --ext-proc 127.0.0.1:9002")).expect("valid");
        assert!(with_pool.has_replicas() && with_pool.listen.takes_requests());
    }

    #[test]
    fn without_hooks_nobody_to_route_to_is_refused_with_all_ways_out() {
        for args in ["", "--plain off --aware off --ext-proc 127.0.0.1:9002"] {
            let said = load(args).expect_err(args);
            for word in
                ["`endpoints`", "--endpoint HOST:PORT", "--pool NAMESPACE/NAME", "--extension-server ADDR"]
            {
                assert!(said.contains(word), "{args}: {said}");
            }
        }
    }

    #[test]
    fn listeners_whose_requests_have_nowhere_to_go_are_refused_by_name() {
        let tls = "--tls-certificate c --tls-key k";
        let cases = [
            ("--extension-server 127.0.0.1:9004".to_owned(), "plain"),
            ("--extension-server 127.0.0.1:9004 --plain off".to_owned(), "aware"),
            (format!("{ALONE} --plain-tls 127.0.0.1:1 {tls}"), "plain-tls"),
            (format!("{ALONE} --aware-tls 127.0.0.1:1 {tls}"), "aware-tls"),
            (format!("{ALONE} --ext-proc 127.0.0.1:9002"), "ext-proc"),
        ];
        for (args, flag) in cases {
            let said = load(&args).expect_err(&args);
            let key = format!("`listen.{}`", flag.replace('-', "_"));
            assert!(said.contains(&key) && said.contains(&format!("--{flag} off")), "{args}: {said}");
            assert!(said.contains("--pool NAMESPACE/NAME"), "{args}: {said}");
        }
    }

    #[test]
    fn what_only_replicas_have_a_use_for_is_refused() {
        let cases = [
            ("--agent a:1", "`agents`"),
            ("--models [{name=\"m\"}]", "`models`"),
            ("--objectives [{name=\"o\",priority=1}]", "`objectives`"),
            ("--tokenizer m=file", "`tokenizers`"),
            ("--kubeconfig file", "`kube.config`"),
        ];
        for (args, key) in cases {
            let said = load(&format!("{ALONE} {args}")).expect_err(args);
            assert!(said.contains(key) && said.contains("--pool NAMESPACE/NAME"), "{args}: {said}");
        }
    }

    #[test]
    fn what_means_nothing_to_hooks_alone_is_told_in_a_line_each() {
        let warnings = |args: &str| {
            let args = ["warmlane-router"].into_iter().chain(args.split_whitespace());
            Config::load(args.map(OsString::from), &HashMap::new()).expect("valid").warnings
        };
        let idle = "--workers 2 --kube-lease a/b --kube-agents a/c";
        let told = warnings(&format!("{ALONE} {idle}"));
        assert_eq!(told.len(), 3, "{told:?}");
        for (line, key) in told.iter().zip(["workers", "kube-lease", "kube-agents"]) {
            assert!(line.contains(&format!("(flag --{key}) means nothing")), "{line}");
        }
        assert!(warnings(ALONE).is_empty());
        assert!(warnings(&format!("{ALONE} --ext-proc 127.0.0.1:9002 --pool a/b {idle}")).is_empty());
    }
}
