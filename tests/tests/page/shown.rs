//! What the page shows is what the router says.

use super::*;

/// The texts of a column, by its number from one.
fn column(browser: &mut Browser, number: usize) -> Vec<String> {
    browser.texts(&format!("#replicas tbody td:nth-child({number})"))
}

#[test]
fn its_rows_are_the_replicas_with_their_load_and_it_complains_of_nothing() {
    let house = House::of(&three(), |_| {});
    let mut browser = house.open();
    browser.until("document.querySelectorAll('#replicas tbody tr').length === 3");
    browser.click("#replicas th:nth-child(1) button");
    let mut names: Vec<String> = (0..3).map(|number| house.endpoint(number)).collect();
    names.sort_by_key(|name| name.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()));
    assert_eq!(column(&mut browser, 1), names);
    for (number, (queue, kv, running)) in
        [("0", "8%", "1"), ("0", "46%", "7"), ("12", "95%", "40")].iter().enumerate()
    {
        let at = names.iter().position(|name| *name == house.endpoint(number)).expect("it is there");
        assert_eq!(column(&mut browser, 3)[at], *queue);
        assert_eq!(column(&mut browser, 4)[at], *kv);
        assert_eq!(column(&mut browser, 6)[at], *running);
        assert_eq!(column(&mut browser, 8)[at], "healthy");
    }
    browser.until("!document.querySelector('#replicas tbody td:nth-child(2)').innerText.includes('\\u2013')");
    assert_eq!(browser.text("#readiness"), "ready");
    let tiles = browser.text("#tiles");
    for part in ["3 of 3", "12", "50%", &format!("fullest 95%: {}", house.endpoint(2)), "off"] {
        assert!(tiles.contains(part), "no {part:?} in {tiles}");
    }
    assert!(browser.text("#pools").contains("3 of 3 ready"));
    assert!(browser.text("#agents-note").contains("No agent is followed"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn what_changes_is_changed_in_the_row_that_is_there() {
    let house = House::of(&three(), |_| {});
    let mut browser = house.open();
    browser.until("document.querySelectorAll('#replicas tbody tr').length === 3");
    browser.value("window.rows = [...document.querySelectorAll('#replicas tbody tr')]");
    house.engines[0].metrics(picker::page(Said { queue: 3, running: 9, kv: 0.71, active: "" }).as_bytes());
    browser.until("document.querySelector('#replicas').innerText.includes('71%')");
    assert_eq!(browser.value("window.rows.every((row) => row.isConnected)"), true);
    browser.click("#pause");
    assert_eq!(browser.text("#pause"), "Go on");
    house.engines[0].metrics(picker::page(Said { kv: 0.33, ..Said::default() }).as_bytes());
    eventually("the router knows", || {
        house
            .router
            .endpoints()
            .iter()
            .any(|e| e["signals"]["kv_use"]["value"].as_f64().is_some_and(|kv| (kv - 0.33).abs() < 0.01))
    });
    browser.until("document.querySelector('#freshness').innerText.includes('s old')");
    assert!(!browser.text("#replicas").contains("33%"), "it is paused");
    browser.press("p", "p");
    browser.until("document.querySelector('#replicas').innerText.includes('33%')");
    house.engines[1].stop();
    browser.until("document.querySelector('#readiness').innerText === 'ready' && document.querySelector('#replicas tr.out')");
    assert!(
        browser.text("#replicas tr.out td:nth-child(8)").starts_with("failed"),
        "{}",
        browser.text("#replicas")
    );
    assert!(browser.text("#replicas tr.out").contains("46%"), "that was true a moment ago");
    browser.until("!document.querySelector('#replicas tr.out').innerText.includes('46%')");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_column_sorts_by_a_click_and_by_a_key() {
    let house = House::of(&three(), |_| {});
    let mut browser = house.open();
    browser.until("document.querySelectorAll('#replicas tbody tr').length === 3");
    let way =
        |browser: &mut Browser| browser.value("document.querySelector('#replicas th:nth-child(4)').ariaSort");
    assert_eq!(way(&mut browser), Value::Null);
    browser.click("#replicas th:nth-child(4) button");
    assert_eq!(
        (way(&mut browser), column(&mut browser, 4)),
        ("descending".into(), vec!["95%".into(), "46%".into(), "8%".into()])
    );
    browser.value("document.querySelector('#replicas th:nth-child(4) button').focus()");
    browser.press("Enter", "\r");
    assert_eq!(
        (way(&mut browser), column(&mut browser, 4)),
        ("ascending".into(), vec!["8%".into(), "46%".into(), "95%".into()])
    );
    browser.press("/", "/");
    browser.write(&house.endpoint(1));
    browser.until("document.querySelectorAll('#replicas tbody tr').length === 1");
    assert_eq!(column(&mut browser, 1), [house.endpoint(1)]);
}

#[test]
fn a_click_on_a_request_says_why_it_went_there() {
    let house = House::of(&three(), |_| {});
    for number in 0..3 {
        house.send(&format!("other-{number}"), &completion(40));
    }
    house.send("mine", &completion(400));
    let mut browser = house.open();
    browser.until("document.querySelectorAll('#decisions tbody tr').length >= 4");
    browser.click("#decisions tbody tr:first-child button");
    browser.until("document.querySelector('#why .facts')");
    let said = house.router.admin().get("/debug/decisions/mine").json();
    let went = said["decision"]["endpoint"].as_str().expect("somewhere");
    let shown = browser.text("#why");
    for part in [
        "mine",
        went,
        said["then"]["why"].as_str().expect("why"),
        "200 complete",
        "by aware",
        "What it would be now",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    let rows = browser.texts("#why section:nth-of-type(2) tbody tr");
    assert_eq!(rows.len(), 3);
    for (row, weighed) in rows.iter().zip(said["then"]["endpoints"].as_array().expect("rows")) {
        let total = format!("{:.2}", weighed["total"].as_f64().expect("a total"));
        assert!(
            row.contains(weighed["address"].as_str().expect("an address")) && row.contains(&total),
            "{row}: {weighed}"
        );
        assert!(row.contains("queue") && row.contains("kv_use"), "readings with their ages: {row}");
    }
    assert!(rows[0].contains("chosen"), "{rows:?}");
    assert!(browser.value("location.hash").as_str().is_some_and(|hash| hash == "#why=mine"));
    browser.press("Escape", "");
    browser.until("!document.querySelector('#why').open && location.hash === ''");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_request_can_be_asked_for_by_its_id_and_decisions_of_one_replica_alone() {
    let house = House::of(&three(), |_| {});
    house.send("known", &completion(40));
    let mut browser = house.open();
    browser.value("document.querySelector('#ask-id').focus()");
    browser.write("known");
    browser.press("Enter", "\r");
    browser.until("document.querySelector('#why .facts')?.innerText.includes('known')");
    browser.click("#why-close");
    browser.until("!document.querySelector('#why').open");
    let went = house.router.admin().get("/debug/decisions/known").json()["decision"]["endpoint"]
        .as_str()
        .expect("somewhere")
        .to_owned();
    let other = (0..3).map(|number| house.endpoint(number)).find(|name| *name != went).expect("another");
    browser.open(&format!("{}#replica={other}", house.url()));
    browser.until("!document.querySelector('#decisions-note').hidden");
    assert!(
        browser.text("#decisions-note").contains("None of the decisions"),
        "{}",
        browser.text("#decisions-note")
    );
    browser.click("#of-replica");
    browser.until("document.querySelectorAll('#decisions tbody tr').length > 0");
    assert_eq!(browser.complaints(), [""; 0]);
    browser.open(&format!("{}#why=nobody", house.url()));
    browser.until(
        "document.querySelector('#why-body').innerText.includes('no decision for \"nobody\" is kept')",
    );
}

#[test]
fn agents_are_shown_with_their_cards() {
    let engines: Vec<RawEngine> = three().map(engine).into();
    let mut fake = FakeNvml::new(2);
    let agent = TestAgent::with(&addresses(&engines), |config| config.nvml_lib = fake.path());
    let router =
        TestRouter::with(&addresses(&engines), |config| config.agents = vec![agent.address().to_string()]);
    let mut browser = Browser::start();
    browser.open(&url(router.listening().admin));
    browser.until("document.querySelectorAll('#agents .dot.good').length === 2");
    let card = browser.text("#agents");
    assert!(card.contains("node-a") && card.contains("connected") && card.contains("NVIDIA A10"), "{card}");
    browser.until("[...document.querySelectorAll('#replicas td:nth-child(7)')].every((cell) => cell.innerText === '66 \\u00b0C')");
    fake.change(|script| script["devices"][1]["xids"] = json!([79]));
    browser.until("document.querySelector('#agents .dot.bad')");
    assert!(browser.text("#agents .dot.bad").contains("failed: "), "{}", browser.text("#agents"));
    drop(agent);
    browser.until("document.querySelector('#agents .line .bad')?.innerText === 'lost'");
    assert_eq!(browser.complaints(), [""; 0]);
}
