use std::{collections::HashMap, ffi::OsString, fs, io::Write as _, time::Duration};

use tempfile::NamedTempFile;
use warmlane_picker::{Criticality, PlainPolicy, Profile, Strategy};

use super::*;

/// Loads without the process's environment.
fn load(args: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let args = ["warmlane-router"].into_iter().chain(args.split_whitespace()).map(OsString::from);
    let environment: HashMap<&str, &str> = environment.iter().copied().collect();
    Config::load(args, &environment)
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("temporary file");
    file.write_all(text.as_bytes()).expect("write");
    file
}

/// Loads a file with one endpoint given by flag.
fn load_file(text: &str) -> Result<Loaded, ConfigError> {
    let file = file(text);
    load(&format!("--endpoint a:1 --config {}", file.path().display()), &[])
}

fn refusal(result: Result<Loaded, ConfigError>) -> String {
    result.expect_err("must be refused").to_string()
}

#[test]
fn the_flags_that_others_rely_on_work_together() {
    let loaded = load(
        "--endpoint a:1,b:2 --plain 127.0.0.1:1 --aware 127.0.0.1:2 --metrics 127.0.0.1:3 --admin 127.0.0.1:4 \
         --strategy PREFIX_CACHE --plain-policy least-request --body-limit 1048576 --unknown-model pass",
        &[],
    );
    let config = loaded.expect("valid").config;
    assert_eq!(config.endpoints, ["a:1", "b:2"]);
    assert_eq!(config.listen.plain.map(|at| at.port()), Some(1));
    assert_eq!(config.listen.admin.port(), 4);
    assert_eq!(config.profile, Profile::of(Strategy::PrefixCache));
    assert_eq!(config.plain_policy, PlainPolicy::LeastRequest);
    assert_eq!(config.limits.body, 1 << 20);
    assert_eq!(config.unknown_model, UnknownModel::Pass);
}

#[test]
fn flags_win_over_environment_which_wins_over_the_file() {
    let file = file(
        "endpoints = [\"f:1\"]\nworkers = 2\n[timeouts]\nconnect = \"1s\"\nrequest = \"2s\"\ndrain = \"3s\"\n",
    );
    let environment =
        [("WARMLANE_TIMEOUTS_REQUEST", "4s"), ("WARMLANE_TIMEOUTS_DRAIN", "5s"), ("WARMLANE_WORKERS", "")];
    let args = format!("--config {} --timeouts-drain 6s", file.path().display());
    let config = load(&args, &environment).expect("valid").config;
    assert_eq!(config.endpoints, ["f:1"]);
    assert_eq!(config.timeouts.connect, Duration::from_secs(1));
    assert_eq!(config.timeouts.request, Duration::from_secs(4));
    assert_eq!(config.timeouts.drain, Duration::from_secs(6));
    assert_eq!(config.workers, 2, "an empty variable is not set");
    assert_eq!(config.timeouts.client_idle, Duration::from_secs(75), "the default");
    let line = |key: &str| config.origins.of(key).to_string();
    assert!(line("timeouts.connect").ends_with(":4"), "{}", line("timeouts.connect"));
    assert_eq!(line("timeouts.request"), "environment WARMLANE_TIMEOUTS_REQUEST");
    assert_eq!(line("timeouts.drain"), "flag --timeouts-drain");
}

#[test]
fn every_setting_can_be_set_by_file_environment_and_flag() {
    for key in keys::KEYS {
        let text = match (key.get)(&Config::default()).as_str() {
            "true" => "false".to_owned(),
            "false" => "true".to_owned(),
            text => text.to_owned(),
        };
        let text = match key.path {
            "endpoints" | "agents" => "b:2".to_owned(),
            "kube.pools" => "default/qwen".to_owned(),
            "kube.config" => "/a/kubeconfig".to_owned(),
            "tokenizers" => "m=/a/tokenizer.json".to_owned(),
            "models" => "[{name=\"m\"}]".to_owned(),
            "listen.plain_tls" | "listen.aware_tls" | "listen.grpc_health" | "listen.ext_proc"
            | "listen.extension" => "127.0.0.1:2".to_owned(),
            "ext_proc.tls" => "self-signed".to_owned(),
            "lane.remote" => "on".to_owned(),
            "lane.object" | "lane.cgroup" => "/a/path".to_owned(),
            "objectives" => "[{name=\"batch\",priority=-1}]".to_owned(),
            "agent_tls.name" => "an-agent".to_owned(),
            "agent_tls.ca" | "agent_tls.certificate" | "agent_tls.key" | "tls.certificate" | "tls.key" => {
                "/a/file.pem".to_owned()
            }
            "listen.admin_socket" | "admin.token_file" => "/a/file".to_owned(),
            "admin.hosts" => "router.example.com".to_owned(),
            "tracing.endpoint" => "http://a:4317".to_owned(),
            path if path.starts_with("extension_tls.") => "/a/file.pem".to_owned(),
            _ => text,
        };
        let needed = match key.path {
            "endpoints" | "kube.pools" => "",
            "kube.config" => "--pool=default/qwen ",
            "listen.plain_tls" | "listen.aware_tls" => "--endpoint=a:1 --tls-certificate=c --tls-key=k ",
            "ext_proc.tls" => "--endpoint=a:1 --ext-proc=127.0.0.1:1 ",
            "tls.certificate" => "--endpoint=a:1 --aware-tls=127.0.0.1:1 --tls-key=k ",
            "tls.key" => "--endpoint=a:1 --aware-tls=127.0.0.1:1 --tls-certificate=c ",
            "agent_tls.ca" => "--endpoint=a:1 --agent=a:2 ",
            "agent_tls.certificate" => "--endpoint=a:1 --agent=a:2 --agent-tls-ca=c --agent-tls-key=k ",
            "agent_tls.key" => "--endpoint=a:1 --agent=a:2 --agent-tls-ca=c --agent-tls-certificate=c ",
            "agent_tls.name" => "--endpoint=a:1 --agent=a:2 --agent-tls-ca=c ",
            "extension_tls.certificate" => {
                "--endpoint=a:1 --extension-server=127.0.0.1:1 --extension-tls-key=k "
            }
            "extension_tls.key" => {
                "--endpoint=a:1 --extension-server=127.0.0.1:1 --extension-tls-certificate=c "
            }
            "extension_tls.client_ca" => {
                "--endpoint=a:1 --extension-server=127.0.0.1:1 --extension-tls-certificate=c --extension-tls-key=k "
            }
            _ => "--endpoint=a:1 ",
        };
        let by_flag = load(&format!("{needed}--{}={text}", key.flag), &[]).expect(key.path).config;
        let variable = key.variable();
        let by_variable = load(needed, &[(&variable, &text)]).expect(key.path).config;
        assert!(matches!(by_flag.origins.of(key.path), Origin::Flag(_)), "{}", key.path);
        assert!(matches!(by_variable.origins.of(key.path), Origin::Environment(_)), "{}", key.path);
        assert_eq!((key.get)(&by_flag), (key.get)(&by_variable), "{}", key.path);
    }
}

#[test]
fn what_is_shown_loads_as_the_same_configuration() {
    let shown = load(
        "--endpoint a:1,b:2 --strategy PREFIX_CACHE --weights-kv 0.25 --log-json --body-limit 10MB --workers 3",
        &[("WARMLANE_MODELS", "[{ name = \"chat\", criticality = \"Sheddable\" }]")],
    );
    let shown = shown.expect("valid").config.to_string();
    assert!(shown.contains("# flag --weights-kv"), "{shown}");
    assert!(!shown.contains("default"), "only what was set has a source:\n{shown}");
    let file = file(&shown);
    let again = load(&format!("--config {}", file.path().display()), &[]).expect("loads").config;
    let settings = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()).collect()
    };
    assert_eq!(settings(&again.to_string()), settings(&shown));
}

#[test]
fn sections_override_the_profile_of_the_strategy_wherever_they_stand() {
    let text = "[weights]\nqueue = 0.5\n[thresholds]\nstale = \"20s\"\n";
    let file = file(text);
    let args = format!("--endpoint a:1 --strategy PREFIX_CACHE --config {}", file.path().display());
    let profile = load(&args, &[]).expect("valid").config.profile;
    let expected = Profile::of(Strategy::PrefixCache);
    assert_eq!(profile.weights.queue, 0.5);
    assert_eq!(profile.weights.prefix, expected.weights.prefix);
    assert_eq!((profile.fresh, profile.stale), (expected.fresh, Duration::from_secs(20)));
}

#[test]
fn models_are_tables_of_the_file() {
    let text = "[[models]]\nname = \"/model/qwen\"\ncriticality = \"Critical\"\n\n[[models]]\nname = \"chat\"\n\
                targets = [{ name = \"chat-v1\", weight = 90 }, { name = \"chat-v2\", weight = 10 }]\n";
    let models = load_file(text).expect("valid").config.models;
    assert_eq!(models[0].criticality, Criticality::Critical);
    assert_eq!(models[1].targets[1], Target { name: "chat-v2".to_owned(), weight: 10 });
    let why = refusal(load_file("[[models]]\nname = \"chat\"\nweight = 1\n"));
    assert!(why.contains("unknown key `models[0].weight`"), "{why}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_valid_one() {
    let why = refusal(load_file("[limits]\nhead = \"8KiB\"\nbdy = \"1MiB\"\n"));
    assert!(why.contains(":3: unknown key `limits.bdy`; the nearest valid one is `limits.body`"), "{why}");
    let why = refusal(load_file("[timeout]\nconnect = \"1s\"\n"));
    assert!(why.contains(":1: unknown key `timeout`; the nearest valid one is `timeouts`"), "{why}");
    let why = refusal(load_file("limits = 5\n"));
    assert!(why.contains("unknown key `limits`; the nearest valid one is `limits.body`"), "{why}");
    let why = refusal(load_file("body_limit = 5\n"));
    assert!(why.contains("nearest valid one is `limits.body`"), "{why}");
}

#[test]
fn a_wrong_value_is_refused_with_its_key_source_and_remedy() {
    let why = refusal(load_file("[timeouts]\nconnect = 5\n"));
    assert!(why.contains(":2: `timeouts.connect` = \"5\": write a time with its unit"), "{why}");
    let why = refusal(load_file("[log]\njson = [1]\n"));
    assert!(why.contains(":2: `log.json` = \"[1]\""), "{why}");
    let why = refusal(load("--endpoint a:1", &[("WARMLANE_STRATEGY", "BEST")]));
    assert!(why.contains("environment WARMLANE_STRATEGY: `strategy` = \"BEST\""), "{why}");
    assert!(why.contains("DEFAULT, PREFIX_CACHE"), "{why}");
    let why = refusal(load_file("[limits\n"));
    assert!(why.contains(":1: not TOML"), "{why}");
}

#[test]
fn values_must_go_together() {
    let wrong = [
        ("", "name replicas, --endpoint HOST:PORT[,HOST:PORT...], or pools"),
        ("--pool default/qwen --endpoint a:1", "name either them or pools"),
        ("--pool qwen", "\"qwen\": write NAMESPACE/NAME"),
        ("--pool default/qwen,default/qwen", "named twice"),
        ("--pool default/qwen --kube-agents agents", "`kube.agents` = \"agents\": write NAMESPACE/NAME"),
        ("--endpoint a:1 --kubeconfig /a", "of use with pools of the cluster only"),
        ("--endpoint a:1,a:1", "a:1 is there twice"),
        ("--endpoint a", "\"a\" is not HOST:PORT"),
        ("--endpoint http://a:1", "is not HOST:PORT"),
        ("--endpoint 1.2.3:80", "is not HOST:PORT"),
        ("--endpoint a:0", "is not HOST:PORT"),
        ("--endpoint a:1 --plain 127.0.0.1:9090", "listen.plain has the same address"),
        ("--endpoint a:1 --plain localhost:80", "write IP:PORT"),
        ("--endpoint a:1 --ext-proc 9002", "such as 127.0.0.1:9002"),
        ("--endpoint a:1 --plain off --aware off", "no listener is left"),
        ("--endpoint a:1 --weights-queue 0 --weights-kv 0 --weights-work 0", "without a load term"),
        ("--endpoint a:1 --thresholds-stale 1s", "longer than thresholds.fresh"),
        ("--endpoint a:1 --thresholds-shed-kv 1.5", "share of the KV cache"),
        ("--endpoint a:1 --limits-body-budget 1MiB", "at least limits.body"),
        ("--endpoint a:1 --timeouts-connect 0s", "at least 1ms"),
        ("--endpoint a:1 --timeouts-shutdown-delay 30s", "shorter than timeouts.drain (30s)"),
        ("--endpoint a:1 --timeouts-drain 1s", "`timeouts.shutdown_delay` = \"3s\": must be shorter"),
        (
            "--endpoint a:1 --ext-proc-fallbacks 99",
            "must be 0 to 3: a pick has no more (thresholds.fallbacks)",
        ),
        ("--endpoint a:1 --ext-proc-fallbacks -1", "write a whole number, 0 or more"),
        ("--endpoint a:1 --thresholds-fallbacks 17", "must be 0 to 16"),
        ("--endpoint a:1 --weights-queue -0.5", "write a number, 0 or more"),
        ("--endpoint a:1 --body-limit -1", "write a number of bytes"),
        ("--endpoint a:1 --headers-session X-Session", "in lower case"),
        ("--endpoint a:1 --prefix-block-bytes 48", "power of two"),
        ("--endpoint a:1 --prefix-index-bytes 1MiB", "at least 8MiB"),
        ("--endpoint a:1 --scrape-min-interval 10ms", "at least 50ms"),
        ("--endpoint a:1 --scrape-max-interval 10s", "shorter than thresholds.stale"),
        ("--endpoint a:1 --scrape-rate 0", "at least 1"),
        ("--endpoint a:1 --log-level loud=loudest", "write error, warn"),
        ("--endpoint a:1 --models [{name=\"a\"},{name=\"a\"}]", "\"a\" is there twice"),
    ];
    for (args, why) in wrong {
        let refusal = refusal(load(args, &[]));
        assert!(refusal.contains(why), "{args}: {refusal}");
    }
    let why = refusal(load("--endpoint a:1", &[("WARMLANE_EXT_PROC_FALLBACKS", "99")]));
    assert!(why.contains("environment WARMLANE_EXT_PROC_FALLBACKS") && why.contains("0 to 3"), "{why}");
    for (number, remedy) in [("-1", "0 or more"), ("99", "0 to 3")] {
        let why = refusal(load_file(&format!("[ext_proc]\nfallbacks = {number}\n")));
        assert!(why.contains(":2: ") && why.contains(remedy), "{why}");
    }
    load("--endpoint a:1 --timeouts-drain 0s --timeouts-shutdown-delay 0s", &[])
        .expect("no delay is no trouble");
    for endpoint in ["10.0.0.1:8000", "[fd00::1]:8000", "gpu-a.svc.cluster.local.:8000", "vllm_0:80"] {
        load(&format!("--endpoint {endpoint}"), &[]).expect(endpoint);
    }
}

#[test]
fn what_agents_are_shown_goes_together() {
    let wrong = [
        ("--agent-tls-ca c", "no agent is named"),
        ("--agent a:2 --agent-tls-certificate c --agent-tls-key k", "without agent_tls.ca"),
        ("--agent a:2 --agent-tls-name n", "without agent_tls.ca"),
        (
            "--agent a:2 --agent-tls-ca c --agent-tls-key k",
            "`agent_tls.certificate` is not set: name the PEM file",
        ),
        (
            "--agent a:2 --agent-tls-ca c --agent-tls-certificate c",
            "`agent_tls.key` is not set: name the PEM file",
        ),
        ("--agent a:2 --agent-tls-ca c --agent-tls-name a..b", "`agent_tls.name` = \"a..b\": no certificate"),
        ("--agent=-a:2 --agent-tls-ca c", "the host of -a:2: give the name"),
    ];
    for (args, why) in wrong {
        let refusal = refusal(load(&format!("--endpoint a:1 {args}"), &[]));
        assert!(refusal.contains(why), "{args}: {refusal}");
    }
    for agent in ["10.0.0.1:2", "[fd00::1]:2", "gpu_a.svc.:2"] {
        load(&format!("--endpoint a:1 --agent {agent} --agent-tls-ca c"), &[]).expect(agent);
    }
}

#[test]
fn a_missing_file_is_named_with_what_named_it() {
    let why = refusal(load("--endpoint a:1", &[("WARMLANE_CONFIG", "/no/such/file.toml")]));
    assert!(why.contains("/no/such/file.toml (environment WARMLANE_CONFIG)"), "{why}");
}

#[test]
fn a_misspelt_variable_is_told_and_one_of_the_cluster_is_not() {
    let environment = [("WARMLANE_STRATEGIE", "DEFAULT"), ("WARMLANE_ROUTER_SERVICE_HOST", "10.0.0.1")];
    let warnings = load("--endpoint a:1", &environment).expect("valid").warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("did you mean WARMLANE_STRATEGY?"), "{warnings:?}");
}

#[test]
fn the_help_names_every_flag_with_its_place_in_the_file() {
    let help = flags::command().render_long_help().to_string();
    for key in keys::KEYS {
        assert!(help.contains(&format!("--{}", key.flag)), "{}", key.flag);
        assert!(help.contains(&format!("[{}", key.path)), "{}", key.path);
    }
    let weight = Profile::of(Strategy::PrefixCache).weights.prefix;
    assert!(help.contains(&format!("default 0, with PREFIX_CACHE {weight}")), "both defaults:\n{help}");
}

#[test]
fn a_switch_is_on_by_its_name_or_by_a_word_behind_it() {
    let access = |args: &str| load(&format!("--endpoint a:1 {args}"), &[]).expect(args).config.log.access;
    for on in ["--log-access", "--log-access true", "--log-access=1", "--log-access --workers 2"] {
        assert!(access(on), "{on}");
    }
    assert!(!access("--log-access false"));
    let why = refusal(load("--endpoint a:1 --log-access yes", &[]));
    assert!(why.contains("write true or false"), "{why}");
}

#[test]
fn listeners_can_be_off() {
    let args = "--endpoint a:1 --ext-proc 127.0.0.1:1 --plain off --aware off";
    let listen = load(args, &[]).expect("valid").config.listen;
    assert_eq!((listen.plain, listen.aware), (None, None));
    let file = load_file("[listen]\nplain = \"off\"\n").expect("valid").config;
    assert_eq!(file.listen.plain, None);
    assert!(file.to_string().contains("plain = \"off\""));
    let changed = file.changed();
    assert!(changed.lines().count() == 2 && changed.contains("listen.plain = \"off\""), "{changed}");
}

#[test]
fn checking_only_is_a_flag() {
    assert!(load("--endpoint a:1 --check", &[]).expect("valid").check_only);
    assert!(!load("--endpoint a:1", &[]).expect("valid").check_only);
}

#[test]
fn a_file_without_read_permission_or_text_is_an_error() {
    let file = file("");
    fs::write(file.path(), [0xff, 0xfe]).expect("write");
    let why = refusal(load(&format!("--endpoint a:1 --config {}", file.path().display()), &[]));
    assert!(why.contains("cannot read the configuration file"), "{why}");
}

#[test]
fn a_name_of_the_admin_port_is_a_name_alone_and_its_socket_fits_the_system() {
    for wrong in ["https://router.example.com", "router.example.com:9091", "[::1]"] {
        let error = load(&format!("--endpoint a:1 --admin-host fine.example.com,{wrong}"), &[]);
        assert!(refusal(error).contains("write names alone"), "{wrong}");
    }
    let long = format!("--endpoint a:1 --admin-socket /{}", "x".repeat(107));
    assert!(refusal(load(&long, &[])).contains("is longer than the 107 bytes"));
    assert!(load(&long[..long.len() - 1], &[]).is_ok());
}
