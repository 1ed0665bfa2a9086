//! What every command shows of canned pages, in each form. `WARMLANE_BLESS=1 cargo test -p warmlane-cli --test screens` writes the
//! files of `tests/screens` anew: look at what changed.

use std::{fs, path::PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;
use warmlane_api::admin::{
    Agents, Decisions, Endpoints, Explanation, GroupPins, Lane, Node, Pins, Pools, Router,
};
use warmlane_cli::{
    args::Format,
    replay::Replayed,
    screen::Screen,
    status::{Pages, Status},
    views::{self, Cards, Gpus, Order, Pods, show},
};

/// One view in one form.
type Draw<'p> = Box<dyn Fn(Format, Screen) -> String + 'p>;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).join(name)
}

fn page(name: &str) -> Value {
    let text = fs::read_to_string(folder("pages").join(format!("{name}.json"))).expect("a page");
    serde_json::from_str(&text).expect("JSON")
}

/// The pages, each with its strings made other ones.
fn canned(change: fn(&mut Value)) -> impl Fn(&str) -> Value {
    move |name| {
        let mut page = page(name);
        change(&mut page);
        page
    }
}

fn read<P: DeserializeOwned>(page: Value) -> P {
    serde_json::from_value(page).expect("a page of this kind")
}

fn drawing<'p>(view: impl views::View + 'p) -> Draw<'p> {
    Box::new(move |format, screen| show(&view, format, screen).expect("it can be shown"))
}

/// Every command by its name.
fn commands(page: &impl Fn(&str) -> Value) -> Vec<(&'static str, Draw<'static>)> {
    let endpoints = || read::<Endpoints>(page("endpoints"));
    let agents = || read::<Agents>(page("agents"));
    let pages = Pages {
        router: read::<Router>(page("router")),
        endpoints: endpoints(),
        agents: agents(),
        pools: read(page("pools")),
        lane: read(page("lane")),
    };
    vec![
        ("status", drawing(Status::of("127.0.0.1:9091".to_owned(), &pages))),
        ("endpoints", drawing(views::Endpoints::new(endpoints(), Some(Order::Queue)))),
        ("pods", drawing(Pods::new(endpoints(), &agents()))),
        ("gpus", drawing(Gpus::new(agents()))),
        ("agents", drawing(agents())),
        ("node", drawing(read::<Node>(page("node")))),
        ("cards", drawing(Cards::new(read(page("node"))))),
        ("pools", drawing(read::<Pools>(page("pools")))),
        ("pins", drawing(read::<Pins>(page("pins")))),
        ("groups", drawing(read::<GroupPins>(page("pins")))),
        ("lane", drawing(read::<Lane>(page("lane")))),
        ("decisions", drawing(read::<Decisions>(page("decisions")))),
        ("explain", drawing(read::<Explanation>(page("explanation")))),
        ("replay", drawing(read::<Replayed>(page("replayed")))),
    ]
}

#[test]
fn every_command_shows_its_page_in_every_form() {
    let plain = |width| Screen { width, color: false };
    for (name, draw) in commands(&canned(|_| {})) {
        let forms = [
            ("table", Format::Table, None),
            ("table on a terminal of 60 columns", Format::Table, Some(60)),
            ("wide", Format::Wide, None),
            ("json", Format::Json, None),
            ("yaml", Format::Yaml, None),
        ];
        let screens = forms.map(|(form, format, width)| format!("== {form}\n{}", draw(format, plain(width))));
        let (path, text) = (folder("screens").join(format!("{name}.txt")), screens.join("\n"));
        if std::env::var_os("WARMLANE_BLESS").is_some() {
            fs::write(&path, &text).expect("it can be written");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{name}: run with WARMLANE_BLESS=1 to write it anew");
    }
}

#[test]
fn no_line_is_wider_than_its_terminal() {
    for width in 20..=200 {
        for (name, draw) in commands(&canned(|_| {})) {
            for format in [Format::Table, Format::Wide] {
                let text = draw(format, Screen { width: Some(width), color: false });
                let widest = text.lines().map(|line| line.width()).max().unwrap_or(0);
                assert!(widest <= width, "{name} takes {widest} of {width} columns:\n{text}");
            }
        }
    }
}

#[test]
fn the_forms_for_programs_say_all_that_was_said() {
    for (name, draw) in commands(&canned(|_| {})) {
        let json: Value = serde_json::from_str(&draw(Format::Json, Screen::default())).expect(name);
        let yaml: Value = serde_saphyr::from_str(&draw(Format::Yaml, Screen::default())).expect(name);
        assert_eq!(json, yaml, "{name}");
        if matches!(name, "agents" | "node" | "pools" | "pins" | "lane" | "decisions") {
            assert_eq!(json, page(name), "{name}");
        }
    }
}

/// What a name can do at worst.
const HOSTILE: &str = "\u{1b}[31m\u{1b}]0;owned\u{7}\r\n\t\u{9b}2J\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\u{7f}\0\u{2028}: #\"'\\{[模型";

fn poison(value: &mut Value) {
    match value {
        Value::String(text) => *text = format!("{text}{HOSTILE}"),
        Value::Array(all) => all.iter_mut().for_each(poison),
        Value::Object(all) => all.values_mut().for_each(poison),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn hostile_names_steer_no_terminal_and_break_no_form() {
    for (name, draw) in commands(&canned(poison)) {
        for format in [Format::Table, Format::Wide, Format::Json, Format::Yaml] {
            for width in [None, Some(40), Some(120)] {
                let text = draw(format, Screen { width, color: false });
                let steers = |c: &char| {
                    (c.is_control() && *c != '\n')
                        || "\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\u{2028}".contains(*c)
                };
                assert_eq!(text.chars().find(steers), None, "{name} {format:?}:\n{text}");
            }
        }
        let json = serde_json::from_str::<Value>(&draw(Format::Json, Screen::default())).expect(name);
        assert!(json.to_string().contains("owned"), "{name}");
        let _: Value = serde_saphyr::from_str(&draw(Format::Yaml, Screen::default())).expect(name);
    }
}

#[test]
fn a_name_with_line_ends_makes_no_line() {
    let harmless = commands(&canned(|_| {}));
    for ((name, draw), (_, harmless)) in commands(&canned(poison)).into_iter().zip(harmless) {
        // It judges by what is said, and finds more to say.
        if name != "status" {
            let lines = |draw: &Draw<'_>| draw(Format::Table, Screen::default()).lines().count();
            assert_eq!(lines(&draw), lines(&harmless), "{name}");
        }
    }
}

#[test]
fn in_colours_nothing_but_colours_is_sent() {
    for (name, draw) in commands(&canned(poison)) {
        let text = draw(Format::Wide, Screen { width: Some(100), color: true });
        for sequence in text.split('\u{1b}').skip(1) {
            let (code, _) =
                sequence.strip_prefix('[').and_then(|rest| rest.split_once('m')).expect("a colour");
            assert!(["0", "1", "2", "31", "32", "33"].contains(&code), "{name}: {code:?}");
        }
        let plain = draw(Format::Wide, Screen { width: Some(100), color: false });
        let mut bare = text;
        for code in ["0", "1", "2", "31", "32", "33"] {
            bare = bare.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(bare, plain, "{name}");
    }
}
