//! What the page says where there is nothing to show, or too much.

use super::*;

/// More than are shown at once.
const MANY: u16 = 700;

#[test]
fn before_there_is_anything_it_says_what_is_missing() {
    let router = TestRouter::unready(&[SocketAddr::from(([127, 0, 0, 1], 1))], |_| {});
    let mut browser = Browser::start();
    browser.open(&url(router.listening().admin));
    browser.until(LIVE);
    browser.until("document.querySelector('#readiness').innerText === 'not ready'");
    assert!(browser.text("#decisions-note").contains("No decision yet"));
    browser.until("document.querySelector('#replicas tr.out .dot.bad')");
    assert!(browser.text("#pools").contains("0 of 1 ready"), "{}", browser.text("#pools"));
    assert!(browser.text("#tiles").contains("0 of 1"), "{}", browser.text("#tiles"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_router_without_replicas_says_so() {
    // As one that serves nothing but hooks of Envoy Gateway.
    let router = TestRouter::unready(&[], |_| {});
    let mut browser = Browser::start();
    browser.open(&url(router.listening().admin));
    browser.until("!document.querySelector('#replicas-note').hidden");
    assert!(
        browser.text("#replicas-note").starts_with("There is no replica yet"),
        "{}",
        browser.text("main")
    );
    let (tiles, pools) = (browser.text("#tiles"), browser.text("#pools-note"));
    assert!(tiles.contains("there is none"), "{tiles}; {pools}");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_router_that_is_gone_is_told_with_the_time_and_found_again_when_it_is_back() {
    let house = House::of(&three(), |_| {});
    let (url, admin) = (house.url(), house.router.listening().admin);
    let mut browser = house.open();
    browser.until("document.querySelectorAll('#replicas tbody tr').length === 3");
    assert_eq!(browser.text("#away"), "");
    let House { router, engines } = house;
    drop(router);
    browser.until("document.body.dataset.state === 'away'");
    let told = browser.text("#away");
    assert!(
        told.contains("has not answered since ") && told.contains("What is shown is from then"),
        "{told}"
    );
    assert_eq!(browser.text("#readiness"), "no answer");
    assert_eq!(browser.texts("#replicas tbody tr").len(), 3, "what was known stays");
    browser.until("document.querySelector('#freshness').innerText.includes('s old')");
    let router = TestRouter::with(&addresses(&engines), |config| config.listen.admin = admin);
    browser.until("document.body.dataset.state === 'live'");
    assert_eq!((browser.text("#away"), browser.text("#readiness")), (String::new(), "ready".to_owned()));
    assert_eq!(self::url(router.listening().admin), url);
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|said| said.contains("ERR_")), "only that nobody answered: {complaints:?}");
}

#[test]
fn of_very_many_replicas_the_first_are_shown_and_the_rest_counted() {
    let addresses: Vec<SocketAddr> =
        (1..=MANY).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
    let router = TestRouter::unready(&addresses, |_| {});
    let mut browser = Browser::start();
    browser.open(&url(router.listening().admin));
    browser.until("document.querySelectorAll('#replicas tbody tr').length === 200");
    assert_eq!(browser.text("#replicas-count"), "700, the first 200 shown; 500 more");
    browser.click("#find");
    browser.write("127.0.0.1:69");
    browser.until("document.querySelectorAll('#replicas tbody tr').length === 11");
    assert!(browser.text("#replicas-count").starts_with("11 of 700"), "{}", browser.text("#replicas-count"));
    browser.write("x");
    browser.until("!document.querySelector('#replicas-note').hidden");
    assert_eq!(browser.text("#replicas-note"), "No replica is named so.");
    assert_eq!(browser.complaints(), [""; 0]);
}
