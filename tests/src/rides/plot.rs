//! What a token costs and takes, and what a short stream costs, as SVG.

use std::path::Path;

use anyhow::Context as _;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    figures::{Clients, Figures, Side, What},
    paced,
    pod::Place,
    router::Kind,
    short,
};
use crate::palette::{FONT, GRID, INK};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (1_100, 760);
const HEADER: u32 = 44;
/// Where a reader's page is dark, the picture is.
const DARK: [(RGBColor, &str); 3] = [(WHITE, "#0d1117"), (INK, "#d0d7de"), (GRID, "#30363d")];

/// Draws what was measured into `file`.
pub(super) fn save(file: &Path, figures: &Figures) -> anyhow::Result<()> {
    draw(file, figures).with_context(|| format!("cannot draw {}", file.display()))?;
    let svg = std::fs::read_to_string(file)?;
    std::fs::write(file, with_dark(&svg)).with_context(|| format!("cannot write {}", file.display()))
}

fn draw(file: &Path, figures: &Figures) -> anyhow::Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (header, panels) = root.split_vertically(HEADER);
    legend(&header)?;
    let panels = panels.split_evenly((2, 2));
    let paced = |side| move |(place, streams)| What::Paced(place, streams, side);
    bars(&panels[0], "CPU of all per chunk (us)", figures, paced(Side::All))?;
    bars(&panels[1], "CPU of the router per chunk (us)", figures, paced(Side::Router))?;
    bars(&panels[2], "Delay p99 (us)", figures, paced(Side::Delay(99)))?;
    lines(&panels[3], figures)?;
    root.present()?;
    Ok(())
}

fn legend(area: &Area<'_>) -> anyhow::Result<()> {
    for (at, kind) in (0..).zip(Kind::ALL) {
        let x = 24 + 130 * at;
        area.draw(&Rectangle::new([(x, 16), (x + 24, 30)], colour(kind).filled()))?;
        let style = (FONT, 15).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(kind.to_string(), (x + 32, 24), style))?;
    }
    Ok(())
}

/// Told apart by people with any colour vision (Okabe and Ito).
fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Copy => RGBColor(230, 159, 0),
        Kind::Lane => RGBColor(0, 114, 178),
        Kind::Nginx => RGBColor(0, 158, 115),
    }
}

/// A group of bars for each place and number of streams: medians, with a line from the least to the most.
fn bars(
    area: &Area<'_>,
    caption: &str,
    figures: &Figures,
    what: impl Fn((Place, usize)) -> What,
) -> anyhow::Result<()> {
    let settings: Vec<_> =
        Place::ALL.into_iter().flat_map(|place| paced::STREAMS.map(|streams| (place, streams))).collect();
    let of = |setting, kind| figures.middle(what(setting), kind);
    let all =
        settings.iter().flat_map(|&setting| Kind::ALL.into_iter().filter_map(move |kind| of(setting, kind)));
    let top = all.map(|figure| figure.high).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 17).into_font().color(&INK))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..settings.len() as f64, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .y_labels(5)
        .label_style((FONT, 14).into_font().color(&INK))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()?;
    for (group, &setting) in settings.iter().enumerate() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            let Some(figure) = of(setting, kind) else { continue };
            let from = group as f64 + 0.14 + place as f64 * 0.25;
            let bar = Rectangle::new([(from, 0.0), (from + 0.22, figure.median)], colour(kind).filled());
            let spread = vec![(from + 0.11, figure.low), (from + 0.11, figure.high)];
            chart.draw_series([bar])?;
            chart.draw_series([PathElement::new(spread, INK.stroke_width(1))])?;
        }
        let style = (FONT, 12).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Top));
        let at = chart.backend_coord(&(group as f64 + 0.5, 0.0));
        let (left, above) = area.get_base_pixel();
        let label = format!("{}, {}", setting.0, setting.1);
        area.draw(&Text::new(label, (at.0 - left, at.1 - above + 8), style))?;
    }
    Ok(())
}

/// What a response of few tokens costs by the lane, as a share of what it costs by copy.
fn lines(area: &Area<'_>, figures: &Figures) -> anyhow::Result<()> {
    let of = |clients, side| {
        let ratio = move |tokens| figures.ratio(What::Short(clients, tokens, side), Kind::Lane, Kind::Copy);
        let points =
            short::TOKENS.into_iter().filter_map(move |tokens| Some((tokens as f64, ratio(tokens)?.median)));
        points.collect::<Vec<_>>()
    };
    let all = [
        (of(Clients::Kept, Side::All), colour(Kind::Lane), "all"),
        (of(Clients::Kept, Side::Router), colour(Kind::Nginx), "router"),
        (of(Clients::New, Side::All), RGBColor(86, 180, 233), "all, new connections"),
        (of(Clients::New, Side::Router), RGBColor(204, 121, 167), "router, new connections"),
    ];
    let top = all.iter().flat_map(|line| &line.0).map(|point| point.1).fold(1.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .caption("CPU per response, lane / copy, by its tokens", (FONT, 17).into_font().color(&INK))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(58)
        .build_cartesian_2d((1.0..64.0).log_scale().base(2.0), 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(short::TOKENS.len())
        .y_labels(5)
        .label_style((FONT, 14).into_font().color(&INK))
        .x_label_formatter(&|tokens| format!("{tokens:.0}"))
        .y_label_formatter(&|ratio| format!("{ratio:.1}"))
        .draw()?;
    for (points, colour, name) in all {
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
    }
    let style = (FONT, 14).into_font().color(&INK);
    chart.configure_series_labels().label_font(style).position(SeriesLabelPosition::UpperRight).draw()?;
    Ok(())
}

/// The picture with other colours where the page around it is dark.
fn with_dark(svg: &str) -> String {
    let hex = |colour: RGBColor| format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
    let rules = DARK.map(|(colour, dark)| {
        let hex = hex(colour);
        format!("[fill=\"{hex}\"]{{fill:{dark}}}[stroke=\"{hex}\"]{{stroke:{dark}}}")
    });
    let style = format!("<style>@media (prefers-color-scheme:dark){{{}}}</style>", rules.concat());
    let end = svg.find("<svg").and_then(|at| Some(at + svg[at..].find('>')? + 1)).unwrap_or(0);
    [&svg[..end], &style, &svg[end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_measured_is_drawn_and_has_colours_for_dark_pages() {
        let mut figures = Figures::default();
        for kind in Kind::OURS {
            for (place, streams) in [(Place::Loopback, 200), (Place::Veth, 500)] {
                for side in [Side::All, Side::Router, Side::Delay(99)] {
                    figures.add(What::Paced(place, streams, side), kind, 10.0);
                }
            }
            for tokens in short::TOKENS {
                figures.add(What::Short(Clients::Kept, tokens, Side::All), kind, tokens as f64);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lane.svg");
        save(&file, &figures).unwrap();
        let svg = std::fs::read_to_string(&file).unwrap();
        for words in ["loopback, 200", "veth, 500", "Delay p99 (us)", "prefers-color-scheme:dark", "copy"] {
            assert!(svg.contains(words), "{words}");
        }
        // Two of a kind in three panels for each of two settings, and the legend's three.
        let ours = svg.matches("fill=\"#0072B2\"").count();
        assert_eq!(ours, 3 * 2 + 1);
    }
}
