//! What changes do to the traffic.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use serde_json::Value;
use warmlane_picker::{Profile, Strategy};
use warmlane_tests::{Behaviour, RawEngine, Wire, eventually};

use super::*;

const COMPLETIONS: &str = "/v1/completions";
const BODY: &str = r#"{"model":"m","prompt":"p"}"#;
const CLIENTS: usize = 6;

fn answer() -> Behaviour {
    let body = r#"{"id":"cmpl-1","choices":[{"text":"x"}]}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Behaviour::Answer(format!("{head}{body}").into_bytes())
}

/// Where a request of this session goes.
fn served(client: &mut Wire, session: &str) -> Option<String> {
    let response = client.post_with(COMPLETIONS, &format!("x-session-id: {session}\r\n"), BODY);
    assert!(response.status == 200 && response.complete, "{} {}", response.status, response.text());
    response.header("x-warmlane-endpoint").map(str::to_owned)
}

/// Clients that ask as fast as they are answered, each in a session of its own, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    /// Answers that each has.
    answered: Arc<[AtomicUsize; CLIENTS]>,
    clients: Vec<thread::JoinHandle<usize>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<[AtomicUsize; CLIENTS]>::default());
        let clients = (0..CLIENTS).map(|number| {
            let (stop, answered) = (stop.clone(), answered.clone());
            thread::spawn(move || {
                let (mut client, mut count) = (Wire::connect(address), 0);
                while !stop.load(SeqCst) {
                    served(&mut client, &format!("of-load-{number}"));
                    count += 1;
                    answered[number].fetch_add(1, SeqCst);
                }
                count
            })
        });
        let clients = clients.collect();
        Self { stop, answered, clients }
    }

    /// Until each has so many more answers.
    fn goes_on(&self, more: usize) {
        let now = || self.answered.each_ref().map(|count| count.load(SeqCst));
        let before = now();
        eventually("the load goes on", || {
            now().iter().zip(before).all(|(now, before)| *now >= before + more)
        });
    }

    /// How many were asked, all of which were answered.
    fn end(self) -> usize {
        self.stop.store(true, SeqCst);
        self.clients.into_iter().map(|client| client.join().expect("no request failed")).sum()
    }
}

#[test]
fn a_drain_under_load_fails_nothing_lets_end_what_is_open_and_sends_nothing_more() {
    let engines = [answer(), answer(), answer()].map(RawEngine::start);
    let node = Guarded::over(&engines.each_ref());
    let load = Load::start(node.router.aware_address());
    load.goes_on(10);
    // A session whose next answer is a long one.
    let mut client = node.router.aware();
    let place = served(&mut client, "long").expect("its replica is named");
    let drained = engines.iter().find(|engine| engine.address().to_string() == place).expect("one of them");
    let (parts, say) = Behaviour::in_parts();
    let long = std::sync::Mutex::new(Some(parts));
    drained.behave(Behaviour::Decide(Arc::new(move |seen| {
        let taken =
            seen.head.contains("x-session-id: long").then(|| long.lock().expect("held shortly").take());
        taken.flatten().unwrap_or_else(answer)
    })));
    client.begin_post(COMPLETIONS, "x-session-id: long\r\n", r#"{"model":"m","prompt":"p","stream":true}"#);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    say.send(format!("{head}6\r\ndata:1\r\n").into_bytes()).expect("the engine runs");
    assert!(client.until(b"data:1\r\n").is_some());
    let done = node.port().ask_as(TOKEN, "POST", &format!("/debug/endpoints/{place}/drain"), "");
    assert_eq!((done.status, &done.page["drained"]), (200, &true.into()), "{done:?}");
    assert!(done.page["in_flight"].as_u64() >= Some(1), "{done:?}");
    // What was picked before may still be on its way; of two answers the second is to a request that came later.
    load.goes_on(2);
    eventually("only the long one is open", || drained.open() == 1);
    let before = drained.seen().len();
    load.goes_on(20);
    assert_eq!(served(&mut node.router.aware(), "long").filter(|to| *to == place), None, "pinned or not");
    assert_eq!(drained.seen().len(), before, "nothing more came");
    let rows = node.router.endpoints();
    let row = rows.iter().find(|row| row["address"] == *place).expect("it is still shown");
    assert_eq!(
        (&row["ready"], &row["health"]),
        (&false.into(), &"degraded: drained by hand".into()),
        "{row}"
    );
    say.send(b"6\r\ndata:2\r\n0\r\n\r\n".to_vec()).expect("the engine runs");
    assert!(client.until(b"data:2\r\n0\r\n\r\n").is_some(), "what it had is finished");
    let undone = node.socket().ask("POST", &format!("/debug/endpoints/{place}/undrain"), "", "");
    assert_eq!(undone.status, 200, "{undone:?}");
    drop(say);
    eventually("it gets requests again", || {
        let session = format!("new-{}", fastrand::u64(..));
        served(&mut node.router.aware(), &session).is_some_and(|to| to == place)
    });
    assert!(load.end() >= 32 * CLIENTS);
    assert_eq!(node.router.metric("warmlane_request_errors_total"), 0.0);
}

#[test]
fn a_router_whose_replicas_are_all_drained_is_not_ready_and_says_why() {
    let engine = RawEngine::start(answer());
    let node = Guarded::over(&[&engine]);
    let path = format!("/debug/endpoints/{}/drain", engine.address());
    assert_eq!(node.socket().ask("POST", &path, "", "").status, 200);
    let ready = node.router.metrics().get("/readyz");
    assert!(ready.status == 503 && ready.text().contains("drained by hand"), "{}", ready.text());
    let refused = node.router.aware().post(COMPLETIONS, BODY);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(node.router.plain().post(COMPLETIONS, BODY).status, 503, "not by the plain listener either");
    let again = node.socket().ask("POST", &path, "", "");
    assert_eq!((again.status, &again.page["changed"]), (200, &false.into()));
    let other = node.socket().ask("POST", "/debug/endpoints/127.0.0.1:1/drain", "", "");
    assert!(other.status == 404 && other.why().contains("/debug/endpoints"), "{other:?}");
}

#[test]
fn an_unpinned_session_is_pinned_by_its_next_request_and_no_other() {
    let engines = [answer(), answer()].map(RawEngine::start);
    let node = Guarded::over(&engines.each_ref());
    let pins = || -> Vec<Value> {
        let page = node.router.admin().get("/debug/pins").json();
        page["sessions"]["pins"].as_array().cloned().unwrap_or_default()
    };
    let mut client = node.router.aware();
    served(&mut client, "one");
    let pinned = pins()[0]["session"].as_str().expect("a session").to_owned();
    served(&mut client, "two");
    assert_eq!(pins().len(), 2);
    let path = format!("/debug/pins/{pinned}");
    let done = node.port().ask_as(TOKEN, "DELETE", &path, "");
    assert_eq!((done.status, &done.page["session"]), (200, &pinned.as_str().into()), "{done:?}");
    assert!(pins().len() == 1 && pins()[0]["session"] != *pinned);
    assert_eq!(node.port().ask_as(TOKEN, "DELETE", &path, "").status, 404, "it is gone");
    served(&mut client, "one");
    assert_eq!(pins().len(), 2, "it is there again");
}

#[test]
fn a_group_is_unpinned_by_what_the_page_calls_it() {
    let engines = [answer(), answer()].map(RawEngine::start);
    let node = Guarded::with(&engines.each_ref(), |config| {
        config.profile = Profile::of(Strategy::PrefixCache);
    });
    let prompt = "a prefix that many share ".repeat(100);
    let mut client = node.router.aware();
    for number in 0..12 {
        let body = format!(r#"{{"model":"m","prompt":"{prompt}{number}"}}"#);
        assert_eq!(client.post(COMPLETIONS, &body).status, 200);
    }
    let groups = || node.router.admin().get("/debug/pins").json()["groups"].take();
    let id = groups()["pins"][0]["group"].as_str().expect("a group").to_owned();
    let path = format!("/debug/groups/{id}");
    assert_eq!(node.socket().ask("DELETE", &path, "", "").status, 200);
    assert!(!groups().to_string().contains(&id), "{}", groups());
    assert_eq!(node.socket().ask("DELETE", &path, "", "").status, 404);
}
