//! Changes of a running router by its admin port: who may make them, and what becomes of the traffic meanwhile.

use std::{fs, path::PathBuf};

use tempfile::TempDir;
use warmlane_router::config::Config;
use warmlane_tests::{RawEngine, TestRouter, admin::Door};

#[path = "admin/changes.rs"]
mod changes;
#[path = "admin/doors.rs"]
mod doors;
#[path = "admin/process.rs"]
mod process;

const TOKEN: &str = "a-token-of-the-test";

/// A router with a token and a socket.
struct Guarded {
    router: TestRouter,
    socket: PathBuf,
    folder: TempDir,
}

// === Guarded ===

impl Guarded {
    fn over(engines: &[&RawEngine]) -> Self {
        Self::with(engines, |_| {})
    }

    fn with(engines: &[&RawEngine], change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let (socket, token) = (folder.path().join("admin.sock"), folder.path().join("token"));
        fs::write(&token, format!("{TOKEN}\n")).expect("write");
        let addresses: Vec<_> = engines.iter().map(|engine| engine.address()).collect();
        let router = TestRouter::with(&addresses, |config| {
            config.admin.socket.clone_from(&socket);
            config.admin.token_file = token;
            config.admin.hosts = vec!["router.example.com".to_owned()];
            change(config);
        });
        Self { router, socket, folder }
    }

    fn port(&self) -> Door {
        Door::Port(self.router.listening().admin)
    }

    fn socket(&self) -> Door {
        Door::socket(&self.socket)
    }

    fn actions(&self, action: &str, outcome: &str) -> f64 {
        let labels = format!("action=\"{action}\",outcome=\"{outcome}\"");
        self.router.metric(&format!("warmlane_admin_actions_total{{{labels}}}"))
    }
}
