//! Pictures of the page, in `target/page`, for people to look at; on a phone nothing of it sticks out.
//! `WARMLANE_BLESS=1` puts two of them into `docs`.

use warmlane_tests::browser::Screen;

use super::*;

/// Small enough for a document.
const DOCUMENTED: Screen = Screen { width: 1_140, height: 640, dark: false };
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Two nodes with cards, five engines, some requests: an ordinary day, with one engine full.
fn day() -> (House, Vec<TestAgent>, Vec<FakeNvml>) {
    let said = [(0, 6, 0.31), (0, 9, 0.44), (3, 24, 0.78), (11, 31, 0.97), (0, 4, 0.22)];
    let active = |number: usize| if number.is_multiple_of(2) { "a" } else { "" };
    let all = said.iter().enumerate();
    let engines: Vec<RawEngine> = all
        .map(|(number, (queue, running, kv))| {
            engine(Said { queue: *queue, running: *running, kv: *kv, active: active(number) })
        })
        .collect();
    let addresses = addresses(&engines);
    let mut cards: Vec<FakeNvml> = vec![FakeNvml::new(2), FakeNvml::new(2)];
    cards[1].change(|script| script["devices"][1]["values"]["nvmlDeviceGetTemperature"] = json!(84));
    let agents: Vec<TestAgent> = [("gpu-node-1", &addresses[..3]), ("gpu-node-2", &addresses[3..])]
        .into_iter()
        .zip(&cards)
        .map(|((node, engines), fake)| {
            TestAgent::with(engines, |config| (config.node, config.nvml_lib) = (node.to_owned(), fake.path()))
        })
        .collect();
    let router = TestRouter::with(&addresses, |config| {
        config.agents = agents.iter().map(|agent| agent.address().to_string()).collect();
        config.profile = warmlane_picker::Profile::of(warmlane_picker::Strategy::PrefixCache);
    });
    let house = House { router, engines };
    house.is_known();
    for number in 0..14 {
        house.send(&format!("chat-{:04x}", number * 7_919 + 0x1f3), &completion(120 + 40 * (number % 4)));
    }
    (house, agents, cards)
}

fn keep(name: &str, picture: &[u8]) {
    let folder = PathBuf::from(ROOT).join("target/page");
    fs::create_dir_all(&folder).expect("folder");
    fs::write(folder.join(name), picture).expect("a picture");
    if std::env::var_os("WARMLANE_BLESS").is_some() && ["page-light.png", "page-dark.png"].contains(&name) {
        fs::write(PathBuf::from(ROOT).join("docs").join(name), picture).expect("a picture");
    }
}

/// Nothing but the tables is wider than the screen.
fn fits(browser: &mut Browser) {
    let wide = browser.value("[document.documentElement.scrollWidth, innerWidth]");
    assert!(wide[0].as_u64() <= wide[1].as_u64(), "{wide}");
}

#[test]
fn it_fits_a_desk_and_a_phone_by_day_and_by_night() {
    let (house, _agents, _cards) = day();
    let mut browser = house.open();
    browser.until("document.querySelectorAll('#agents .dot.good').length === 4");
    browser.until("document.querySelectorAll('#decisions tbody tr').length >= 14");
    browser.until("!document.querySelector('#replicas tbody td:nth-child(2)').innerText.includes('\\u2013')");
    for (name, screen) in [
        ("desk.png", Screen::DESK),
        ("desk-dark.png", Screen::DESK.dark()),
        ("page-light.png", DOCUMENTED),
        ("page-dark.png", DOCUMENTED.dark()),
        ("phone.png", Screen::PHONE),
        ("phone-dark.png", Screen::PHONE.dark()),
    ] {
        browser.look_by(screen);
        fits(&mut browser);
        keep(name, &browser.picture());
    }
    browser.look_by(Screen { height: 2_400, ..Screen::PHONE });
    keep("phone-whole.png", &browser.picture());
    let grounds = |browser: &mut Browser| browser.value("getComputedStyle(document.body).backgroundColor");
    browser.look_by(Screen::DESK);
    let day = grounds(&mut browser);
    browser.look_by(Screen::DESK.dark());
    assert_ne!(grounds(&mut browser), day, "the system's wish is followed");
    browser.look_by(Screen::DESK);
    browser.click("#decisions tbody tr:first-child button");
    browser.until("document.querySelector('#why .facts')");
    keep("why.png", &browser.picture());
    browser.look_by(Screen::DESK.dark());
    keep("why-dark.png", &browser.picture());
    browser.look_by(Screen::PHONE);
    fits(&mut browser);
    keep("why-phone.png", &browser.picture());
    assert_eq!(browser.complaints(), [""; 0]);
    drop(house);
    browser.press("Escape", "");
    browser.look_by(Screen::DESK);
    browser.until("document.body.dataset.state === 'away'");
    keep("away.png", &browser.picture());
}
