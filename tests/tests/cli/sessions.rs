//! Commands that write lines, on terminals of different widths and kinds, and into pipes.

use rustix::process::Signal;
use warmlane_tests::{
    TestRouter,
    picker::{Said as Page, TestPicker},
    terminal::{Left, Terminal},
};

use super::{ask, folder};

fn busy() -> TestPicker {
    let busy = Page { queue: 4, running: 9, kv: 0.5, active: "a" };
    TestPicker::with(&[Page::default(), busy], |_| {})
}

/// What kind of terminal it is.
type Kind<'k> = &'k [(&'k str, &'k str)];

/// So tall that nothing is scrolled away.
const LINES: u16 = 1_000;

fn start(admin: &str, columns: u16, kind: Kind<'_>, words: &[&str]) -> Terminal {
    let start = Terminal::start(&folder().join("warmlane"), (columns, LINES), |command| {
        command.env_clear().env("WARMLANE_ROUTER", admin).envs(kind.iter().copied()).args(words);
    });
    start.expect("a terminal")
}

/// What a command leaves on a terminal, where no line was too long for it.
fn left(admin: &str, columns: u16, kind: Kind<'_>, words: &[&str]) -> Left {
    let left = start(admin, columns, kind, words).left();
    let lines = left.sent.replace('\r', "");
    let bare = lines.split('\u{1b}').map(|part| {
        part.split_once('m').filter(|(code, _)| code.starts_with('[')).map_or(part, |(_, rest)| rest)
    });
    for line in bare.collect::<String>().lines() {
        assert!(line.chars().count() <= usize::from(columns), "{words:?} on {columns} columns: {line:?}");
    }
    assert!(left.as_before, "{left:?}");
    left
}

const XTERM: Kind<'_> = &[("TERM", "xterm"), ("LANG", "C.UTF-8")];

#[test]
fn status_and_endpoints_fit_terminals_of_any_width() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    for columns in [40, 120] {
        let status = left(&admin, columns, XTERM, &["status"]);
        assert_eq!(status.code, Some(0));
        let text = status.lines.join("\n");
        for part in ["router    ", "hottest   ", "all is well"] {
            assert!(text.contains(part), "no {part:?} on {columns} columns:\n{text}");
        }
        let endpoints = left(&admin, columns, XTERM, &["endpoints", "--sort", "queue"]);
        assert!(endpoints.lines[0].starts_with("ADDRESS"), "{endpoints:?}");
        assert!(endpoints.lines[1].starts_with(&picker.endpoint(1)), "{endpoints:?}");
        assert!(endpoints.lines[2].starts_with(&picker.endpoint(0)), "{endpoints:?}");
        assert_eq!(endpoints.lines[3].starts_with("(no room for "), columns == 40, "{endpoints:?}");
    }
}

#[test]
fn terminals_without_colours_get_none() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    for command in ["status", "endpoints"] {
        assert!(left(&admin, 120, XTERM, &[command]).sent.contains("\u{1b}[32m"), "{command}");
        for kind in [&[("TERM", "xterm"), ("NO_COLOR", "1")][..], &[("TERM", "dumb")], &[]] {
            let sent = left(&admin, 120, kind, &[command]).sent;
            assert!(!sent.contains('\u{1b}'), "{command} {kind:?}: {sent:?}");
        }
        let sent = left(&admin, 120, &[("TERM", "xterm"), ("LC_ALL", "C")], &[command]).sent;
        assert!(sent.is_ascii() && sent.contains("#####....."), "{command}: {sent:?}");
    }
}

#[test]
fn watch_adds_lines_until_it_is_interrupted() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    for columns in [40, 120] {
        let terminal = start(&admin, columns, XTERM, &["watch"]);
        let mut number = 0;
        // It tells of what comes after it has begun, whenever that is.
        let seen = |terminal: &Terminal| terminal.lines().iter().filter(|line| line.contains("200")).count();
        warmlane_tests::eventually("three are seen", || {
            number += 1;
            let header = format!("x-request-id: number-{number}\r\n");
            let body = r#"{"model":"m","prompt":"hello","max_tokens":2}"#;
            picker.router.aware().post_with("/v1/completions", &header, body);
            seen(&terminal) >= 3
        });
        let all = terminal.lines();
        let (noted, lines) = all.split_at(usize::from(columns == 40));
        assert!(noted.iter().all(|line| line.contains("no room for")), "{noted:?}");
        assert!(
            lines[0].contains("WENT TO") && lines.iter().filter(|line| line.contains("WENT TO")).count() == 1,
            "{lines:?}"
        );
        assert_eq!(
            lines[1].find(&picker.endpoint(0)),
            lines[0].find("WENT TO"),
            "columns stand below their heads: {lines:?}"
        );
        // As Ctrl-C does.
        terminal.press("\u{3}");
        let left = terminal.left();
        assert_eq!((left.signal, left.as_before), (Some(Signal::INT.as_raw()), true), "{left:?}");
    }
}

#[test]
fn watch_waits_for_a_router_that_starts_anew() {
    let picker = busy();
    let addresses: Vec<_> = picker.engines.iter().map(|engine| engine.address()).collect();
    let admin = picker.router.listening().admin;
    let terminal = start(&admin.to_string(), 120, XTERM, &["watch"]);
    terminal.shows("WENT TO");
    drop(picker.router);
    terminal.shows("It is waited for");
    let again = TestRouter::with(&addresses, |config| config.listen.admin = admin);
    warmlane_tests::eventually("what the new one decides is shown", || {
        let body = r#"{"model":"m","prompt":"hello","max_tokens":2}"#;
        again.aware().post_with("/v1/completions", "x-request-id: anew\r\n", body);
        terminal.lines().iter().any(|line| line.contains("anew") && line.contains("200"))
    });
    terminal.press("\u{3}");
    assert_eq!(terminal.left().signal, Some(Signal::INT.as_raw()));
}

/// Fields as `awk -F '  +'` has them.
fn fields(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|field| !field.is_empty()).collect()
}

#[test]
fn piped_tables_have_a_row_a_line_and_a_field_a_column() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    let body = r#"{"model":"m","prompt":"hello","max_tokens":2,"prompt_cache_key":"a"}"#;
    picker.router.aware().post("/v1/completions", body);
    picker.engines[1].stop();
    warmlane_tests::eventually("it is not ready", || picker.router.ready_endpoints() == 1);
    for words in [
        &["endpoints"][..],
        &["endpoints", "-o", "wide"],
        &["pods"],
        &["pods", "-o", "wide"],
        &["decisions", "-o", "wide"],
    ] {
        let text = ask(&admin, words).well();
        let mut lines = text.lines();
        let heads = fields(lines.next().expect("heads"));
        for line in lines {
            assert_eq!(fields(line).len(), heads.len(), "{words:?}:\n{text}");
        }
    }
}
