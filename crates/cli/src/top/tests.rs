//! What `top` shows of canned pages, as text: `WARMLANE_BLESS=1 cargo test -p warmlane-cli top` writes `tests/screens/top.txt`
//! anew. And what keys, pages and the lack of them do.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use ratatui::{
    Terminal,
    backend::TestBackend,
    style::{Color, Modifier},
};
use serde::de::DeserializeOwned;
use warmlane_api::admin::{Aged, Agents, Decisions, Endpoint, Endpoints, Node, Signals};

use super::{
    column::Column,
    draw::draw,
    key::{Deed, Key},
    look::Look,
    row::Cards,
    state::{About, News, Top},
    view::View,
};

const EVERY: Duration = Duration::from_millis(500);
const PLAIN: Look = Look { color: false, utf8: false };
const RICH: Look = Look { color: true, utf8: true };

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).join(name)
}

fn page<P: DeserializeOwned>(name: &str) -> P {
    let text = fs::read_to_string(file("pages").join(format!("{name}.json"))).expect("a page");
    serde_json::from_str(&text).expect("a page of this kind")
}

fn about() -> Box<About> {
    let cards = Cards::of(&page::<Agents>("agents"), None::<&Node>);
    Box::new(About { router: page("router"), lane: page("lane"), cards, no_agent: None })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// With the canned pages twice, so that there are rates.
fn canned() -> Top {
    let mut top = Top::new("127.0.0.1:9091".to_owned(), Column::Score, EVERY);
    let mut endpoints = page::<Endpoints>("endpoints").endpoints;
    top.hear(News::Page(endpoints.clone(), Some(about())), seconds(0));
    for (endpoint, more) in endpoints.iter_mut().zip([24, 5]) {
        endpoint.requests += more;
    }
    top.hear(News::Page(endpoints, None), seconds(2));
    top
}

/// As many of them as routers may have, each a little busier than the one before.
fn many(count: u16) -> Vec<Endpoint> {
    let aged = |value| Some(Aged { value, age_ms: 40 });
    let endpoint = |slot: u16| Endpoint {
        address: format!("10.1.{}.{}:8000", slot / 250, slot % 250),
        ready: true,
        health: "healthy".to_owned(),
        slot,
        signals: Signals { queue: aged(f32::from(slot)), kv_use: aged(0.5), ..Signals::default() },
        ..Endpoint::default()
    };
    (0..count).map(endpoint).collect()
}

fn large() -> Top {
    let mut top = Top::new("127.0.0.1:9091".to_owned(), Column::Queue, EVERY);
    top.hear(News::Page(many(5_000), Some(about())), seconds(0));
    top
}

/// The screen as text, and as it is styled.
fn terminal(top: &mut Top, (columns, lines): (u16, u16), look: Look, now: Duration) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a terminal of text");
    terminal.draw(|frame| draw(frame, top, look, now)).expect("it is drawn");
    terminal
}

fn screen(top: &mut Top, size: (u16, u16), look: Look, now: Duration) -> Vec<String> {
    let terminal = terminal(top, size, look, now);
    let buffer = terminal.backend().buffer();
    // A wide character has a second cell, which is empty.
    let line = |y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..size.1).map(|y| line(y).trim_end().to_owned()).collect()
}

fn press(top: &mut Top, keys: &[Key]) {
    for key in keys {
        assert_eq!(top.press(*key, seconds(3)), Deed::Nothing, "{key:?}");
    }
}

fn typed(text: &str) -> Vec<Key> {
    text.chars().map(Key::Char).collect()
}

fn decided(top: &mut Top) {
    let asked = top.asked().expect("a replica is looked at").to_owned();
    let why = "a-request: it held 4,000 of 4,200 prompt tokens; else 10.0.1.4:8000".to_owned();
    top.hear(News::Decisions(asked, page::<Decisions>("decisions").decisions, Some(why)), seconds(3));
}

/// What is seen after these keys.
type Scene = (&'static str, (u16, u16), Look, Vec<Key>);

#[test]
fn each_view_is_drawn_as_it_was_looked_at() {
    let details = vec![Key::Enter];
    let scenes: [Scene; 11] = [
        ("a wide terminal", (160, 10), RICH, vec![]),
        ("the usual one", (80, 10), RICH, vec![Key::Down]),
        ("ASCII", (120, 10), PLAIN, vec![]),
        ("a narrow one", (40, 9), PLAIN, vec![]),
        ("a tiny one", (20, 5), PLAIN, vec![Key::Down, Key::Down]),
        ("hardly one", (8, 2), PLAIN, vec![]),
        ("another order", (80, 9), PLAIN, vec![Key::Right, Key::Char('r')]),
        ("a filter while it is typed", (80, 9), PLAIN, [vec![Key::Char('/')], typed("GPU-A")].concat()),
        ("help", (80, 24), PLAIN, vec![Key::Char('?')]),
        ("details", (100, 24), RICH, details.clone()),
        ("details on a narrow one", (40, 24), PLAIN, details),
    ];
    let mut text = String::new();
    for (name, size, look, keys) in scenes {
        let mut top = canned();
        press(&mut top, &keys);
        if matches!(top.view, View::Details(_)) {
            decided(&mut top);
        }
        let lines = screen(&mut top, size, look, seconds(3));
        text += &format!("== {name}: {} columns, {} lines\n{}\n\n", size.0, size.1, lines.join("\n"));
    }
    let path = file("screens/top.txt");
    if std::env::var_os("WARMLANE_BLESS").is_some() {
        fs::write(&path, &text).expect("it can be written");
    }
    assert_eq!(
        text,
        fs::read_to_string(&path).unwrap_or_default(),
        "run with WARMLANE_BLESS=1 to write it anew"
    );
}

#[test]
fn every_size_can_be_drawn_in_every_view() {
    for keys in [vec![], vec![Key::Char('/'), Key::Char('a')], vec![Key::Char('?')], vec![Key::Enter]] {
        let mut top = canned();
        press(&mut top, &keys);
        if matches!(top.view, View::Details(_)) {
            decided(&mut top);
        }
        for columns in (1..50).chain([79, 80, 100, 131, 200]) {
            for lines in [1, 2, 3, 5, 7, 8, 24] {
                for look in [PLAIN, RICH] {
                    screen(&mut top, (columns, lines), look, seconds(9));
                }
            }
        }
    }
}

#[test]
fn the_hottest_comes_first_and_what_is_not_known_last() {
    let mut top = canned();
    let addresses = |top: &Top| -> Vec<String> {
        top.rows
            .iter()
            .map(|row| row.endpoint.address.split(':').next().unwrap_or_default().to_owned())
            .collect()
    };
    let (busy, idle, asleep, unready) = ("10.0.1.5", "10.0.1.4", "10.0.2.9", "qwen-3.llm.svc.cluster.local");
    // Score 0 of those that get nothing, by name.
    assert_eq!(addresses(&top), [asleep, unready, busy, idle]);
    for (column, order) in [
        (Column::Queue, [busy, idle, asleep, unready]),
        (Column::Kv, [busy, idle, asleep, unready]),
        (Column::Address, [idle, busy, asleep, unready]),
        (Column::Gpu, [asleep, idle, busy, unready]),
        (Column::Health, [unready, asleep, idle, busy]),
        (Column::Rate, [idle, busy, asleep, unready]),
        (Column::Age, [asleep, idle, busy, unready]),
        (Column::Node, [idle, busy, asleep, unready]),
        (Column::Ready, [unready, asleep, idle, busy]),
    ] {
        while top.column != column {
            press(&mut top, &[Key::Right]);
        }
        assert_eq!(addresses(&top), order, "{column:?}");
    }
    while top.column != Column::Queue {
        press(&mut top, &[Key::Left]);
    }
    press(&mut top, &[Key::Char('r')]);
    assert_eq!(addresses(&top), [idle, asleep, busy, unready], "reversed, and the unknown is still last");
}

#[test]
fn every_column_is_reached_by_a_key() {
    let (mut top, mut seen) = (canned(), BTreeSet::new());
    for _ in Column::ALL {
        seen.insert(top.column.head());
        press(&mut top, &[Key::Char('>')]);
    }
    assert_eq!((seen.len(), top.column), (Column::ALL.len(), Column::Score));
}

#[test]
fn what_is_selected_stays_selected_wherever_it_goes_and_while_it_is_there() {
    let mut top = canned();
    press(&mut top, &[Key::End]);
    let selected = |top: &Top| top.selected().map(|row| row.endpoint.address.clone());
    assert_eq!(selected(&top).as_deref(), Some("10.0.1.4:8000"));
    let mut endpoints = page::<Endpoints>("endpoints").endpoints;
    for endpoint in &mut endpoints {
        if endpoint.address == "10.0.1.4:8000" {
            (endpoint.ready, endpoint.signals) = (false, Signals::default());
        }
    }
    top.hear(News::Page(endpoints.clone(), None), seconds(4));
    assert_eq!((selected(&top).as_deref(), top.at), (Some("10.0.1.4:8000"), 0), "it is the worst now");
    press(&mut top, &[Key::Enter]);
    endpoints.retain(|endpoint| endpoint.address != "10.0.1.4:8000");
    top.hear(News::Page(endpoints.clone(), None), seconds(6));
    let seen = screen(&mut top, (80, 24), PLAIN, seconds(11)).join("\n");
    assert!(seen.contains("gone      the router has not listed it for 5.0s"), "{seen}");
    assert!(seen.contains("replica   10.0.1.4:8000"), "{seen}");
    press(&mut top, &[Key::Escape]);
    assert_eq!(selected(&top).as_deref(), Some("10.0.2.9:8000"), "the one in its place");
    top.hear(News::Page(Vec::new(), None), seconds(7));
    assert_eq!(selected(&top), None);
    press(&mut top, &[Key::Enter, Key::Down, Key::End]);
    assert!(
        screen(&mut top, (80, 10), PLAIN, seconds(7)).join("\n").contains("no replica; `warmlane pools`")
    );
}

#[test]
fn a_router_that_goes_away_leaves_its_last_picture_with_its_age() {
    let mut top = canned();
    let before = screen(&mut top, (120, 10), PLAIN, seconds(3));
    assert!(before[0].contains("version 0.1.0"), "{before:?}");
    for second in [4, 5, 6] {
        top.hear(News::Away("cannot reach the router: refused\n  Start it.".to_owned()), seconds(second));
    }
    let lines = screen(&mut top, (120, 10), PLAIN, seconds(16));
    assert!(lines[0].contains("away for 12s, as of 14s ago  cannot reach the router: refused"), "{lines:?}");
    assert_eq!(lines[2..9], before[2..9], "the table stays");
    let narrow = screen(&mut top, (40, 6), PLAIN, seconds(16));
    assert!(narrow[0].contains("away for 12s, as of 14s ago"), "{narrow:?}");
    top.hear(News::Page(page::<Endpoints>("endpoints").endpoints, None), seconds(17));
    assert!(screen(&mut top, (120, 10), PLAIN, seconds(17))[0].contains("version 0.1.0"));
    let late = screen(&mut top, (120, 10), PLAIN, seconds(27));
    assert!(late[0].contains("as of 10s ago: it answers slowly"), "{late:?}");
}

#[test]
fn paused_the_picture_stands_and_can_still_be_looked_at() {
    let mut top = canned();
    press(&mut top, &[Key::Char(' ')]);
    assert!(top.is_paused());
    top.hear(News::Page(many(3), None), seconds(4));
    let lines = screen(&mut top, (120, 10), PLAIN, seconds(62));
    assert!(lines[0].contains("paused, as of 60s ago") && lines[1].contains("3 of 4 ready"), "{lines:?}");
    press(&mut top, &[Key::Right, Key::Char('/'), Key::Char('q'), Key::Enter]);
    assert_eq!((top.column, top.shown.len()), (Column::Queue, 4), "their pool has it in its name");
    press(&mut top, &[Key::Char(' ')]);
    top.hear(News::Page(many(3), None), seconds(64));
    assert_eq!(top.rows.len(), 3);
}

#[test]
fn a_filter_looks_at_all_that_names_a_replica() {
    let mut top = canned();
    let mut shown = |text: &str| {
        press(
            &mut top,
            &[vec![Key::Char('/'), Key::Escape, Key::Char('/')], typed(text), vec![Key::Enter]].concat(),
        );
        top.shown.len()
    };
    assert_eq!(shown("gpu-b"), 1, "node");
    assert_eq!(shown("EMBED"), 1, "pool and model");
    assert_eq!(shown("too hot"), 1, "health");
    assert_eq!(shown("10.0.1."), 2, "address");
    assert_eq!(shown("nothing like it"), 0);
    press(&mut top, &[Key::Enter]);
    assert!(screen(&mut top, (80, 10), PLAIN, seconds(3)).join("\n").contains("no replica fits the filter"));
    press(&mut top, &[Key::Escape]);
    assert_eq!(top.shown.len(), 4);
    let long = [vec![Key::Char('/')], typed(&"x".repeat(500))].concat();
    press(&mut top, &long);
    assert_eq!(top.filter.len(), 64);
    press(&mut top, &[Key::Backspace; 100]);
    assert_eq!(top.shown.len(), 4);
    assert_eq!(top.press(Key::Interrupt, seconds(3)), Deed::End, "also while it is typed");
}

#[test]
fn of_thousands_those_are_drawn_that_are_seen() {
    let mut top = large();
    let size = (60, 12);
    let rows = |top: &mut Top| screen(top, size, PLAIN, seconds(0))[3..11].to_vec();
    let first = rows(&mut top);
    assert!(first[0].starts_with("> 10.1.19.249:8000") && first[7].contains("10.1.19.242:8000"), "{first:?}");
    press(&mut top, &[Key::PageDown]);
    let second = rows(&mut top);
    assert!(second[7].starts_with("> 10.1.19.241:8000"), "{second:?}");
    press(&mut top, &[Key::End]);
    let last = screen(&mut top, size, PLAIN, seconds(0));
    assert!(
        last[10].starts_with("> 10.1.0.0:8000") && last[11].starts_with("4,993-5,000 of 5,000 by QUEUE"),
        "{last:?}"
    );
    press(&mut top, &[Key::Home]);
    assert_eq!(rows(&mut top), first);
    // Smaller than before, the selected one is still seen.
    press(&mut top, &[Key::Down; 7]);
    let small = screen(&mut top, (60, 5), PLAIN, seconds(0));
    assert!(small.iter().any(|line| line.starts_with("> 10.1.19.242:8000")), "{small:?}");
}

/// What a name can do at worst.
const HOSTILE: &str = "\u{1b}[31m\u{1b}]0;owned\u{7}\r\n\t\u{9b}2J\u{202e}\u{200b}模型👩‍👩‍👧é";

#[test]
fn hostile_names_are_text() {
    let mut endpoints = page::<Endpoints>("endpoints").endpoints;
    for endpoint in &mut endpoints {
        endpoint.address += HOSTILE;
        endpoint.health += HOSTILE;
        endpoint.node = Some(HOSTILE.to_owned());
        endpoint.pools = vec![HOSTILE.to_owned()];
    }
    let mut about = about();
    (about.router.version, about.router.readiness) = (HOSTILE.to_owned(), HOSTILE.to_owned());
    (about.router.ready, about.no_agent) = (false, Some(HOSTILE.to_owned()));
    for look in [PLAIN, RICH] {
        let mut top = Top::new(HOSTILE.to_owned(), Column::Score, EVERY);
        top.hear(News::Page(endpoints.clone(), Some(about.clone())), seconds(0));
        for keys in [vec![], [vec![Key::Char('/')], typed(HOSTILE)].concat(), vec![Key::Escape, Key::Enter]] {
            for key in keys {
                top.press(key, seconds(0));
            }
            if let View::Details(_) = top.view {
                let asked = top.asked().expect("a replica").to_owned();
                let mut decisions = page::<Decisions>("decisions").decisions;
                decisions.iter_mut().for_each(|decision| decision.request_id += HOSTILE);
                top.hear(News::Decisions(asked, decisions, Some(HOSTILE.to_owned())), seconds(0));
            }
            for size in [(200, 30), (60, 12), (21, 5)] {
                let text = screen(&mut top, size, look, seconds(0)).concat();
                let steers = |c: char| c.is_control() || "\u{202e}\u{200b}".contains(c);
                assert_eq!(text.chars().find(|c| steers(*c)), None, "{text}");
                assert!(look.utf8 || text.is_ascii(), "{text}");
            }
        }
        top.hear(News::Away(HOSTILE.to_owned()), seconds(1));
        let text = screen(&mut top, (200, 12), look, seconds(1)).concat();
        assert_eq!(text.chars().find(|c| c.is_control()), None, "{text}");
    }
}

#[test]
fn colours_say_how_things_are_and_there_are_none_without() {
    let mut top = canned();
    let styled = |top: &mut Top, look| terminal(top, (160, 10), look, seconds(3));
    let rich = styled(&mut top, RICH);
    let buffer = rich.backend().buffer();
    let color_of = |text: &str| {
        (0..10).find_map(|y| {
            let line: String = (0..160).map(|x| buffer[(x, y)].symbol()).collect();
            let at = line.char_indices().map(|(at, _)| at).position(|at| line[at..].starts_with(text))?;
            Some(buffer[(at as u16, y)].fg)
        })
    };
    assert_eq!(color_of("degraded: its GPU"), Some(Color::Yellow));
    assert_eq!(color_of("failed: not heard"), Some(Color::Red));
    assert_eq!(color_of("3 of 4 ready"), Some(Color::Red));
    assert!(buffer[(0, 3)].modifier.contains(Modifier::REVERSED), "the selected one");
    let plain = styled(&mut top, PLAIN);
    let styles = plain.backend().buffer().content().iter().map(|cell| (cell.fg, cell.bg, cell.modifier));
    assert_eq!(styles.collect::<Vec<_>>(), vec![(Color::Reset, Color::Reset, Modifier::empty()); 1_600]);
}
