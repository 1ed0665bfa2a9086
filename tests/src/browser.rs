//! A headless Chromium with one page open, driven as a person would: by clicks and keys. What it complains of is kept.
//!
//! The program comes from `WARMLANE_CHROMIUM`, which `cargo xtask test` sets after installing it. It reaches nothing but
//! loopback.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually;

mod pipe;

use pipe::Pipe;

/// Where the program is.
const VARIABLE: &str = "WARMLANE_CHROMIUM";

/// A running one, killed when dropped.
#[derive(Debug)]
pub struct Browser {
    pipe: Pipe,
    session: String,
    complaints: Vec<String>,
    _profile: TempDir,
}

/// What the page is shown on.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Whether the system prefers dark colours.
    pub dark: bool,
}

// === Screen ===

impl Screen {
    /// A desk's.
    pub const DESK: Self = Self { width: 1_360, height: 900, dark: false };
    /// A hand's.
    pub const PHONE: Self = Self { width: 390, height: 844, dark: false };

    /// The same at night.
    #[must_use]
    pub fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

// === Browser ===

impl Browser {
    /// Starts one with an empty page.
    ///
    /// # Panics
    /// When nobody said where it is, or it does not start.
    pub fn start() -> Self {
        let program = std::env::var_os(VARIABLE).unwrap_or_else(|| {
            panic!(
                "{VARIABLE} does not say where Chromium is: `cargo xtask test --only suites` installs Debian's \
                 chromium-headless-shell and sets it"
            )
        });
        let profile = tempfile::tempdir().expect("folder");
        let mut pipe = Pipe::start(Path::new(&program), profile.path());
        let target = pipe.call(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = pipe.call(None, "Target.attachToTarget", &attach);
        let session = session["sessionId"].as_str().expect("a session").to_owned();
        let mut browser = Self { pipe, session, complaints: Vec::new(), _profile: profile };
        for domain in ["Page", "Runtime", "Log", "Audits"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.look_by(Screen::DESK);
        browser
    }

    /// Shows it on this screen.
    pub fn look_by(&mut self, screen: Screen) {
        let Screen { width, height, dark } = screen;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Goes to an address.
    ///
    /// # Panics
    /// When there is nothing.
    pub fn open(&mut self, url: &str) {
        let went = self.call("Page.navigate", &json!({ "url": url }));
        assert!(went["errorText"].is_null(), "{url}: {went}");
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// What an expression comes to on the page.
    ///
    /// # Panics
    /// When it fails.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true, "allowUnsafeEvalBlockedByCSP": false });
        let mut said = self.call("Runtime.evaluate", &asked);
        assert!(said["exceptionDetails"].is_null(), "{expression}: {said}");
        said["result"]["value"].take()
    }

    /// The text of what a selector finds first; empty where there is nothing, or it is hidden.
    pub fn text(&mut self, selector: &str) -> String {
        let shown = format!("document.querySelector({})", json!(selector));
        let text = self.value(&format!("{shown}?.checkVisibility() ? {shown}.innerText : ''"));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The texts of all that a selector finds.
    pub fn texts(&mut self, selector: &str) -> Vec<String> {
        let all =
            format!("[...document.querySelectorAll({})].map((each) => each.innerText)", json!(selector));
        serde_json::from_value(self.value(&all)).expect("texts")
    }

    /// Waits until an expression is true on the page.
    pub fn until(&mut self, expression: &str) {
        eventually(expression, || self.value(&format!("Boolean({expression})")) == true);
    }

    /// Clicks in the middle of what a selector finds first.
    ///
    /// # Panics
    /// When it cannot be hit: not there, hidden, or below something else.
    pub fn click(&mut self, selector: &str) {
        let middle = format!(
            "(() => {{ const it = document.querySelector({}); it.scrollIntoView({{ block: 'center' }});
              const {{ x, y, width, height }} = it.getBoundingClientRect(); const at = [x + width / 2, y + height / 2];
              return [...at, it.contains(document.elementFromPoint(...at))]; }})()",
            json!(selector)
        );
        let at = self.value(&middle);
        assert_eq!(at[2], true, "{selector} lies below something else");
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Presses a key, by its name and by the text that it writes, if any.
    pub fn press(&mut self, key: &str, text: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            _ => 0,
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Writes into what has the focus.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// A picture of what is seen.
    ///
    /// # Panics
    /// When there is none.
    pub fn picture(&mut self) -> Vec<u8> {
        let said =
            self.call("Page.captureScreenshot", &json!({ "format": "png", "optimizeForSpeed": false }));
        BASE64_STANDARD.decode(said["data"].as_str().expect("data")).expect("base64")
    }

    /// What it complained of since this was asked last: errors on its console, scripts that failed, policies that were
    /// violated.
    pub fn complaints(&mut self) -> Vec<String> {
        // Whatever it has to say comes before the answer.
        self.value("0");
        std::mem::take(&mut self.complaints)
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        let said = self.pipe.call(Some(&self.session), method, params);
        let complaints = self.pipe.events().filter_map(|event| complaint(&event)).collect::<Vec<_>>();
        self.complaints.extend(complaints);
        said
    }
}

fn complaint(event: &Value) -> Option<String> {
    let said = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" | "Audits.issueAdded" => Some(said.to_string()),
        "Runtime.consoleAPICalled"
            if matches!(said["type"].as_str(), Some("error" | "warning" | "assert")) =>
        {
            Some(said.to_string())
        }
        "Log.entryAdded" if matches!(said["entry"]["level"].as_str(), Some("error" | "warning")) => {
            Some(said.to_string())
        }
        _ => None,
    }
}
