//! Names that others give stay names, and nothing of others is loaded.

use super::*;

const MARKUP: &str = "<img src=x onerror=window.hit=1><b>bold</b>";

#[test]
fn what_others_have_named_is_text() {
    let house = House::of(&three(), |_| {});
    let list = json!({ "object": "list", "data": [{ "id": "m", "object": "model", "root": "m", "parent": null },
        { "id": MARKUP, "object": "model", "root": MARKUP, "parent": null }] });
    house.engines.iter().for_each(|engine| engine.models(&list.to_string()));
    eventually("the name is known", || {
        house
            .router
            .endpoints()
            .iter()
            .all(|e| e["models"].as_array().is_some_and(|names| names.contains(&MARKUP.into())))
    });
    let id = "%3Cscript%3Ewindow.hit=1%3C/script%3E";
    let line = "x-request-id: <script>window.hit=1</script>\r\n";
    let body = json!({ "model": MARKUP, "prompt": "x", "max_tokens": 1 });
    assert_eq!(house.router.aware().post_with(COMPLETIONS, line, &body.to_string()).status, 200);
    let refused = json!({ "model": "<svg onload=window.hit=1>", "prompt": "x" });
    house.router.aware().post(COMPLETIONS, &refused.to_string());
    let mut browser = house.open();
    browser.until("document.querySelectorAll('#decisions tbody tr').length >= 2");
    browser.open(&format!("{}#why={id}", house.url()));
    browser.until("document.querySelector('#why .facts')");
    for (place, name) in [
        ("#pools", MARKUP),
        ("#decisions", MARKUP),
        ("#decisions", "<script>window.hit=1</script>"),
        ("#decisions", "<svg onload=window.hit=1>"),
        ("#why .facts", MARKUP),
        ("#why .facts", "<script>window.hit=1</script>"),
    ] {
        let text = browser.value(&format!("document.querySelector('{place}').textContent"));
        assert!(text.as_str().is_some_and(|text| text.contains(name)), "{place} has no {name}: {text}");
    }
    assert_eq!(browser.value("document.querySelectorAll('main :is(img, svg, script, b b), dialog :is(img, svg, script)').length"), 0);
    assert_eq!(browser.value("window.hit ?? 0"), 0);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn nothing_of_others_is_loaded_and_no_text_becomes_a_script() {
    let house = House::of(&three(), |_| {});
    let other = RawEngine::start(Behaviour::Answer(answer("text/plain", b"stolen")));
    let mut browser = house.open();
    assert_eq!(browser.complaints(), [""; 0]);
    let there = format!("http://localhost:{}/", other.address().port());
    let fetched = browser
        .value(&format!("fetch('{there}', {{ mode: 'no-cors' }}).then(() => 'came', () => 'refused')"));
    assert_eq!(fetched, "refused");
    assert!(browser.complaints().iter().any(|said| said.contains("Content Security Policy")), "it is told");
    let tries = [
        "document.body.innerHTML = '<p>x</p>'",
        "document.createElement('script').textContent = 'window.hit = 1'",
        "new Function('window.hit = 1')()",
    ];
    for script in tries {
        let said = browser.value(&format!(
            "(() => {{ try {{ {script}; return 'done' }} catch {{ return 'refused' }} }})()"
        ));
        assert_eq!(said, "refused", "{script}");
    }
    // Those of the scripts are not what is waited for.
    browser.complaints();
    let drawn = browser.value(&format!(
        "new Promise((tell) => {{ const it = document.createElement('img'); it.onload = () => tell('came');
          it.onerror = () => tell('refused'); it.src = '{there}'; document.body.append(it) }})"
    ));
    assert_eq!(drawn, "refused");
    eventually("it is told", || {
        browser.complaints().iter().any(|said| said.contains("img-src") && said.contains(&there))
    });
    assert!(other.seen().is_empty(), "nobody asked it for anything");
    assert_eq!(browser.value("window.hit ?? 0"), 0);
    let framed = format!(
        "(() => {{ const it = document.createElement('iframe'); it.src = '{}'; document.body.append(it) }})()",
        house.url()
    );
    browser.value(&framed);
    assert!(browser.complaints().iter().any(|said| said.contains("frame")), "not even by itself");
}
