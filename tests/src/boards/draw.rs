//! A dashboard as SVG: its panels where Grafana would put them.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context as _;
use plotters::{coord::Shift, prelude::*};

use super::{Board, Panel, PanelKind, Place, scale::written};
use crate::{
    palette::{COLOURS, FONT, GRID, INK},
    prometheus::Prometheus,
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Seconds since the beginning, and a value.
type Points = Vec<(f64, f64)>;

const HEAT: RGBColor = RGBColor(213, 94, 0);
/// Of a column (of 24) and of a line, in pixels.
const COLUMN: u32 = 60;
const LINE: u32 = 30;
const HEADER: u32 = 48;
/// Series that a legend names, and letters of a name.
const NAMED: usize = 10;
const LETTERS: usize = 24;

/// Draws a dashboard over the last `window` into `file`.
pub(super) fn save(
    file: &Path,
    board: &Board,
    prometheus: &Prometheus,
    window: Duration,
) -> anyhow::Result<()> {
    draw(file, board, prometheus, window).with_context(|| format!("cannot draw {}", file.display()))
}

fn draw(file: &Path, board: &Board, prometheus: &Prometheus, window: Duration) -> anyhow::Result<()> {
    let lines = board.panels.iter().map(|panel| panel.place.y + panel.place.height).max().unwrap_or_default();
    let root = SVGBackend::new(file, (24 * COLUMN, HEADER + lines * LINE)).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&Text::new(board.title.clone(), (16, 12), (FONT, 24).into_font().color(&INK)))?;
    for panel in &board.panels {
        let Place { x, y, width, height } = panel.place;
        let (left, top) = (x * COLUMN, HEADER + y * LINE);
        let area = root.clone().shrink((left as i32, top as i32), (width * COLUMN, height * LINE));
        match panel.kind {
            PanelKind::Row => {
                area.draw(&Text::new(panel.title.clone(), (16, 6), (FONT, 18).into_font().color(&INK)))?;
            }
            PanelKind::Lines => lines_of(&area, panel, prometheus, window)?,
            PanelKind::Heatmap => heatmap(&area, panel, prometheus, window)?,
        }
    }
    root.present()?;
    Ok(())
}

fn lines_of(area: &Area<'_>, panel: &Panel, prometheus: &Prometheus, window: Duration) -> anyhow::Result<()> {
    let series = panel.series(prometheus, window);
    let top = series.iter().flat_map(|(_, points)| points).map(|point| point.1).fold(0.0, f64::max);
    let top = if top > 0.0 { top * 1.15 } else { 1.0 };
    let (area, names) = area.split_horizontally(area.dim_in_pixel().0 * 7 / 10);
    let mut chart = frame(&area, panel).build_cartesian_2d(0.0..window.as_secs_f64(), 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .y_labels(4)
        .x_labels(4)
        .label_style((FONT, 12).into_font().color(&INK))
        .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
        .y_label_formatter(&|value| written(*value, &panel.unit))
        .draw()?;
    for (at, (_, points)) in series.iter().enumerate() {
        chart.draw_series(LineSeries::new(points.iter().copied(), colour(at).stroke_width(2)))?;
    }
    legend(&names, &series)
}

fn colour(at: usize) -> RGBColor {
    COLOURS[at % COLOURS.len()]
}

/// Names of series below each other.
fn legend(area: &Area<'_>, series: &[(String, Points)]) -> anyhow::Result<()> {
    for (at, (name, _)) in series.iter().enumerate().take(NAMED) {
        let y = 38 + 18 * at as i32;
        area.draw(&PathElement::new([(2, y), (14, y)], colour(at).stroke_width(3)))?;
        let name: String = name.chars().take(LETTERS).collect();
        area.draw(&Text::new(name, (18, y - 7), (FONT, 11).into_font().color(&INK)))?;
    }
    Ok(())
}

/// Buckets upwards, each as dark as it has requests; a bucket that a series counts from 0 on has those below taken off.
fn heatmap(area: &Area<'_>, panel: &Panel, prometheus: &Prometheus, window: Duration) -> anyhow::Result<()> {
    let series = panel.series(prometheus, window);
    let mut buckets: Vec<(f64, String, Points)> = series
        .into_iter()
        .filter_map(|(name, points)| {
            Some((if name == "+Inf" { f64::INFINITY } else { name.parse().ok()? }, name, points))
        })
        .collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let names: Vec<String> = buckets.iter().map(|bucket| bucket.1.clone()).collect();
    let cells = cells(&buckets);
    let most = cells.iter().map(|cell| cell.2).fold(1e-9, f64::max);
    let rows = buckets.len().max(1) as f64;
    let mut chart = frame(area, panel).build_cartesian_2d(0.0..window.as_secs_f64(), 0.0..rows)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(INK)
        .x_labels(4)
        .y_labels(names.len().min(8))
        .label_style((FONT, 12).into_font().color(&INK))
        .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
        .y_label_formatter(&|row| names.get(*row as usize).cloned().unwrap_or_default())
        .draw()?;
    let step = window.as_secs_f64() / 60.0;
    chart.draw_series(cells.iter().filter(|cell| cell.2 > 0.0).map(|(at, row, count)| {
        let corners = [(*at, *row as f64), (at + step, *row as f64 + 1.0)];
        Rectangle::new(corners, HEAT.mix(0.1 + 0.9 * count / most).filled())
    }))?;
    Ok(())
}

/// When, in which bucket, how many.
fn cells(buckets: &[(f64, String, Points)]) -> Vec<(f64, usize, f64)> {
    let mut below: BTreeMap<u64, f64> = BTreeMap::new();
    let mut cells = Vec::new();
    for (row, (_, _, points)) in buckets.iter().enumerate() {
        for (at, count) in points {
            let before = below.insert(at.to_bits(), *count).unwrap_or_default();
            cells.push((*at, row, count - before));
        }
    }
    cells
}

fn frame<'a, 'b>(area: &'a Area<'b>, panel: &Panel) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(&panel.title, (FONT, 15).into_font().color(&INK))
        .margin_left(8)
        .margin_right(20)
        .margin_bottom(4)
        .margin_top(4)
        .x_label_area_size(24)
        .y_label_area_size(62);
    builder
}
