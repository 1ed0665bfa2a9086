//! A Chromium and its DevTools protocol: JSON messages, each ended by a zero byte, over descriptors 3 and 4 of its own.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde_json::{Value, json};

use crate::PATIENCE;

/// The shell gives the program our pipes where it looks for them, and nothing for its input and output.
const AT_3_AND_4: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>&2"#;

const FLAGS: [&str; 11] = [
    "--remote-debugging-pipe",
    "--headless",
    // Suites run as root, which its sandbox refuses, and show it nothing but our own page.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/// See the module's header. Killed when dropped.
#[derive(Debug)]
pub(super) struct Pipe {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    events: Vec<Value>,
    last: u64,
}

// === Pipe ===

impl Pipe {
    pub(super) fn start(program: &Path, profile: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", AT_3_AND_4, "sh"]).arg(program).args(FLAGS);
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a shell");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (sender, messages) = channel();
        // Ends with the program, which closes its end.
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Self { child, input, messages, events: Vec::new(), last: 0 }
    }

    /// Asks, and waits for the answer.
    pub(super) fn call(&mut self, session: Option<&str>, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).expect("Chromium takes what is sent");
        loop {
            let mut message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("Chromium does not answer {method}: does `$WARMLANE_CHROMIUM --version` work?")
            });
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// What it told by itself, up to the last answer.
    pub(super) fn events(&mut self) -> impl Iterator<Item = Value> {
        std::mem::take(&mut self.events).into_iter()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
