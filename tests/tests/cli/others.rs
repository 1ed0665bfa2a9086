//! What it says where there is no router, another one, or something else.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::Stdio,
};

use warmlane_tests::{Behaviour, RawEngine, TestRouter};

use super::{
    answers::{VERSION, ours, serve, serve_at},
    ask, program, run,
};

#[test]
fn where_nothing_listens_it_says_what_to_start() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let said = ask(free, &["endpoints"]);
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""));
    assert!(said.err.starts_with(&format!("warmlane: cannot reach the router at {free}: ")), "{}", said.err);
    for part in
        ["Nothing listens there", "warmlane-router --endpoint", "kubectl -n warmlane-system port-forward"]
    {
        assert!(said.err.contains(part), "no {part:?} in\n{}", said.err);
    }
    let said = ask("no-such-host.invalid:9091", &["status"]);
    assert!(said.code == Some(3) && said.err.contains("Is the address right"), "{}", said.err);
    let said = ask("unix:/nowhere/admin.sock", &["status"]);
    assert!(said.code == Some(3) && said.err.contains("is this its socket"), "{}", said.err);
}

#[test]
fn where_nobody_answers_it_does_not_wait_for_ever() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let said = ask(silent.local_addr().expect("address"), &["--timeout", "1", "status"]);
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("has not answered within 1s"), "{}", said.err);
}

#[test]
fn what_is_no_router_is_recognised() {
    let web = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let grpc = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64";
    for (answer, how) in
        [(web.as_bytes(), "lacks the header warmlane-version"), (grpc, "does not speak HTTP/1.1")]
    {
        let said = ask(serve(answer), &["endpoints"]);
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{said:?}");
        assert!(said.err.contains("is not the router of Warmlane") && said.err.contains(how), "{}", said.err);
        assert!(said.err.contains("--router takes the admin port"), "{}", said.err);
    }
}

#[test]
fn another_port_of_a_router_is_told_from_its_admin_port() {
    let router = TestRouter::unready(&["127.0.0.1:1".parse().expect("an address")], |_| {});
    let said = ask(router.listening().metrics, &["endpoints"]);
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("is this a port for metrics"), "{}", said.err);
    let said = ask(router.aware_address(), &["endpoints"]);
    assert!(said.code == Some(3) && said.err.contains("is not the router"), "{said:?}");
}

const LANE: &str = r#"{"on":false,"mode":"off","remote":false,"why_off":"it is set to off","object":null,"programs":[],
    "pods":0,"clients":0,"counts":null,"handed_over":null,"invented":"later"}"#;

#[test]
fn another_version_is_read_as_far_as_it_is_known_with_one_warning() {
    let said = ask(serve(ours("99.1.0", "200 OK", LANE)), &["lane"]);
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains("it is set to off"));
    let warning = format!("warmlane: warning: the router is of version 99.1.0, this program of {VERSION}");
    assert!(said.err.starts_with(&warning) && said.err.lines().count() == 1, "{}", said.err);
    assert_eq!(ask(serve(ours(VERSION, "200 OK", LANE)), &["lane"]).err, "");
}

#[test]
fn what_another_version_lacks_or_says_otherwise_is_explained() {
    let missing = r#"{"error":{"message":"nothing at /debug/groups","paths":["/healthz","/debug/pins"]}}"#;
    let said = ask(serve(ours("0.0.9", "404 Not Found", missing)), &["groups"]);
    assert_eq!(said.code, Some(4));
    assert!(said.err.contains("(version 0.0.9) has no page /debug/groups"), "{}", said.err);
    assert!(said.err.contains("use the one that came with the router"), "{}", said.err);
    let said = ask(serve(ours("99.0.0", "200 OK", r#"{"on":"perhaps"}"#)), &["lane"]);
    assert_eq!(said.code, Some(4));
    assert!(said.err.contains("cannot read the page /debug/lane"), "{}", said.err);
    let refused = ours(VERSION, "400 Bad Request", r#"{"error":{"message":"not\u001b[2J today"}}"#);
    let said = ask(serve(refused), &["pins"]);
    assert_eq!(said.code, Some(4));
    assert!(said.err.contains("with 400: not\\u{1b}[2J today"), "{:?}", said.err);
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    let mut answer = ours(VERSION, "200 OK", "");
    let head = String::from_utf8_lossy(&answer).replace("content-length: 0", "content-length: 99999999");
    answer = head.into_bytes();
    answer.resize(answer.len() + (65 << 20), b' ');
    let said = ask(serve(answer), &["pins"]);
    assert_eq!(said.code, Some(4));
    assert!(said.err.contains("is larger than 67108864 bytes"), "{}", said.err);
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let head =
        format!("HTTP/1.1 200 OK\r\nwarmlane-version: {VERSION}\r\ncontent-length: 9000\r\n\r\n{{\"on\":");
    let engine = RawEngine::start(Behaviour::AnswerAndClose(head.into_bytes()));
    let said = ask(engine.address(), &["lane"]);
    assert_eq!((said.code, said.out.as_str()), (Some(4), ""));
    assert!(said.err.contains("ended within its answer"), "{}", said.err);
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_made_anew() {
    let answer = ours(VERSION, "200 OK", r#"{"endpoints":[],"agents":[]}"#);
    let closes = RawEngine::start(Behaviour::AnswerAndClose(answer));
    assert!(ask(closes.address(), &["pods"]).well().starts_with("no replica"));
    assert_eq!(closes.seen().len(), 2, "replicas, and agents");
}

/// A page of as many pins as a router shows.
fn many() -> String {
    let pin = |number: usize| {
        format!(
            r#"{{"session":"{number:016x}","endpoint":"10.0.0.1:8000","local":true,"idle_seconds":1.5,
                "lane":{{"responses":1,"bytes":2,"wakeups_saved":3}}}}"#
        )
    };
    let pins: Vec<String> = (0..10_000).map(pin).collect();
    format!(
        r#"{{"sessions":{{"pinned":1000000,"capacity":1048576,"lifetime_seconds":1800,"pins":[{}]}},
            "groups":{{"pinned":0,"capacity":1,"window_seconds":60,"pins":[]}}}}"#,
        pins.join(",")
    )
}

#[test]
fn who_reads_a_part_of_much_gets_it_and_no_complaint() {
    let address = serve(ours(VERSION, "200 OK", &many())).to_string();
    let all = ask(&address, &["pins", "--limit", "10000"]).well();
    assert!(all.starts_with("sessions pinned: 1,000,000, the last 10000 shown;") && all.len() > 500_000);
    let mut command = program();
    command.args(["--router", &address, "pins", "--limit", "10000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    let mut first = String::new();
    output.read_line(&mut first).expect("a line");
    drop(output);
    assert!(first.starts_with("sessions pinned"));
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let said = run(program().args(["completions", "bash"]).stdout(full));
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.err.contains("cannot write to standard output"), "{}", said.err);
}

#[test]
fn a_socket_in_the_file_system_will_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    serve_at(&path, ours(VERSION, "200 OK", LANE));
    let said = ask(format!("unix:{}", path.display()), &["lane"]);
    assert!(said.well().contains("it is set to off"));
}

#[test]
fn misuse_is_told_by_code_2_and_help_teaches() {
    for words in
        [&["endpoints", "--sort", "luck"][..], &["nonsense"], &["--router", "https://a:1", "status"], &[]]
    {
        let said = run(program().args(words));
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{words:?}");
    }
    let help = run(program().arg("--help")).well();
    for part in ["Exit codes:", "Examples:", "port-forward", "WARMLANE_ROUTER", "endpoints", "lane"] {
        assert!(help.contains(part), "no {part:?} in\n{help}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(program().args(["completions", shell])).well().contains("endpoints"), "{shell}");
    }
    let man = run(program().arg("man")).well();
    assert!(man.contains(".TH warmlane") && man.contains("Exit codes"), "{man}");
}
