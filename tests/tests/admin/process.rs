//! The whole program: its log, its socket's file, and that neither tells the token.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use warmlane_tests::eventually;

use super::*;

struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl Process {
    fn start() -> Self {
        let bin = std::env::var_os("WARMLANE_BIN_DIR").map(PathBuf::from);
        let bin = bin.expect("WARMLANE_BIN_DIR names no folder; run this suite as: cargo xtask test");
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("token"), TOKEN).expect("write");
        let mut command = Command::new(bin.join("warmlane-router"));
        command.arg("--endpoint=127.0.0.1:1").env_clear().stdout(Stdio::null()).stderr(Stdio::piped());
        command
            .args(["--plain", "--aware", "--metrics", "--admin"].map(|port| format!("{port}=127.0.0.1:0")));
        let files = [("--admin-socket", "admin.sock"), ("--admin-token-file", "token")];
        command.args(files.map(|(flag, file)| format!("{flag}={}", folder.path().join(file).display())));
        let mut child = command.spawn().expect("it runs");
        let (errors, lines) = (child.stderr.take().expect("its log"), Arc::<Mutex<Vec<String>>>::default());
        let written = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                written.lock().expect("one writer").push(line);
            }
        });
        let process = Self { child, lines, folder };
        eventually("it listens", || process.path().exists());
        process
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    fn socket(&self) -> Door {
        Door::socket(&self.path())
    }

    fn log(&self) -> String {
        self.lines.lock().expect("one writer").join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_log_says_who_changed_what_as_loud_as_it_is_told_to_be() {
    let process = Process::start();
    let ask = |method: &str, path: &str, body: &str| process.socket().ask(method, path, "", body);
    let drain = "/debug/endpoints/127.0.0.1:1/drain";
    assert_eq!(ask("POST", drain, "").status, 200);
    let uid = rustix::process::geteuid().as_raw();
    eventually("it is told", || process.log().contains("127.0.0.1:1 gets no new requests"));
    assert!(process.log().contains(&format!("by=uid {uid}")), "{}", process.log());
    let quiet = ask("POST", "/debug/log", "{\"level\": \"warn\"}");
    assert_eq!((quiet.status, &quiet.page["before"]), (200, &"info".into()), "{quiet:?}");
    assert_eq!(ask("POST", "/debug/endpoints/127.0.0.1:1/undrain", "").status, 200);
    let loud = ask("POST", "/debug/log", "{\"level\": \"info,warmlane_router=debug\"}");
    assert_eq!((loud.status, &loud.page["before"]), (200, &"warn".into()), "{loud:?}");
    assert_eq!(ask("POST", "/debug/log", "{\"level\": \"louder\"}").status, 400);
    assert_eq!(ask("POST", drain, "").status, 200);
    eventually("it is told again", || process.log().matches("gets no new requests").count() == 2);
    assert!(!process.log().contains("may get requests"), "while it was quiet: {}", process.log());
    let page = process.socket().ask("GET", "/debug/config", "", "");
    assert!(page.status == 200 && !process.log().contains(TOKEN), "{}", process.log());
}

#[test]
fn its_socket_goes_with_it_and_what_a_killed_one_left_is_replaced() {
    let mut process = Process::start();
    process.child.kill().expect("it runs");
    process.child.wait().expect("it ends");
    assert!(process.path().exists(), "nobody was there to remove it");
    let path = process.path();
    let again = TestRouter::unready(&["127.0.0.1:1".parse().expect("an address")], |config| {
        config.admin.socket.clone_from(&path);
    });
    assert_eq!(Door::socket(&path).ask("GET", "/healthz", "", "").status, 200);
    drop(again);
    assert!(!path.exists(), "it went with its router");
    let mut process = Process::start();
    let pid = Pid::from_child(&process.child);
    kill_process(pid, Signal::TERM).expect("it runs");
    process.child.wait().expect("it ends");
    assert!(!process.path().exists(), "also where it is told to stop");
}
