use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http_body_util::Full;
use hyper::{Method, body::Frame};
use serde_json::{Value, json};
use warmlane_picker::{Chain, Health, Time};

use super::*;
use crate::{
    admin::tests::Fixture,
    metrics::ActionKind,
    world::writer::{Failure, Update},
};

const TOKEN: &str = "0123456789abcdef";

/// The router's own user.
fn user() -> Caller {
    Caller::User(rustix::process::geteuid().as_raw())
}

/// Asks by the socket, where nothing but the change itself is judged.
async fn ask(fixture: &Fixture, method: Method, path: &str, body: &str) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::<Bytes>::from(body.to_owned()))
        .expect("request");
    ask_by(fixture, user(), request).await
}

async fn ask_by<B>(fixture: &Fixture, caller: Caller, request: Request<B>) -> (u16, Value)
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let asked = Asked::of(request.method(), request.uri().path()).expect("a change");
    let response = answer(asked, request, caller, &fixture.sources).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status.as_u16(), serde_json::from_slice(&body).expect("JSON"))
}

fn message(page: &Value) -> &str {
    page["error"]["message"].as_str().unwrap_or_default()
}

fn ready(fixture: &Fixture) -> Vec<bool> {
    fixture.sources.world.snapshot.load().endpoints().iter().map(|endpoint| endpoint.ready).collect()
}

#[tokio::test]
async fn a_drained_endpoint_gets_nothing_from_the_answer_on_until_it_is_undrained() {
    let fixture = Fixture::new(&["10.0.0.1:8000", "10.0.0.2:8000"]);
    fixture.tell(Update::Alive { slot: Slot(0) }).await;
    fixture.tell(Update::Alive { slot: Slot(1) }).await;
    let in_flight = fixture.sources.world.ledger.open(Slot(1), crate::ledger::Load::default());
    let path = "/debug/endpoints/10.0.0.2:8000/drain";
    let drained =
        |changed| json!({ "changed": changed, "endpoint": "10.0.0.2:8000", "drained": true, "in_flight": 1 });
    assert_eq!(ask(&fixture, Method::POST, path, "").await, (200, drained(true)));
    assert_eq!(ready(&fixture), [true, false], "as soon as it is answered");
    let snapshot = fixture.sources.world.snapshot.load_full();
    assert_eq!(snapshot.endpoints()[1].health, Health::Degraded("drained by hand".into()));
    assert_eq!(ask(&fixture, Method::POST, path, "").await, (200, drained(false)), "no news");
    fixture.tell(Update::Unreachable { slot: Slot(1), why: Failure::Refused }).await;
    fixture.tell(Update::Alive { slot: Slot(1) }).await;
    assert_eq!(ready(&fixture), [true, false], "whatever it does");
    drop(in_flight);
    let undrained = json!({ "changed": true, "endpoint": "10.0.0.2:8000", "drained": false, "in_flight": 0 });
    let path = "/debug/endpoints/10.0.0.2:8000/undrain";
    assert_eq!(ask(&fixture, Method::POST, path, "").await, (200, undrained));
    assert_eq!(ready(&fixture), [true, true]);
    let actions = fixture.sources.metrics.actions();
    assert_eq!(actions.count(ActionKind::Drain, ActionOutcome::Done), 1);
    assert_eq!(actions.count(ActionKind::Drain, ActionOutcome::Unchanged), 1);
    assert_eq!(actions.count(ActionKind::Undrain, ActionOutcome::Done), 1);
}

#[tokio::test]
async fn a_pool_that_is_left_without_a_replica_is_named() {
    let fixture = Fixture::new(&["10.0.0.1:8000", "10.0.0.2:8000"]);
    for slot in [0, 1] {
        fixture.tell(Update::Alive { slot: Slot(slot) }).await;
    }
    let (_, first) = ask(&fixture, Method::POST, "/debug/endpoints/10.0.0.2:8000/drain", "").await;
    assert_eq!(first["emptied"], Value::Null, "{first}");
    let (_, last) = ask(&fixture, Method::POST, "/debug/endpoints/10.0.0.1:8000/drain", "").await;
    assert_eq!(last["emptied"], json!(["endpoints"]));
    let said = serde_json::from_value::<Changed>(last).expect("a change").to_string();
    assert!(said.contains("NO REPLICA IS LEFT in endpoints"), "{said}");
    let (_, undrained) = ask(&fixture, Method::POST, "/debug/endpoints/10.0.0.1:8000/undrain", "").await;
    assert_eq!(undrained["emptied"], Value::Null, "{undrained}");
}

#[tokio::test]
async fn what_is_not_there_is_told_with_where_to_look() {
    let fixture = Fixture::new(&["10.0.0.1:8000"]);
    for (method, path, kind, place) in [
        (Method::POST, "/debug/endpoints/10.0.0.1:80/drain", ActionKind::Drain, "/debug/endpoints"),
        (Method::DELETE, "/debug/pins/feedbeef0f000000", ActionKind::Unpin, "/debug/pins"),
        (Method::DELETE, "/debug/groups/feedbeef0f000000", ActionKind::UnpinGroup, "/debug/groups"),
    ] {
        let (status, page) = ask(&fixture, method, path, "").await;
        assert!(status == 404 && message(&page).contains(place), "{path}: {status} {page}");
        assert_eq!(fixture.sources.metrics.actions().count(kind, ActionOutcome::Absent), 1, "{path}");
    }
}

#[tokio::test]
async fn sessions_and_groups_are_unpinned_by_what_the_page_of_pins_calls_them() {
    let fixture = Fixture::new(&["10.0.0.1:8000"]);
    let world = &fixture.sources.world;
    world.pins.pin(0xfeed_beef_0f12_3456, Slot(0), Time::ZERO);
    let chain = Chain::new(7, &[9; 16]);
    let group = (0..8).filter_map(|_| world.groups.observe(&chain, Time::ZERO)).next().expect("a group");
    world.groups.pin(&group, Slot(0), Time::ZERO);
    let session = "feedbeef0f000000";
    let (status, page) = ask(&fixture, Method::DELETE, &format!("/debug/pins/{session}"), "").await;
    assert_eq!((status, &page), (200, &json!({ "changed": true, "session": session })));
    let id = hex(world.groups.each(Time::ZERO).next().expect("a pin").id);
    let (status, page) = ask(&fixture, Method::DELETE, &format!("/debug/groups/{id}"), "").await;
    assert_eq!((status, &page), (200, &json!({ "changed": true, "group": id })));
    assert!(world.pins.is_empty() && world.groups.is_empty());
}

#[tokio::test]
async fn a_lane_that_is_off_anyway_is_not_switched_on_by_hand() {
    let fixture = Fixture::new(&["a:1"]);
    let off = ask(&fixture, Method::POST, "/debug/lane", r#"{"on": false}"#).await;
    assert_eq!(off, (200, json!({ "changed": false, "on": false })));
    let (status, page) = ask(&fixture, Method::POST, "/debug/lane", r#"{"on": true}"#).await;
    assert!(status == 409 && message(&page).contains("it is set to off"), "{status} {page}");
    assert_eq!(fixture.sources.metrics.actions().count(ActionKind::Lane, ActionOutcome::Impossible), 1);
}

#[tokio::test]
async fn the_logs_filter_is_replaced_unless_it_is_none_or_the_log_is_not_the_routers() {
    let mut fixture = Fixture::new(&["a:1"]);
    let path = "/debug/log";
    let (status, page) = ask(&fixture, Method::POST, path, r#"{"level": "debug"}"#).await;
    assert!(status == 409 && message(&page).contains("own log"), "{status} {page}");
    let filters = Arc::new(Mutex::new(Vec::new()));
    let set = filters.clone();
    fixture.sources.levers.log = Some(LogLevel::new("info", move |filter| {
        set.lock().unwrap().push(filter.to_string());
        Ok(())
    }));
    let (status, page) = ask(&fixture, Method::POST, path, r#"{"level": "loud"}"#).await;
    assert!(status == 400 && message(&page).contains("is no level"), "{status} {page}");
    let (status, page) = ask(&fixture, Method::POST, path, r#"{"level": "debug"}"#).await;
    assert_eq!((status, page), (200, json!({ "changed": true, "level": "debug", "before": "info" })));
    let filters = filters.lock().unwrap().clone();
    assert!(filters.len() == 1 && filters[0].contains("debug"), "{filters:?}");
}

#[tokio::test]
async fn over_tcp_the_token_decides_and_another_one_in_its_file_holds_at_once() {
    let mut fixture = Fixture::new(&["a:1"]);
    let caller = Caller::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 4_000)));
    let by = |shown: &str| {
        let request = Request::builder().method(Method::POST).uri("/debug/endpoints/a:1/drain");
        let request =
            request.header("host", "127.0.0.1:9091").header("authorization", format!("Bearer {shown}"));
        request.body(Full::<Bytes>::default()).expect("request")
    };
    let (status, page) = ask_by(&fixture, caller, by(TOKEN)).await;
    assert!(status == 403 && message(&page).contains("--admin-token-file"), "{status} {page}");
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("token");
    fixture.sources.levers.token_file = path.clone();
    let (status, page) = ask_by(&fixture, caller, by(TOKEN)).await;
    assert!(status == 503 && message(&page).contains("No such file"), "{status} {page}");
    fs::write(&path, format!("{TOKEN}\n")).expect("write");
    assert_eq!(ask_by(&fixture, caller, by("0123456789abcdeF")).await.0, 401);
    assert_eq!(ask_by(&fixture, caller, by(TOKEN)).await.0, 200);
    fs::write(&path, "another-token-of-ours").expect("write");
    let (status, page) = ask_by(&fixture, caller, by(TOKEN)).await;
    assert!(status == 401 && !page.to_string().contains("another-token"), "{status} {page}");
    assert_eq!(ask_by(&fixture, caller, by("another-token-of-ours")).await.0, 200);
    let refused = fixture.sources.metrics.actions().count(ActionKind::Drain, ActionOutcome::Refused);
    assert_eq!(refused, 3);
}

/// A body that is sent as long as somebody reads it.
struct Endless(usize);

impl Body for Endless {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0 += 1;
        assert!(self.0 < 100, "it is read without end");
        Poll::Ready(Some(Ok(Frame::data(vec![b' '; 1_024].into()))))
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit_and_only_where_one_is_due() {
    let fixture = Fixture::new(&["a:1"]);
    let request = |path| Request::builder().method(Method::POST).uri(path).body(Endless(0)).expect("request");
    let (status, page) = ask_by(&fixture, user(), request("/debug/lane")).await;
    assert!(status == 413 && message(&page).contains("65536"), "{status} {page}");
    assert_eq!(ask_by(&fixture, user(), request("/debug/endpoints/a:1/drain")).await.0, 200);
    let nobody = Caller::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 4_000)));
    assert_eq!(ask_by(&fixture, nobody, request("/debug/lane")).await.0, 403, "unread");
}

#[tokio::test]
async fn without_a_writer_a_change_is_not_said_to_be_made() {
    let mut fixture = Fixture::new(&["a:1"]);
    fixture.sources.levers.updates = mpsc::channel(1).0;
    let (status, page) = ask(&fixture, Method::POST, "/debug/endpoints/a:1/drain", "").await;
    assert!(status == 503 && message(&page).contains("ask again"), "{status} {page}");
    assert_eq!(fixture.sources.metrics.actions().count(ActionKind::Drain, ActionOutcome::Failed), 1);
}
