//! Who may change what the router does.

use std::os::unix::fs::PermissionsExt as _;

use warmlane_tests::{Behaviour, RawEngine, eventually};

use super::*;

fn drain(engine: &RawEngine) -> String {
    format!("/debug/endpoints/{}/drain", engine.address())
}

fn guarded() -> (Guarded, RawEngine) {
    let engine = RawEngine::start(Behaviour::Hang);
    (Guarded::over(&[&engine]), engine)
}

#[test]
fn the_port_wants_the_token_and_the_socket_knows_who_asks() {
    let (node, engine) = guarded();
    let path = drain(&engine);
    let absent = node.port().ask("POST", &path, "", "");
    assert!(absent.status == 401 && absent.why().contains("--admin-token-file"), "{absent:?}");
    assert!(absent.head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{}", absent.head);
    assert_eq!(node.port().ask_as("a-token-of-the-tesT", "POST", &path, "").status, 401);
    assert_eq!(node.router.ready_endpoints(), 1, "nothing was done");
    let done = node.port().ask_as(TOKEN, "POST", &path, "");
    assert_eq!((done.status, &done.page["changed"]), (200, &true.into()), "{done:?}");
    assert_eq!(node.router.ready_endpoints(), 0, "as soon as it is answered");
    let mode = node.socket.metadata().expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "whatever the umask");
    let undone = node.socket().ask("POST", &path.replace("/drain", "/undrain"), "", "");
    assert_eq!((undone.status, &undone.page["changed"]), (200, &true.into()), "{undone:?}");
    assert_eq!(node.router.ready_endpoints(), 1);
    let counts = [("drain", "refused", 2.0), ("drain", "done", 1.0), ("undrain", "done", 1.0)];
    for (action, outcome, count) in counts {
        assert_eq!(node.actions(action, outcome), count, "{action} {outcome}");
    }
}

#[test]
fn another_token_in_the_file_holds_at_once_and_a_file_that_is_gone_lets_nobody_in() {
    let (node, engine) = guarded();
    let (path, file) = (drain(&engine), node.folder.path().join("token"));
    fs::write(&file, "the-next-token-of-it").expect("write");
    assert_eq!(node.port().ask_as(TOKEN, "POST", &path, "").status, 401);
    assert_eq!(node.port().ask_as("the-next-token-of-it", "POST", &path, "").status, 200);
    fs::remove_file(&file).expect("remove");
    let gone = node.port().ask_as("the-next-token-of-it", "POST", &path, "");
    assert!(gone.status == 503 && gone.why().contains("No such file"), "{gone:?}");
    assert_eq!(node.socket().ask("POST", &path, "", "").status, 200, "which needs none");
}

#[test]
fn without_a_token_nothing_can_be_changed_over_tcp_and_everything_can_be_read() {
    let engine = RawEngine::start(Behaviour::Hang);
    let router = TestRouter::with(&[engine.address()], |_| {});
    let port = Door::Port(router.listening().admin);
    for (method, path, body) in [
        ("POST", drain(&engine).as_str(), ""),
        ("DELETE", "/debug/pins/feedbeef0f000000", ""),
        ("DELETE", "/debug/groups/feedbeef0f000000", ""),
        ("POST", "/debug/lane", "{\"on\": false}"),
        ("POST", "/debug/log", "{\"level\": \"trace\"}"),
    ] {
        let refused = port.ask_as("", method, path, body);
        assert!(refused.status == 403 && refused.why().contains("--admin-token-file FILE"), "{refused:?}");
    }
    for path in
        ["/", "/debug/log", "/debug/endpoints", "/debug/pins", "/debug/lane", "/debug/config", "/healthz"]
    {
        assert_eq!(port.ask("GET", path, "", "").status, 200, "{path}");
    }
    assert_eq!(router.ready_endpoints(), 1);
}

#[test]
fn a_page_of_another_site_gets_nothing_by_its_origin_or_by_a_name_that_leads_here() {
    let (node, engine) = guarded();
    let (path, token) = (drain(&engine), format!("authorization: Bearer {TOKEN}\r\n"));
    let ask = |headers: &str| node.port().ask("POST", &path, &format!("{headers}{token}"), "");
    let own = node.router.listening().admin;
    for (headers, word) in [
        ("host: evil.example.com\r\n".to_owned(), "evil.example.com"),
        (
            "host: evil.example.com:9091\r\norigin: http://evil.example.com:9091\r\n".to_owned(),
            "evil.example.com",
        ),
        (format!("host: {own}\r\norigin: http://evil.example.com\r\n"), "page of"),
        (format!("host: {own}\r\norigin: null\r\n"), "page of"),
    ] {
        let refused = ask(&headers);
        assert!(refused.status == 403 && refused.why().contains(word), "{headers}: {refused:?}");
    }
    assert_eq!(node.router.ready_endpoints(), 1);
    for foreign in ["origin: http://evil.example.com\r\n", "host: evil.example.com\r\n"] {
        let read = node.port().ask("GET", "/debug/endpoints", foreign, "");
        assert_eq!(read.status, 403, "not even to read");
    }
    assert_eq!(node.port().ask("GET", "/healthz", "host: evil.example.com\r\n", "").status, 200, "a probe");
    for headers in [
        format!("host: {own}\r\norigin: http://{own}\r\n"),
        "host: localhost:1\r\n".to_owned(),
        "host: router.example.com\r\n".to_owned(),
    ] {
        assert_eq!(ask(&headers).status, 200, "{headers}");
    }
}

#[test]
fn a_body_without_end_is_not_read_and_nobody_waits_for_it() {
    let (node, _engine) = guarded();
    let long = format!("{{\"level\": \"{}\"}}", "x".repeat(80 << 10));
    let refused = node.port().ask_as(TOKEN, "POST", "/debug/log", &long);
    assert!(refused.status == 413, "{refused:?}");
    assert_eq!(node.actions("log_level", "unreadable"), 1.0);
    let unknown = node.port().ask_as(TOKEN, "POST", "/debug/everything", &long);
    assert_eq!(unknown.status, 404, "there is nothing to change");
    eventually("the port serves on", || node.port().ask("GET", "/healthz", "", "").status == 200);
}
