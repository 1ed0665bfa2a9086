//! What may be odd about those who ask, and about what they ask for.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use warmlane_tests::{eventually, picker::TestPicker};

use super::{
    answers::{VERSION, ours, serve},
    ask, program, run,
};

#[test]
fn a_locale_changes_nothing() {
    let picker = TestPicker::idle(2);
    let admin = picker.router.listening().admin.to_string();
    let by = |locale: &str, words: &[&str]| {
        let mut command = program();
        command.args(["--router", &admin]).args(words);
        for name in ["LANG", "LC_ALL", "LC_NUMERIC", "LANGUAGE"] {
            command.env(name, locale);
        }
        run(&mut command).well()
    };
    let asked: [&[&str]; 5] =
        [&["pools"], &["pools", "-o", "json"], &["lane"], &["pins", "-o", "yaml"], &["groups", "-o", "wide"]];
    // Decimal commas, letters that are not what they seem, and what no machine has.
    for locale in ["C", "de_DE.UTF-8", "tr_TR.ISO-8859-9", "ja_JP.SJIS", "nonsense", ""] {
        for words in asked {
            assert_eq!(by(locale, words), by("C.UTF-8", words), "{locale:?}: {words:?}");
        }
    }
    // As a shell in an old locale gives it.
    let said = run(program().args(["--router", &admin, "explain"]).arg(OsStr::from_bytes(b"caf\xe9")));
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("invalid UTF-8"), "{}", said.err);
}

#[test]
fn an_endpoint_that_has_gone_since_it_was_listed_is_still_explained() {
    let picker = TestPicker::idle(2);
    let admin = picker.router.listening().admin;
    let body = r#"{"model":"m","prompt":"hello","max_tokens":2}"#;
    let sent = picker.router.aware().post_with("/v1/completions", "x-request-id: before\r\n", body);
    let endpoint = sent.header("x-warmlane-endpoint").expect("an endpoint").to_owned();
    let number = usize::from(picker.endpoint(1) == endpoint);
    picker.engines[number].stop();
    eventually("it is gone", || picker.router.ready_endpoints() == 1);
    let said = ask(admin, &["explain", "before"]).well();
    assert!(said.contains(&format!("went to   {endpoint}\n")), "{said}");
    let other = picker.endpoint(1 - number);
    assert!(
        said.contains(&format!("now       {other}: ")),
        "where it would go now is somewhere else: {said}"
    );
    let decisions = ask(admin, &["decisions", "--endpoint", &endpoint, "-o", "json"]).json();
    assert_eq!(decisions["decisions"][0]["request_id"], "before");
    let none = ask(admin, &["decisions", "--endpoint", "10.9.9.9:1"]).well();
    assert!(none.starts_with("no decision is kept that fits"), "{none}");
}

#[test]
fn another_version_is_warned_of_once_however_many_pages_are_asked_for() {
    let page = r#"{"endpoints":[],"agents":[]}"#;
    let said = ask(serve(ours("99.1.0", "200 OK", page)), &["pods"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.err.matches("the router is of version 99.1.0").count(), 1, "{}", said.err);
    assert_eq!(ask(serve(ours(VERSION, "200 OK", page)), &["pods"]).err, "");
}
