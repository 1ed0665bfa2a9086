use super::*;

fn parse(flags: &str) -> Result<Config, String> {
    let node = if flags.contains("--node") { "" } else { "--node=n " };
    let flags = format!("{node}{flags}");
    let words = std::iter::once("warmlane-agent").chain(flags.split_whitespace());
    let config = Config::try_parse_from(words).map_err(|error| error.to_string())?;
    config.check().map(|()| config)
}

#[test]
fn engines_are_listed_in_one_flag_or_several() {
    let config = parse("--engine a:1,b:2 --engine [::1]:3").expect("good flags");
    let addresses: Vec<&str> = config.engines.iter().map(|engine| &*engine.address).collect();
    assert_eq!(addresses, ["a:1", "b:2", "[::1]:3"]);
    assert!(config.engines.iter().all(|engine| engine.pod.is_none()));
    assert_eq!((config.listen.port(), config.metrics.port()), (9010, 9011));
    assert_eq!(config.admin.to_string(), "127.0.0.1:9012", "for people on the node");
}

#[test]
fn what_is_wrong_is_told_with_what_to_write() {
    for (flags, told) in [
        ("", "neither --engine nor --kube"),
        ("--kube --engine a:1,a:1", "twice"),
        ("--kube --kv-events a:2", "1 addresses for 0 engines"),
        ("--engine a:1 --kubeconfig /k", "of use with --kube only"),
        ("--kube --node=a,b", "as `kubectl get nodes` shows it"),
        ("--engine http://a:1", "no http://"),
        ("--engine a", "HOST:PORT"),
        ("--engine a:0", "HOST:PORT"),
        ("--engine a:1,a:1", "twice"),
        ("--engine a:1,b:1 --kv-events a:2", "1 addresses for 2 engines"),
        ("--engine a:1 --kv-events x", "HOST:PORT"),
        ("--engine a:1=llm/x,a:1=llm/y", "twice"),
        ("--engine a:1 --log-level verbose", "is no level"),
        ("--engine a:1=", "NAMESPACE/POD"),
        ("--engine a:1=vllm-0", "NAMESPACE/POD"),
        ("--engine a:1=llm/vllm_0", "NAMESPACE/POD"),
        ("--engine llm/vllm-0=a:1", "NAMESPACE/POD"),
        ("--engine a:1 --tls a.crt", "CERT,KEY"),
        ("--engine a:1 --tls a.crt,", "CERT,KEY"),
        ("--engine a:1 --tls-client-ca ca.crt", "give --tls CERT,KEY too"),
        ("--engine a=llm/vllm-0", "HOST:PORT"),
    ] {
        let error = parse(flags).expect_err(flags);
        assert!(error.contains(told), "{flags}: {error}");
    }
}

#[test]
fn engines_are_found_beside_or_instead_of_those_that_are_listed() {
    let alone = parse("--kube").expect("good flags");
    assert!(alone.kube && alone.engines.is_empty() && alone.kubeconfig.is_none());
    let both = parse("--kube --kubeconfig /k --engine a:1 --kv-events a:2").expect("good flags");
    assert_eq!((both.engines.len(), both.kubeconfig), (1, Some(PathBuf::from("/k"))));
    let many: Vec<String> = (1..=65).map(|port| format!("a:{port}")).collect();
    assert!(parse(&format!("--engine {}", many.join(","))).expect_err("too many").contains("64 at most"));
}

#[test]
fn kv_events_stand_in_the_order_of_the_engines() {
    let config = parse("--engine a:1,b:1 --kv-events none,b:5557").expect("good flags");
    assert_eq!(config.kv_events, [None, Some("b:5557".to_owned())]);
}

#[test]
fn an_engine_may_name_its_pod_and_a_pod_may_have_several() {
    let config = parse("--engine a:1=llm/x-0,a:2=llm/x-0,b:1").expect("good flags");
    let pods: Vec<_> =
        config.engines.iter().map(|engine| engine.pod.as_ref().map(ToString::to_string)).collect();
    assert_eq!(pods, [Some("llm/x-0".to_owned()), Some("llm/x-0".to_owned()), None]);
}

#[test]
fn the_kubelet_is_asked_where_it_always_is_unless_told_otherwise() {
    let socket = |flags: &str| parse(&format!("--engine a:1 {flags}")).expect("good flags").kubelet();
    assert_eq!(socket(""), Some(PathBuf::from("/var/lib/kubelet/pod-resources/kubelet.sock")));
    assert_eq!(socket("--kubelet-socket /k.sock"), Some(PathBuf::from("/k.sock")));
    assert_eq!(socket("--kubelet-socket none"), None);
}

#[test]
fn the_library_may_be_left_alone() {
    let library = |flags: &str| parse(&format!("--engine a:1 {flags}")).expect("good flags").library();
    assert!(matches!(library(""), LibrarySource::Default));
    assert!(matches!(library("--nvml-lib none"), LibrarySource::None));
    assert!(matches!(library("--nvml-lib /x.so"), LibrarySource::Path(path) if path.as_os_str() == "/x.so"));
}
