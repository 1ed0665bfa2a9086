//! `--kube`, with a `kubectl` that a test plays: which pod is asked, what is said where that does not work, and that no
//! forwarded port stays open.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::PathBuf,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use warmlane_tests::{eventually, picker::TestPicker};

use super::{Said, program, run};

/// A folder with a program in it that answers as `kubectl` would.
struct Kubectl {
    folder: tempfile::TempDir,
}

impl Kubectl {
    /// These pods are there, each with the node it is on; port-forward does this.
    fn with(pods: &[(&str, &str)], forward: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let pod = |(name, node): &(&str, &str)| {
            json!({"metadata": {"name": name}, "spec": {"nodeName": node},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
        };
        let list = json!({"items": pods.iter().map(pod).collect::<Vec<_>>()}).to_string();
        let at = folder.path().display();
        let script = format!(
            "#!/bin/sh\necho \"$*\" >>{at}/asked\ncase \"$*\" in\n*'get pods'*) echo '{list}' ;;\n*port-forward*) echo $$ >{at}/pid; {forward} ;;\nesac\n"
        );
        let kubectl = Self { folder };
        fs::write(kubectl.path(), script).expect("a script");
        fs::set_permissions(kubectl.path(), fs::Permissions::from_mode(0o755)).expect("its rights");
        kubectl
    }

    /// The same, with a port that leads to what is there.
    fn to(pods: &[(&str, &str)], port: u16) -> Self {
        Self::with(pods, &format!("echo 'Forwarding from 127.0.0.1:{port} -> 9091'; exec /bin/sleep 600"))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("kubectl")
    }

    fn ask(&self, words: &[&str]) -> Said {
        run(program().env("WARMLANE_KUBECTL", self.path()).args(words))
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default()
    }
}

#[test]
fn a_routers_pod_is_found_and_asked_and_the_port_is_closed_again() {
    let picker = TestPicker::idle(1);
    let kubectl = Kubectl::to(&[("warmlane-router-x", "n1")], picker.router.listening().admin.port());
    let said = kubectl.ask(&["--kube=prod", "--namespace", "llm", "endpoints"]).well();
    assert!(said.contains(&picker.endpoint(0)), "{said}");
    let asked = kubectl.asked();
    let lines: Vec<&str> = asked.lines().collect();
    assert!(
        lines[0].starts_with(
            "--context=prod --namespace=llm get pods --selector app.kubernetes.io/name in (warmlane-router,"
        ),
        "{asked}"
    );
    assert_eq!(
        lines[1],
        "--context=prod --namespace=llm port-forward --address 127.0.0.1 pod/warmlane-router-x :9091"
    );
    let pid = fs::read_to_string(kubectl.folder.path().join("pid")).expect("it ran");
    eventually("it is gone", || !PathBuf::from(format!("/proc/{}", pid.trim())).exists());
}

#[test]
fn of_several_pods_one_is_asked_and_the_others_are_named() {
    let picker = TestPicker::idle(1);
    let kubectl =
        Kubectl::to(&[("b", "n2"), ("a", "n1"), ("c", "n3")], picker.router.listening().admin.port());
    let said = kubectl.ask(&["--kube", "lane"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.err, "warmlane: asking a; there are 2 others: --pod names one of a, b, c\n");
    assert!(!kubectl.asked().contains("--context"), "the kubeconfig's own");
    for (words, pod) in
        [(["--kube", "--node", "n3", "lane"], "pod/c "), (["--kube", "--pod", "pod/b", "lane"], "pod/b ")]
    {
        kubectl.ask(&words).well();
        assert!(kubectl.asked().lines().last().is_some_and(|line| line.contains(pod)), "{}", kubectl.asked());
    }
}

#[test]
fn what_is_in_the_way_is_told_with_a_way_out() {
    let router = [("warmlane-router-x", "n1")];
    let refused = |kubectl: &Kubectl, words: &[&str], parts: &[&str]| {
        let said = kubectl.ask(words);
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{said:?}");
        for part in parts {
            assert!(said.err.contains(part), "no {part:?} in {}", said.err);
        }
    };
    let fails = |message: &str| Kubectl::with(&router, &format!("echo '{message}' >&2; exit 1"));
    let forbidden =
        fails("Error from server (Forbidden): pods is forbidden: cannot create resource pods/portforward");
    refused(
        &forbidden,
        &["--kube", "lane"],
        &["does not allow this", "create on pods/portforward, in namespace warmlane-system"],
    );
    let gone = fails("error: unable to forward port because pod is not running");
    refused(
        &gone,
        &["--kube", "lane"],
        &["kubectl port-forward ended with exit status: 1: error: unable to forward"],
    );
    refused(
        &Kubectl::with(&[], "exit 1"),
        &["--kube", "lane"],
        &["no pod of the router's runs in namespace warmlane-system"],
    );
    refused(
        &Kubectl::with(&router, "echo hello; exec /bin/sleep 600"),
        &["--kube", "lane"],
        &["something unexpected: hello"],
    );
    refused(&Kubectl::to(&router, 1), &["--kube", "lane"], &["the way to warmlane-router-x is gone"]);
    let said = run(program().env("WARMLANE_KUBECTL", "/nowhere/kubectl").args(["--kube", "lane"]));
    assert!(said.code == Some(3) && said.err.contains("--kube goes by kubectl: install it"), "{said:?}");
}

#[test]
fn where_kubectl_has_lost_its_pod_another_is_chosen() {
    let picker = TestPicker::idle(1);
    let port = picker.router.listening().admin.port();
    // It ends at once, and the port leads to the router all the same.
    let kubectl = Kubectl::with(
        &[("warmlane-router-x", "n1")],
        &format!("echo 'Forwarding from 127.0.0.1:{port} -> 9091'"),
    );
    let mut watched = program();
    watched.env("WARMLANE_KUBECTL", kubectl.path()).args(["--kube", "watch"]);
    let mut watching = watched.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    // It asks for decisions again and again.
    eventually("a pod is chosen again", || kubectl.asked().matches("get pods").count() > 2);
    let forwards = kubectl.asked().matches("port-forward").count();
    assert!(forwards >= 2, "{}", kubectl.asked());
    watching.kill().expect("it runs");
    watching.wait().expect("it ends");
    // One that is named is kept to.
    let named = Kubectl::with(&[], &format!("echo 'Forwarding from 127.0.0.1:{port} -> 9091'"));
    named.ask(&["--kube", "--pod", "mine", "status"]);
    assert!(!named.asked().contains("get pods") && named.asked().contains("pod/mine"), "{}", named.asked());
}

#[test]
fn a_signal_takes_kubectl_with_it_and_ends_the_program_as_it_would_have() {
    let picker = TestPicker::idle(1);
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let kubectl = Kubectl::to(&[("warmlane-router-x", "n1")], picker.router.listening().admin.port());
        let mut watched = program();
        watched.env("WARMLANE_KUBECTL", kubectl.path()).args(["--kube", "watch"]);
        let mut watching = watched.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let pid = || fs::read_to_string(kubectl.folder.path().join("pid")).unwrap_or_default();
        eventually("kubectl runs", || !pid().trim().is_empty());
        kill_process(Pid::from_child(&watching), signal).expect("it runs");
        let ended = watching.wait().expect("it ends");
        assert_eq!(ended.signal(), Some(signal.as_raw()), "{ended:?}");
        eventually("kubectl is gone", || !PathBuf::from(format!("/proc/{}", pid().trim())).exists());
    }
}
