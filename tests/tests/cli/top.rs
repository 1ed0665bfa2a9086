//! `top` on a terminal, driven by keys, against routers that run.

use std::{path::Path, process::Command, thread, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use warmlane_router::config::Config;
use warmlane_tests::{
    TestRouter,
    agent::TestAgent,
    eventually,
    nvml::FakeNvml,
    picker::{Said as Page, TestPicker, engines},
    terminal::{Size, Terminal},
};

use super::{
    answers::{VERSION, ours, serve},
    ask, folder, program, run,
};

const WIDE: Size = (120, 20);

fn busy() -> TestPicker {
    let busy = Page { queue: 4, running: 9, kv: 0.5, active: "a" };
    TestPicker::with(&[Page::default(), busy], |_| {})
}

/// A terminal of nobody's in particular, and this router.
fn prepared(command: &mut Command, admin: &str) {
    command.env_clear().envs([("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("WARMLANE_ROUTER", admin)]);
    command.env("PATH", "/usr/bin:/bin");
}

fn top(admin: &str, size: Size, more: impl FnOnce(&mut Command)) -> Terminal {
    let start = Terminal::start(&folder().join("warmlane"), size, |command| {
        prepared(command, admin);
        command.args(["top", "--interval", "100ms"]);
        more(command);
    });
    start.expect("a terminal")
}

fn send(picker: &TestPicker, id: &str) -> String {
    let header = format!("x-request-id: {id}\r\n");
    let body = r#"{"model":"m","prompt":"hello hello","max_tokens":2}"#;
    let sent = picker.router.aware().post_with("/v1/completions", &header, body);
    sent.header("x-warmlane-endpoint").expect("an endpoint").to_owned()
}

/// The process that this one has started.
fn child_of(parent: u32) -> Pid {
    let mut child = None;
    eventually("it has started a program", || {
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        child = children.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
        child.is_some()
    });
    child.expect("a child")
}

#[test]
fn it_shows_who_is_busy_and_does_what_keys_say() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    let terminal = top(&admin, WIDE, |_| {});
    let lines = terminal.shows("requests/s");
    assert!(terminal.is_drawn_on());
    assert!(lines[0].starts_with(&format!("router {admin}  version {VERSION}, up ")), "{lines:?}");
    assert!(lines[1].starts_with("2 of 2 ready  0 under way"), "{lines:?}");
    assert!(lines[2].starts_with("  ADDRESS") && lines[19].starts_with("by SCORE  ? help"), "{lines:?}");
    assert!(lines[3].starts_with(&format!("> {}", picker.endpoint(1))), "the busiest is first: {lines:?}");
    assert!(lines[3].contains("0.33") && lines[3].contains("█████░░░░░  50%"), "{lines:?}");
    assert!(lines[4].contains(&picker.endpoint(0)) && lines[4].contains("1.00"), "{lines:?}");
    terminal.press("r");
    terminal.until("the idle one is first", |lines| lines[3].contains(&picker.endpoint(0)));
    terminal.press("r>>\u{1b}[C");
    terminal.shows("by KV CACHE");
    terminal.press("/");
    terminal.shows("filter: _");
    terminal.press(&picker.endpoint(0));
    terminal.until("only one is left", |lines| lines[3].contains(&picker.endpoint(0)) && lines[4].is_empty());
    terminal.press("\u{1b}");
    terminal.until("both are back", |lines| !lines[4].is_empty());
    terminal.press("?");
    terminal.shows("sort the other way round");
    terminal.press("?");
    terminal.shows("by KV CACHE");
    let seen = terminal.sent().len();
    terminal.press("\u{c}");
    eventually("all of it is drawn again", || terminal.sent()[seen..].contains("ADDRESS"));
    terminal.press("q");
    let left = terminal.left();
    assert_eq!((left.code, left.as_before), (Some(0), true), "{left:?}");
}

#[test]
fn a_replicas_last_decisions_are_shown_with_the_reasons_of_the_newest() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    let chosen = send(&picker, "first-request");
    let terminal = top(&admin, (100, 30), |command| _ = command.args(["--sort", "address"]));
    let lines = terminal.shows(&chosen);
    let row = lines.iter().position(|line| line.contains(&chosen)).expect("its row");
    terminal.press(&"j".repeat(row - 3));
    terminal.press("\r");
    terminal.shows("newest    first-request: ");
    let lines = terminal.shows("AGO    REQUEST");
    assert!(lines.iter().any(|line| line.starts_with(&format!("replica   {chosen}"))), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.contains("KV cache") && line.contains("of 95,000 tokens")),
        "{lines:?}"
    );
    // What comes later is seen without a key.
    let mut number = 0;
    eventually("a later one is seen", || {
        number += 1;
        send(&picker, &format!("later-{number}"));
        terminal.lines().iter().any(|line| line.contains("later-"))
    });
    // A terminal sends Alt-Q as the two at once.
    terminal.press("\u{1b}");
    terminal.shows("by ADDRESS");
    terminal.press("q");
    assert_eq!(terminal.left().code, Some(0));
}

#[test]
fn a_terminal_may_be_tiny_and_change_its_size() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    let terminal = top(&admin, (20, 5), |_| {});
    let lines = terminal.shows("ADDRESS");
    assert!(lines.iter().all(|line| line.chars().count() <= 20), "{lines:?}");
    let wraps = |terminal: &Terminal| {
        terminal.look(|screen| (0..screen.size().0.get()).any(|row| screen.row_wrapped(row)))
    };
    assert!(!wraps(&terminal));
    terminal.resize((100, 12));
    let lines =
        terminal.until("it fills the screen", |lines| lines.len() == 12 && lines[11].contains("quit"));
    assert!(lines[2].contains("KV CACHE") && lines[3].contains(&picker.endpoint(1)), "{lines:?}");
    terminal.resize((40, 8));
    terminal.until("it is narrow", |lines| lines.len() == 8 && lines[7].contains("by SCORE"));
    assert!(!wraps(&terminal));
    terminal.press("\u{3}");
    let left = terminal.left();
    assert_eq!((left.code, left.as_before), (Some(0), true), "Ctrl-C is no mishap: {left:?}");
}

#[test]
fn colours_and_letters_are_those_that_the_terminal_has() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    let sent = |environment: &[(&str, &str)]| {
        let terminal = top(&admin, WIDE, |command| _ = command.envs(environment.iter().copied()));
        terminal.shows("50%");
        terminal.press("q");
        let left = terminal.left();
        assert!(left.as_before, "{left:?}");
        left.sent
    };
    let coloured = |sent: &str| {
        let codes = sent
            .split("\u{1b}[")
            .skip(1)
            .filter_map(|rest| rest.split_once('m'))
            .map(|(code, _)| code.to_owned());
        codes.filter(|code| code.chars().all(|c| c.is_ascii_digit() || c == ';')).any(|code| {
            // Attributes are set back at the end of each picture, whether any was set or not.
            !matches!(code.as_str(), "" | "0" | "39" | "49" | "59" | "39;49")
        })
    };
    let rich = sent(&[]);
    assert!(coloured(&rich) && rich.contains('█'), "{rich:?}");
    let plain = sent(&[("NO_COLOR", "1")]);
    assert!(!coloured(&plain) && plain.contains('█'), "{plain:?}");
    let ascii = sent(&[("LC_ALL", "C")]);
    assert!(coloured(&ascii) && ascii.is_ascii() && ascii.contains("#####.....  50%"), "{ascii:?}");
}

#[test]
fn where_it_cannot_be_seen_it_says_what_else_there_is() {
    let picker = TestPicker::idle(1);
    let admin = picker.router.listening().admin.to_string();
    for words in [&["top"][..], &["-o", "json", "top"]] {
        let said = ask(&admin, words);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
        for part in ["warmlane: top needs a terminal: ", "warmlane endpoints", "warmlane watch"] {
            assert!(said.err.contains(part), "no {part:?} in {}", said.err);
        }
    }
    for term in ["dumb", ""] {
        let left = top(&admin, WIDE, |command| _ = command.env("TERM", term)).left();
        assert_eq!(left.code, Some(2), "{left:?}");
        assert!(left.lines.concat().contains("TERM says that this one cannot be drawn on"), "{left:?}");
    }
    let left = top("127.0.0.1:1", WIDE, |_| {}).left();
    assert_eq!(left.code, Some(3), "{left:?}");
    assert!(
        left.lines.concat().contains("cannot reach the router") && !left.sent.contains("\u{1b}["),
        "{left:?}"
    );
    assert_eq!(run(program().args(["top", "--interval", "1ms"])).code, Some(2));
}

#[test]
fn a_router_that_goes_away_and_comes_back_is_waited_for() {
    let (_engines, addresses) = engines(2);
    let router = TestRouter::start(&addresses);
    let admin = router.listening().admin;
    let terminal = top(&admin.to_string(), WIDE, |_| {});
    terminal.shows("2 of 2 ready");
    drop(router);
    let lines = terminal.shows("away for ");
    assert!(lines[0].contains(", as of ") && lines[1].starts_with("2 of 2 ready"), "{lines:?}");
    assert!(
        lines[3].contains(&addresses[0].to_string()) || lines[4].contains(&addresses[0].to_string()),
        "{lines:?}"
    );
    terminal.press(" ");
    terminal.press(" ");
    let again = |config: &mut Config| config.listen.admin = admin;
    let _router = TestRouter::with(&addresses, again);
    terminal
        .until("it is back", |lines| lines[0].contains("version") && lines[1].starts_with("2 of 2 ready"));
    terminal.press("q");
    assert_eq!(terminal.left().code, Some(0));
}

#[test]
fn an_agent_tells_of_gpus_and_may_go_away() {
    let (_engines, addresses) = engines(1);
    let fake = FakeNvml::new(1);
    let agent = TestAgent::with(&addresses, |config| config.nvml_lib = fake.path());
    let router = TestRouter::start(&addresses);
    let node = agent.admin_address().to_string();
    let terminal = top(&router.listening().admin.to_string(), WIDE, |command| {
        command.args(["--agent", &node]);
    });
    let lines = terminal.until("its GPU", |lines| lines[3].contains(" C  healthy"));
    assert!(lines[3].contains(&addresses[0].to_string()), "{lines:?}");
    drop(agent);
    let lines = terminal.shows("cannot reach the agent");
    assert!(lines[1].starts_with("1 of 1 ready"), "the router is still there: {lines:?}");
}

#[test]
fn paused_nothing_is_asked() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    let terminal = top(&admin, WIDE, |_| {});
    terminal.shows("2 of 2 ready");
    terminal.press(" ");
    terminal.shows("paused, as of ");
    picker.engines[1].stop();
    eventually("the router has seen it", || picker.router.ready_endpoints() == 1);
    terminal.until("it has stood for a while", |lines| lines[0].contains("as of 1."));
    assert!(terminal.lines()[1].starts_with("2 of 2 ready"));
    terminal.press(" ");
    let lines = terminal.shows("1 of 2 ready");
    assert!(lines[3].contains(&picker.endpoint(1)) && lines[3].contains("0.00"), "{lines:?}");
}

#[test]
fn a_signal_ends_it_as_it_ends_others_and_the_terminal_is_as_before() {
    let picker = TestPicker::idle(1);
    let admin = picker.router.listening().admin.to_string();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let terminal = top(&admin, WIDE, |_| {});
        terminal.shows("1 of 1 ready");
        terminal.signal(signal);
        let left = terminal.left();
        assert_eq!((left.code, left.signal, left.as_before), (None, Some(signal.as_raw()), true), "{left:?}");
    }
}

/// A shell that says how the terminal is once the program has ended.
fn in_shell(admin: &str) -> Terminal {
    let start = Terminal::start(Path::new("/bin/sh"), WIDE, |command| {
        prepared(command, admin);
        command.arg("-c").arg("\"$0\" top; echo \"ended by $?\"; stty -a").arg(folder().join("warmlane"));
    });
    start.expect("a terminal")
}

#[test]
fn keys_are_read_by_lines_again_whatever_ended_it() {
    let picker = TestPicker::idle(1);
    let admin = picker.router.listening().admin.to_string();
    for end in [None, Some(Signal::TERM), Some(Signal::INT)] {
        let terminal = in_shell(&admin);
        terminal.shows("1 of 1 ready");
        match end {
            None => terminal.press("q"),
            Some(signal) => kill_process(child_of(terminal.id()), signal).expect("it runs"),
        }
        let said = terminal.left().lines.join("\n");
        let code = end.map_or(0, |signal| 128 + signal.as_raw());
        assert!(said.contains(&format!("ended by {code}")), "{said}");
        for mode in ["icanon", "echo", "isig", "opost"] {
            assert!(said.split_whitespace().any(|word| word == mode), "{end:?}: no {mode} in {said}");
        }
    }
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_back() {
    let picker = busy();
    let admin = picker.router.listening().admin.to_string();
    let start = Terminal::start(Path::new("/bin/sh"), WIDE, |command| {
        prepared(command, &admin);
        command.arg("-i").env("PS1", "shell> ").env("PATH", format!("{}:/usr/bin:/bin", folder().display()));
    });
    let terminal = start.expect("a terminal");
    terminal.shows("shell>");
    terminal.press("warmlane top\n");
    terminal.shows("2 of 2 ready");
    terminal.press("\u{1a}");
    eventually("the shell has it", || !terminal.is_drawn_on());
    terminal.press("echo by $((40 + 2)) lines; stty -a\n");
    terminal.shows("by 42 lines");
    terminal.shows(" icanon");
    terminal.press("fg\n");
    eventually("it is drawn on again", || terminal.is_drawn_on());
    let lines = terminal.shows("2 of 2 ready");
    assert!(lines[3].contains(&picker.endpoint(1)), "all of it: {lines:?}");
    terminal.press("q");
    eventually("it has ended", || !terminal.is_drawn_on());
    terminal.press("exit\n");
    assert!(terminal.left().as_before);
}

#[test]
fn a_hostile_router_draws_nothing_itself() {
    let page = r#"{"version":"1","uptime_seconds":1,"ready":false,"readiness":"\u001b]0;owned\u0007\u001b[2J\u009b31m\u202egnp",
        "on":false,"mode":"off","remote":false,"object":null,"programs":[],"pods":0,"clients":0,"counts":null,"handed_over":null,
        "why_off":null,"agents":[],"endpoints":[{"address":"\u001b[5;5Howned\u001b[31m","ready":true,"in_flight":0,"health":"\u001b[2J\u202e",
        "signals":{"queue":null,"running":null,"kv_use":null,"awake":null,"lora":null},"slot":1,"socket":"x","local":false,
        "requests":0,"kv_capacity_tokens":null,"models":null}]}"#;
    let terminal = top(&serve(ours(VERSION, "200 OK", page)).to_string(), (160, 20), |_| {});
    let lines = terminal.shows("\\u{1b}[5;5Howned");
    assert!(
        lines[3].starts_with("> \\u{1b}[5;5Howned") && lines[0].contains("\\u{1b}]0;owned\\u{7}"),
        "{lines:?}"
    );
    thread::sleep(Duration::from_millis(50));
    terminal.press("q");
    let left = terminal.left();
    let steers = |sequence: &str| left.sent.contains(sequence);
    assert!(
        !steers("\u{1b}]") && !steers("\u{9b}") && !steers("\u{7}") && !steers("\u{202e}"),
        "{:?}",
        left.sent
    );
}
