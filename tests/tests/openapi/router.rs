//! A router, held against its description.

use std::path::Path;

use super::*;

/// What cannot be had at will: a page that breaks off, a body that does not come in time, a writer that has no turn, a lane
/// that cannot be switched on and a log that is not the router's. Other suites see most of them.
const UNSEEN: &[&str] = &[
    "get /debug/decisions 500",
    "head /debug/decisions 500",
    "get /debug/decisions/{request_id} 500",
    "head /debug/decisions/{request_id} 500",
    "post /debug/explain 408",
    "post /debug/explain 503",
    "post /debug/lane 200",
    "post /debug/log 200",
];

/// A router with everything that a page can show, and its token's file.
struct Whole {
    router: TestRouter,
    door: Door,
    token: PathBuf,
    engines: Vec<RawEngine>,
    _agent: TestAgent,
    _files: tempfile::TempDir,
}

// === Whole ===

impl Whole {
    fn start(fake: &FakeNvml) -> Self {
        let (engines, addresses) = engines(2);
        let agent = TestAgent::with(&addresses, |config| config.nvml_lib = fake.path());
        let files = tempfile::tempdir().expect("folder");
        let token = files.path().join("token");
        fs::write(&token, TOKEN).expect("write");
        let router = TestRouter::with(&addresses, |config| {
            config.agents = vec![agent.address().to_string()];
            config.admin.token_file.clone_from(&token);
            config.profile = warmlane_picker::Profile::of(warmlane_picker::Strategy::PrefixCache);
        });
        let door = Door::Port(router.listening().admin);
        let whole = Self { router, door, token, engines, _agent: agent, _files: files };
        whole.fill();
        whole
    }

    /// A session, a prefix group and decisions of each kind of end.
    fn fill(&self) {
        let text: String = (0..600).map(|word| format!("w{} ", word % 97)).collect();
        let body = json!({ "model": "m", "prompt": text, "max_tokens": 2 }).to_string();
        eventually("models are known", || {
            self.router.aware().post("/v1/completions", r#"{"model":"nobody's","prompt":"x"}"#).status == 404
        });
        for number in 0..12 {
            let lines = format!("x-request-id: r{number}\r\nx-session-id: s\r\n");
            assert_eq!(self.router.aware().post_with("/v1/completions", &lines, &body).status, 200);
        }
        let pages = || self.router.admin().get("/debug/pins").json();
        eventually("both are pinned", || {
            pages()["sessions"]["pins"][0].is_object() && pages()["groups"]["pins"][0].is_object()
        });
        eventually("the GPUs are known", || {
            self.router.admin().get("/debug/agents").json()["agents"][0]["gpus"][0].is_object()
        });
    }

    fn key(&self, page: &str, kind: &str, name: &str) -> String {
        let page = self.router.admin().get(page).json();
        page[kind]["pins"][0][name].as_str().expect("a key").to_owned()
    }
}

#[test]
fn a_router_answers_as_is_described_and_nothing_else_is() {
    let fake = FakeNvml::new(1);
    let whole = Whole::start(&fake);
    let mut described = Description::of("router");
    readings(&whole, &mut described);
    questions(&whole, &mut described);
    changes(&whole, &mut described);
    foreigners(&whole.door, &mut described);
    let endpoint = whole.engines[0].address().to_string();
    described.has_the_paths(&whole.door, route::ROUTER, |path| {
        let path =
            path.replace("{file}", "page.css").replace("{request_id}", "r1").replace("{address}", &endpoint);
        path.replace("{session}", "0000000000000000").replace("{group}", "0000000000000000")
    });
    whole.engines.iter().for_each(RawEngine::stop);
    eventually("nothing is ready", || whole.router.ready_endpoints() == 0);
    for method in ["GET", "HEAD"] {
        assert_eq!(described.hold(&whole.door, &Asked::of(method, "/readyz", "/readyz")).status, 503);
    }
    let unseen: BTreeSet<String> = UNSEEN.iter().map(|unseen| (*unseen).to_owned()).collect();
    let busy = |unseen: &String| unseen.ends_with(" 503") && !unseen.contains("explain");
    let (busy, rest): (BTreeSet<String>, BTreeSet<String>) = described.unseen().into_iter().partition(busy);
    assert_eq!((rest, busy), (unseen, BTreeSet::new()));
}

fn readings(whole: &Whole, described: &mut Description) {
    let plain = route::ROUTER.iter().filter(|route| !route.path.contains('{') && route.takes("GET"));
    for route in plain {
        for method in ["GET", "HEAD"] {
            assert_eq!(described.hold(&whole.door, &Asked::of(method, route.path, route.path)).status, 200);
        }
    }
    let browser = Asked::get("/").with("accept: text/html\r\n");
    assert!(described.hold(&whole.door, &browser).body.starts_with("<!doctype html>"));
    for (template, good, wrong) in [
        ("/page/{file}", "/page/page.css", "/page/none.css"),
        ("/debug/decisions/{request_id}", "/debug/decisions/r1", "/debug/decisions/none"),
    ] {
        for method in ["GET", "HEAD"] {
            assert_eq!(described.hold(&whole.door, &Asked::of(method, template, good)).status, 200);
            assert_eq!(described.hold(&whole.door, &Asked::of(method, template, wrong)).status, 404);
        }
    }
    for file in ["page.js", "icon.svg"] {
        described.hold(&whole.door, &Asked::of("GET", "/page/{file}", &format!("/page/{file}")));
    }
    assert_eq!(whole.door.ask("GET", "/openapi.json", "", "").page, described.document);
}

fn questions(whole: &Whole, described: &mut Description) {
    for (path, wrong) in
        [("/debug/pins", "limit=x"), ("/debug/groups", "limit=10001"), ("/debug/decisions", "modle=m")]
    {
        let (good, wrong) = (format!("{path}?limit=1"), format!("{path}?{wrong}"));
        for method in ["GET", "HEAD"] {
            assert_eq!(described.hold(&whole.door, &Asked::of(method, path, &good)).status, 200);
            assert_eq!(described.hold(&whole.door, &Asked::of(method, path, &wrong)).status, 400);
        }
    }
    let lines = Asked::get("/debug/decisions?format=lines&model=m");
    assert!(described.hold(&whole.door, &lines).body.lines().count() > 12);
    let explain = |path| Asked::of("POST", "/debug/explain", path);
    let body = r#"{"model":"m","prompt":"x"}"#;
    let dry = explain("/debug/explain?path=/v1/completions").sending(body);
    assert_eq!(described.hold(&whole.door, &dry).status, 200);
    assert_eq!(described.hold(&whole.door, &explain("/debug/explain").sending("{")).status, 400);
    let large = format!("{{\"prompt\":\"{}\"}}", "x".repeat(9 << 20));
    assert_eq!(described.hold(&whole.door, &explain("/debug/explain").sending(&large)).status, 413);
}

/// One of each change, and how it may be refused.
fn changes(whole: &Whole, described: &mut Description) {
    let endpoint = whole.engines[0].address().to_string();
    let of = |what: &str, name: &str| format!("/debug/endpoints/{name}/{what}");
    let session = format!("/debug/pins/{}", whole.key("/debug/pins", "sessions", "session"));
    let group = format!("/debug/groups/{}", whole.key("/debug/groups", "groups", "group"));
    let drain = "/debug/endpoints/{address}/drain";
    let undrain = "/debug/endpoints/{address}/undrain";
    let (lane, log) = ("/debug/lane", "/debug/log");
    let long = "x".repeat(80 << 10);
    let cases: &[(&str, &str, &str, &str, u16)] = &[
        ("POST", drain, &of("drain", &endpoint), "", 200),
        ("POST", drain, &of("drain", "a:1"), "", 404),
        ("POST", undrain, &of("undrain", &endpoint), "", 200),
        ("POST", undrain, &of("undrain", "a:1"), "", 404),
        ("DELETE", "/debug/pins/{session}", &session, "", 200),
        ("DELETE", "/debug/pins/{session}", "/debug/pins/feedbeef0f000000", "", 404),
        ("DELETE", "/debug/pins/{session}", "/debug/pins/x", "", 400),
        ("DELETE", "/debug/groups/{group}", &group, "", 200),
        ("DELETE", "/debug/groups/{group}", "/debug/groups/feedbeef0f000000", "", 404),
        ("DELETE", "/debug/groups/{group}", "/debug/groups/x", "", 400),
        ("POST", lane, lane, r#"{"on": true}"#, 409),
        ("POST", lane, lane, "{}", 400),
        ("POST", lane, lane, &long, 413),
        ("POST", log, log, r#"{"level": "debug"}"#, 409),
        ("POST", log, log, "{}", 400),
        ("POST", log, log, &long, 413),
    ];
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    for (method, template, path, body, status) in cases {
        let asked = Asked::of(method, template, path).sending(body);
        let answer = described.hold(&whole.door, &asked.with(&token));
        assert_eq!(answer.status, *status, "{method} {path} {body:.40}: {answer:?}");
    }
    refusals(whole, described, cases);
}

fn refusals(whole: &Whole, described: &mut Description, cases: &[(&str, &str, &str, &str, u16)]) {
    let each = |status: u16, described: &mut Description| {
        for (method, template, path, ..) in cases {
            assert_eq!(described.hold(&whole.door, &Asked::of(method, template, path)).status, status);
        }
    };
    each(401, described);
    let away: &Path = &whole.token.with_extension("away");
    fs::rename(&whole.token, away).expect("rename");
    each(503, described);
    fs::rename(away, &whole.token).expect("rename");
}

/// Whoever may be led here by a page of another site reads nothing and changes nothing.
fn foreigners(door: &Door, described: &mut Description) {
    let paths: Vec<(String, String)> = described.document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().expect("methods").keys().map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    for (method, template) in &paths {
        let path = template.replace(['{', '}'], "");
        let is_probe = matches!(path.as_str(), "/healthz" | "/readyz");
        let by_name =
            described.hold(door, &Asked::of(method, template, &path).with("host: evil.example.com\r\n"));
        assert_eq!(by_name.status, if is_probe { 200 } else { 403 }, "{method} {path}");
        let by_page = described
            .hold(door, &Asked::of(method, template, &path).with("origin: http://evil.example.com\r\n"));
        assert_eq!(by_page.status, 403, "{method} {path}");
        if method == "GET" {
            assert!(is_probe || by_name.why().contains("--admin-host"), "{by_name:?}");
        }
    }
}
