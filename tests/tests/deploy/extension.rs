//! The extension server as its manifest starts it, with certificates from a secret's folder; and what Envoy Gateway is told of it.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use warmlane_router::config::Config;
use warmlane_tests::{
    Wire,
    caller::Caller,
    eventually,
    tls::{Authority, Issued},
};

use super::{
    privileged::Owned,
    rendered::{EVERYTHING, SETS, all, containers, deploy, list, pod, title, tool, yaml},
};

/// Where the pod has its secret.
pub(super) const MOUNTED: &str = "/etc/warmlane/extension-tls";
const SERVER: &str = "warmlane-extension-server";

/// A secret's folder, as the kubelet keeps it: files are links through one that it turns to a new folder at once.
pub(super) struct Secret(TempDir);

/// The pod's folder for tests that have no use for what is in it.
pub(super) static SECRET: LazyLock<Secret> = LazyLock::new(|| {
    let ca = Authority::new();
    Secret::of(&ca.issue(&hostname()), &ca)
});

/// Killed when dropped.
struct Server {
    _child: Owned,
    hooks: SocketAddr,
    metrics: SocketAddr,
}

fn deployment() -> &'static Value {
    let found =
        SETS[EVERYTHING].iter().find(|o| o["kind"] == "Deployment" && o["metadata"]["name"] == SERVER);
    found.expect("an extension server")
}

fn arguments() -> Vec<&'static str> {
    let container = containers(pod(deployment()).expect("a pod"))[0];
    list(&container["args"]).iter().map(|word| word.as_str().expect("a word")).collect()
}

/// What Envoy Gateway is configured with.
fn envoy_gateway() -> Value {
    let map = SETS["examples/envoy-gateway"].iter().find(|o| o["kind"] == "ConfigMap").expect("a ConfigMap");
    assert_eq!(
        (&map["metadata"]["name"], &map["metadata"]["namespace"]),
        (&json!("envoy-gateway-config"), &json!("envoy-gateway-system"))
    );
    yaml(map["data"]["envoy-gateway.yaml"].as_str().expect("its file")).remove(0)
}

/// The name that it calls the server by.
fn hostname() -> String {
    let name = &envoy_gateway()["extensionManager"]["service"]["fqdn"]["hostname"];
    name.as_str().expect("a name").to_owned()
}

// === Secret ===

impl Secret {
    /// With this server's certificate, and the CA that callers' are signed by.
    fn of(shown: &Issued, callers: &Authority) -> Self {
        let secret = Self(TempDir::new().expect("a folder"));
        secret.put("..1", shown, callers);
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(file), secret.0.path().join(file)).expect("a link");
        }
        secret
    }

    /// Turns it to a folder of this name with these.
    fn put(&self, name: &str, shown: &Issued, callers: &Authority) {
        let (folder, pair) = (self.0.path().join(name), shown.pair());
        fs::create_dir(&folder).expect("a folder");
        let files = [("tls.crt", pair.certificate), ("tls.key", pair.key), ("ca.crt", callers.file())];
        for (file, from) in files {
            fs::copy(from, folder.join(file)).expect("copied");
        }
        let next = self.0.path().join("..data_tmp");
        symlink(name, &next).expect("a link");
        fs::rename(next, self.0.path().join("..data")).expect("turned");
    }

    pub(super) fn path(&self) -> String {
        self.0.path().display().to_string()
    }
}

// === Server ===

impl Server {
    /// With the manifest's arguments: ports are free ones of loopback, and the secret lies elsewhere.
    fn start(secret: &Secret) -> Self {
        let here = |word: &&str| word.replace("0.0.0.0:", "127.0.0.1:").replace(MOUNTED, &secret.path());
        let free = |word: String| match word.split_once("=127.0.0.1:") {
            Some((flag, _)) => format!("{flag}=127.0.0.1:0"),
            None => word,
        };
        let mut command = Command::new(tool("WARMLANE_BIN_DIR").join("warmlane-router"));
        command.args(arguments().iter().map(here).map(free)).env_clear();
        command.args(["--admin=127.0.0.1:0", "--tls-reload-interval=100ms"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("text");
        let at = |name: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {line:?}")).parse().expect("an address")
        };
        Self { hooks: at("extension-server="), metrics: at("metrics="), _child: Owned(child) }
    }

    /// Calls a hook as Envoy Gateway is configured to, showing this certificate.
    fn call(&self, servers: &Authority, shown: Option<&Issued>) -> Result<(), String> {
        let caller = Caller::connect_by_tls(self.hooks, &hostname(), servers, shown)?;
        let other = json!({ "kind": "Bucket" });
        caller.cluster(Vec::new(), &other).map(drop).map_err(|status| status.to_string())
    }

    fn metric(&self, series: &str) -> Option<f64> {
        let page = Wire::connect(self.metrics).get("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(series))?;
        line.trim().parse().ok()
    }
}

#[test]
fn it_serves_callers_with_a_certificate_of_its_ca_and_takes_up_renewed_files() {
    let (old, new) = (Authority::new(), Authority::new());
    let secret = Secret::of(&old.issue(&hostname()), &old);
    let server = Server::start(&secret);
    let ready = Wire::connect(server.metrics).get("/readyz");
    assert_eq!(ready.status, 200, "{}", ready.text());
    let caller = old.issue("envoy-gateway");
    server.call(&old, Some(&caller)).expect("it is let in");
    server.call(&old, None).expect_err("nobody knows it");
    server.call(&old, Some(&new.issue("envoy-gateway"))).expect_err("another CA signed it");
    let answered = "warmlane_extension_hooks_total{hook=\"cluster\",outcome=\"ok\"}";
    // A caller may try again by itself.
    let refused = || server.metric("warmlane_extension_handshake_failures_total");
    eventually("both are counted", || refused() >= Some(2.0));
    assert_eq!(server.metric(answered), Some(1.0));
    secret.put("..2", &new.issue(&hostname()), &new);
    let renewed = new.issue("envoy-gateway");
    eventually("the new files are used", || server.call(&new, Some(&renewed)).is_ok());
    server.call(&old, Some(&caller)).expect_err("it shows what the old CA does not know");
    server.call(&new, Some(&caller)).expect_err("the old CA is not trusted any more");
}

/// One that lets anybody in, or lets no one reach it, would be a gateway's end.
#[test]
fn its_manifest_asks_callers_for_a_certificate_from_the_mounted_folder() {
    let words = arguments().into_iter().map(|word| word.replace(MOUNTED, &SECRET.path()));
    let words = ["warmlane-router".to_owned()].into_iter().chain(words).map(OsString::from);
    let config = Config::load(words, &std::collections::HashMap::new()).expect("its arguments").config;
    assert!(!config.has_replicas() && !config.listen.takes_requests());
    let tls = &config.extension_tls;
    for (file, name) in [(&tls.certificate, "tls.crt"), (&tls.key, "tls.key"), (&tls.client_ca, "ca.crt")] {
        assert_eq!(file, &Path::new(&SECRET.path()).join(name));
    }
    let pod = pod(deployment()).expect("a pod");
    let mount = &containers(pod)[0]["volumeMounts"][0];
    assert_eq!((&mount["mountPath"], &mount["readOnly"]), (&json!(MOUNTED), &json!(true)));
    assert!(mount.get("subPath").is_none(), "such a file is never renewed");
}

/// Envoys connect to pickers as routers listen for them.
#[test]
fn envoys_are_told_to_connect_to_pickers_as_the_routers_want_it() {
    let mut seen = 0;
    for (set, object) in all() {
        for container in pod(object).map(containers).unwrap_or_default() {
            let has = |word: &str| list(&container["args"]).iter().any(|other| other == word);
            if list(&container["args"])
                .iter()
                .any(|w| w.as_str().is_some_and(|w| w.starts_with("--ext-proc=")))
            {
                assert!(has("--ext-proc-tls=self-signed"), "{set}: {}", title(object));
                seen += 1;
            }
        }
    }
    assert!(seen > 0 && arguments().contains(&"--extension-picker-tls=unverified"));
}

#[test]
fn envoy_gateway_calls_the_server_for_all_pools_by_hooks_that_it_serves() {
    let manager = &envoy_gateway()["extensionManager"];
    let service = SETS[EVERYTHING].iter().find(|o| o["kind"] == "Service" && o["metadata"]["name"] == SERVER);
    let service = service.expect("its Service");
    let at = |key: &str| service["metadata"][key].as_str().expect("a word");
    assert_eq!(hostname(), format!("{}.{}.svc.cluster.local", at("name"), at("namespace")));
    assert_eq!(manager["service"]["fqdn"]["port"], service["spec"]["ports"][0]["port"]);
    let kinds: Vec<Value> = ["inference.networking.k8s.io/v1", "inference.networking.x-k8s.io/v1alpha2"]
        .map(|version| {
            let (group, version) = version.split_once('/').expect("a version");
            json!({ "group": group, "version": version, "kind": "InferencePool" })
        })
        .into();
    assert_eq!(manager["backendResources"], json!(kinds));
    assert_eq!(manager["hooks"]["xdsTranslator"]["post"], json!(["Cluster", "Translation"]));
    assert_eq!(manager["failOpen"], false);
    let all = json!({ "includeAll": true });
    for part in ["listener", "route", "cluster", "secret"] {
        assert_eq!(manager["hooks"]["xdsTranslator"]["translation"][part], all, "{part}");
    }
}

/// The docs have two ways to make them, by hand and by cert-manager.
#[test]
fn the_docs_make_the_certificates_that_both_sides_name_in_both_ways() {
    let tls = envoy_gateway()["extensionManager"]["service"]["tls"].take();
    let volumes = list(&pod(deployment()).expect("a pod")["spec"]["volumes"]);
    let names = [
        &volumes[0]["secret"]["secretName"],
        &tls["certificateRef"]["name"],
        &tls["clientCertificateRef"]["name"],
    ];
    let page = fs::read_to_string(deploy().join("../docs/gateways.md")).expect("docs/gateways.md");
    for heading in ["#### With openssl", "#### With cert-manager"] {
        let section = page.split(heading).nth(1).and_then(|rest| rest.split("\n#").next());
        let section = section.unwrap_or_else(|| panic!("no {heading}"));
        assert!(section.contains(&hostname()), "{heading}: none for {}", hostname());
        for name in names {
            let name = name.as_str().expect("a name");
            let made =
                ["secret generic ", "secretName: "].iter().any(|by| section.contains(&format!("{by}{name}")));
            assert!(made, "{heading} makes no {name}");
        }
    }
}
