//! Pictures of screens for the documentation: `docs/top.svg`, `docs/status.svg`, drawn of what a terminal emulator shows.
//! `WARMLANE_BLESS=1 cargo test -p warmlane-cli pictures` draws them anew: look at what changed.

use std::{fmt::Write as _, fs, num::NonZeroU16, path::PathBuf};

use vt100::{Cell, Color, Parser};

mod scene;

/// Columns of all pictures: what a README shows without shrinking it much.
const COLUMNS: u16 = 124;
/// Of a character, at this size of letters.
const WIDTH: f32 = 8.4;
const HEIGHT: f32 = 18.0;
const MARGIN: f32 = 12.0;
const BACK: &str = "#16181d";
const INK: &str = "#d8dee9";

/// How a cell looks.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    ink: &'static str,
    bold: bool,
    dim: bool,
    turned: bool,
}

/// The screen that these bytes leave, as a picture.
fn picture(bytes: &[u8], lines: u16) -> String {
    let cells = |count| NonZeroU16::new(count).expect("some");
    let mut emulator = Parser::new(cells(lines), cells(COLUMNS), 0);
    emulator.process(bytes);
    let (width, height) =
        (f32::from(COLUMNS) * WIDTH + 2.0 * MARGIN, f32::from(lines) * HEIGHT + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACK}\"/>\n\
         <g font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\" xml:space=\"preserve\">\n"
    );
    for row in 0..lines {
        let cell = |column| emulator.screen().cell(row, column).expect("a cell");
        let mut column = 0;
        while column < COLUMNS {
            let look = Look::of(cell(column));
            let end = (column..COLUMNS).find(|at| Look::of(cell(*at)) != look).unwrap_or(COLUMNS);
            let texts: Vec<&str> = (column..end).map(|at| cell(at).contents()).collect();
            run(&mut svg, (column, row), &texts, look);
            column = end;
        }
    }
    svg + "</g>\n</svg>\n"
}

/// Characters that look alike, one behind the other.
fn run(svg: &mut String, (column, row): (u16, u16), texts: &[&str], look: Look) {
    let (x, y) = (MARGIN + f32::from(column) * WIDTH, MARGIN + f32::from(row) * HEIGHT);
    let (ink, back) = if look.turned { (BACK, Some(look.ink)) } else { (look.ink, None) };
    if let Some(back) = back {
        let width = texts.len() as f32 * WIDTH;
        _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"{back}\"/>"
        );
    }
    if let Some(first) = texts.iter().position(|text| filled(text).is_some()) {
        bar(svg, (x + first as f32 * WIDTH, y), texts[first..].iter().map_while(|text| filled(text)), ink);
    }
    let line: String =
        texts.iter().map(|text| if text.is_empty() || filled(text).is_some() { " " } else { text }).collect();
    let text = line.trim();
    if text.is_empty() {
        return;
    }
    let start = (line.len() - line.trim_start().len()) as f32 * WIDTH;
    let shown = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let faint = if look.dim { " opacity=\"0.6\"" } else { "" };
    _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{ink}\"{weight}{faint} textLength=\"{:.1}\">{shown}</text>",
        x + start,
        y + 13.5,
        text.chars().count() as f32 * WIDTH
    );
}

/// Bars are drawn: fonts leave gaps between blocks.
fn bar(svg: &mut String, (x, y): (f32, f32), cells: impl Iterator<Item = f32>, ink: &str) {
    let (mut all, mut full) = (0.0, 0.0);
    for part in cells {
        (all, full) = (all + WIDTH, full + part * WIDTH);
    }
    for (width, opacity) in [(all, 0.2), (full, 1.0)] {
        _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{ink}\" opacity=\"{opacity}\"/>",
            y + 4.0,
            HEIGHT - 8.0
        );
    }
}

/// How much of a block is filled, where it is one: U+2588 is all of it, U+258F an eighth.
fn filled(text: &str) -> Option<f32> {
    match text.chars().next()? {
        '░' => Some(0.0),
        block @ '█'..='▏' => Some((0x2590 - u32::from(block)) as f32 / 8.0),
        _ => None,
    }
}

fn check(name: &str, svg: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).join(name);
    if std::env::var_os("WARMLANE_BLESS").is_some() {
        fs::write(&path, svg).expect("it can be written");
    }
    let is_there = fs::read_to_string(&path).unwrap_or_default() == svg;
    assert!(is_there, "docs/{name} shows another screen: run with WARMLANE_BLESS=1 to draw it anew");
}

#[test]
fn the_documentation_shows_top_as_it_is() {
    check("top.svg", &picture(&scene::top(COLUMNS, 13), 13));
}

#[test]
fn the_documentation_shows_status_as_it_is() {
    let text = scene::status(COLUMNS);
    let lines = u16::try_from(text.lines().count()).expect("a screen");
    check("status.svg", &picture(text.trim_end().replace('\n', "\r\n").as_bytes(), lines));
}

// === Look ===

impl Look {
    fn of(cell: &Cell) -> Self {
        let ink = match cell.fgcolor() {
            Color::Idx(1) => "#ef6b73",
            Color::Idx(2) => "#8fce7e",
            Color::Idx(3) => "#e5c07b",
            _ => INK,
        };
        Self { ink, bold: cell.bold(), dim: cell.dim(), turned: cell.inverse() }
    }
}
