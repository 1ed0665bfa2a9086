//! The program on a terminal: a pseudo-terminal of a given width, and what it shows.

use std::{
    fs::File,
    io::Read as _,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    thread,
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use warmlane_tests::picker::TestPicker;

use super::{
    answers::{VERSION, ours, serve},
    program,
};

/// What a command shows on a terminal of this width, and its exit code.
fn shown(command: &mut Command, columns: u16) -> (String, Option<i32>) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is granted");
    let name = ptsname(&ours, Vec::new()).expect("its name");
    let theirs = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other side");
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&theirs, size).expect("its size");
    let mut child = command.stdout(Stdio::from(theirs)).stderr(Stdio::null()).spawn().expect("it starts");
    // The command holds the other side too.
    command.stdout(Stdio::null());
    let reader = thread::spawn(move || read(ours));
    let code = child.wait().expect("it ends").code();
    (reader.join().expect("it was read"), code)
}

/// To the end, which a pseudo-terminal tells by an error.
fn read(terminal: OwnedFd) -> String {
    let (mut text, mut part) = (Vec::new(), [0; 4_096]);
    let mut terminal = File::from(terminal);
    while let Ok(count @ 1..) = terminal.read(&mut part) {
        text.extend_from_slice(&part[..count]);
    }
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn on_a_terminal_tables_have_colours_and_its_width() {
    let picker = TestPicker::idle(2);
    let admin = picker.router.listening().admin.to_string();
    let on = |columns, environment: &[(&str, &str)], words: &[&str]| {
        let mut command = program();
        command.args(["--router", &admin]).args(words).envs(environment.iter().copied());
        shown(&mut command, columns)
    };
    let (text, code) = on(60, &[("TERM", "xterm")], &["endpoints"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("\u{1b}[32myes\u{1b}[0m") && text.contains("no room for"), "{text}");
    for environment in [&[("TERM", "xterm"), ("NO_COLOR", "1")][..], &[("TERM", "dumb")], &[]] {
        let (text, _) = on(60, environment, &["endpoints", "-o", "wide"]);
        assert!(!text.contains('\u{1b}'), "{environment:?}: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    }
    let (text, _) = on(60, &[("TERM", "xterm")], &["--color", "never", "status"]);
    assert!(!text.contains('\u{1b}') && text.contains("all is well"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
}

#[test]
fn a_hostile_router_does_nothing_to_a_terminal() {
    let page = r#"{"on":false,"mode":"off","remote":false,"object":null,"programs":[],"pods":0,"clients":0,"counts":null,
        "handed_over":null,"why_off":"\u001b]0;owned\u0007\u001b[2J\u009b31m\u202egnp"}"#;
    let admin = serve(ours(VERSION, "200 OK", page)).to_string();
    for form in ["table", "wide", "json", "yaml"] {
        let mut command = program();
        command.args(["--router", &admin, "-o", form, "--color", "never", "lane"]).env("TERM", "xterm");
        let (text, code) = shown(&mut command, 200);
        assert_eq!(code, Some(0));
        assert!(text.contains("owned"), "{form}: {text}");
        let steers = |c: char| (c.is_control() && !"\r\n".contains(c)) || c == '\u{202e}';
        assert!(!text.contains(steers), "{form}: {text:?}");
    }
}
