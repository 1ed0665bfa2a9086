//! Memory, descriptors and requests over time, one panel each, as SVG.

use std::path::Path;

use anyhow::Context as _;
use plotters::prelude::*;

use super::samples::{Sample, Samples};
use crate::palette::{COLOURS, FONT, GRID, INK};

const SIZE: (u32, u32) = (1_000, 780);

/// Draws the panels into `file`.
pub(super) fn save(file: &Path, samples: &Samples) -> anyhow::Result<()> {
    draw(file, samples).with_context(|| format!("cannot draw {}", file.display()))
}

fn draw(file: &Path, samples: &Samples) -> anyhow::Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let rate: Vec<(f64, f64)> = samples.all.windows(2).map(|two| (two[1].seconds, rate(two))).collect();
    let of =
        |value: fn(&Sample) -> f64| samples.all.iter().map(|s| (s.seconds, value(s))).collect::<Vec<_>>();
    let panels = [
        ("Memory of the router (MB)", of(|sample| sample.resident_mb)),
        ("Descriptors of the router", of(|sample| sample.descriptors)),
        ("Requests per second", rate),
    ];
    for (area, (caption, points)) in root.split_evenly((panels.len(), 1)).iter().zip(panels) {
        panel(area, caption, &points)?;
    }
    root.present()?;
    Ok(())
}

fn rate(two: &[Sample]) -> f64 {
    (two[1].requests - two[0].requests) / (two[1].seconds - two[0].seconds).max(1e-3)
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    caption: &str,
    points: &[(f64, f64)],
) -> anyhow::Result<()> {
    let end = points.last().map_or(1.0, |point| point.0.max(1.0));
    let top = points.iter().map(|point| point.1).fold(1.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 17).into_font().color(&INK))
        .margin_left(16)
        .margin_right(28)
        .margin_bottom(8)
        .x_label_area_size(38)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_desc("time (s)")
        .y_labels(5)
        .label_style((FONT, 14).into_font().color(&INK))
        .x_label_formatter(&|seconds| format!("{seconds:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), COLOURS[0].stroke_width(2)))?;
    Ok(())
}
