//! KV cache use per replica over time, one panel per route, as SVG.

use std::{ops::Range, path::Path};

use anyhow::Context as _;
use plotters::{
    coord::types::RangedCoordf64,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    cast::Measured,
    plan::{Engines, Plan},
};
use crate::palette::{COLOURS, FONT, GRID, INK};

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const LOADED: RGBColor = RGBColor(236, 240, 246);
const WIDTH: u32 = 1100;
const HEADER: u32 = 84;
const PANEL: u32 = 260;

/// Draws the panels of `measured` into `file`.
pub(super) fn save(file: &Path, plan: &Plan, measured: &[Measured]) -> anyhow::Result<()> {
    draw(file, plan, measured).with_context(|| format!("cannot draw {}", file.display()))
}

fn draw(file: &Path, plan: &Plan, measured: &[Measured]) -> anyhow::Result<()> {
    let height = HEADER + PANEL * measured.len() as u32;
    let root = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let (header, panels) = root.split_vertically(HEADER);
    title(&header, plan)?;
    let last = measured.iter().filter_map(|route| route.samples.last());
    let end = last.map(|sample| sample.at.as_secs_f64()).fold(1.0, f64::max) * plan.time_scale;
    for (area, route) in panels.split_evenly((measured.len(), 1)).iter().zip(measured) {
        panel(area, plan, route, 0.0..end)?;
    }
    root.present()?;
    Ok(())
}

fn title(area: &Area<'_>, plan: &Plan) -> anyhow::Result<()> {
    let text = format!("KV cache in use per replica, workload {}", name(plan));
    area.draw(&Text::new(text, (24, 14), (FONT, 22).into_font().color(&INK)))?;
    let shade = Rectangle::new([(WIDTH as i32 - 298, 17), (WIDTH as i32 - 270, 31)], LOADED.filled());
    area.draw(&shade)?;
    let style = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new("shaded: where the spread is measured", (WIDTH as i32 - 262, 24), style))?;
    for (n, replica) in plan.replica_names().into_iter().enumerate() {
        let x = 24 + 150 * n as i32;
        let line = PathElement::new(vec![(x, 60), (x + 28, 60)], colour(n).stroke_width(3));
        area.draw(&line)?;
        let style = (FONT, 15).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(format!("replica {replica}"), (x + 36, 60), style))?;
    }
    Ok(())
}

fn panel(area: &Area<'_>, plan: &Plan, route: &Measured, time: Range<f64>) -> anyhow::Result<()> {
    let spread = route.figures.kv_spread * 100.0;
    let caption = format!("{}: spread {spread:.1} points", route.route.title());
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 17).into_font().color(&INK))
        .margin_left(16)
        .margin_right(28)
        .margin_bottom(8)
        .x_label_area_size(42)
        .y_label_area_size(58)
        .build_cartesian_2d(time, 0.0..100.0)?;
    shade(&mut chart, plan, route)?;
    let engine = if plan.engines == Engines::Sim { "simulated time (s)" } else { "time (s)" };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .y_labels(6)
        .x_labels(10)
        .y_desc("KV cache used (%)")
        .x_desc(engine)
        .label_style((FONT, 14).into_font().color(&INK))
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .x_label_formatter(&|seconds| format!("{seconds:.0}"))
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .draw()?;
    lines(&mut chart, plan, route)
}

/// The part of the run that the spread is taken over.
fn shade(chart: &mut Chart<'_, '_>, plan: &Plan, route: &Measured) -> anyhow::Result<()> {
    let (from, until) = route.loaded;
    let corner = |at: std::time::Duration, percent| (at.as_secs_f64() * plan.time_scale, percent);
    let loaded = Rectangle::new([corner(from, 0.0), corner(until, 100.0)], LOADED.filled());
    chart.draw_series([loaded])?;
    Ok(())
}

fn lines(chart: &mut Chart<'_, '_>, plan: &Plan, route: &Measured) -> anyhow::Result<()> {
    let replicas = route.samples.first().map_or(0, |sample| sample.used.len());
    for n in 0..replicas {
        let points = route
            .samples
            .iter()
            .filter_map(|sample| Some((sample.at.as_secs_f64() * plan.time_scale, sample.used[n]? * 100.0)));
        chart.draw_series(LineSeries::new(points, colour(n).stroke_width(2)))?;
    }
    Ok(())
}

fn colour(n: usize) -> RGBColor {
    COLOURS[n % COLOURS.len()]
}

fn name(plan: &Plan) -> String {
    use clap::ValueEnum as _;
    plan.workload.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::*;
    use crate::demo::{Args, figures::Figures, kv::Sample, route::Route};

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn measured(route: Route) -> Measured {
        let sample = |tick: u32| {
            let wave = |n: u32| 0.5 + 0.4 * (f64::from(tick) / 30.0 + f64::from(n)).sin();
            Sample { at: Duration::from_millis(100) * tick, used: (0..5).map(|n| Some(wave(n))).collect() }
        };
        Measured {
            route,
            figures: Figures::mean(&[]),
            samples: (0..400).map(sample).collect(),
            loaded: (Duration::from_secs(9), Duration::from_secs(31)),
            busy: 0.4,
            failure: None,
        }
    }

    #[test]
    fn every_route_has_a_panel_and_every_replica_a_line_in_it() {
        let plan = Plan::new(&Cli::parse_from(["demo", "--workload", "mixed"]).args);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kv.svg");
        save(&file, &plan, &Route::ALL.map(measured)).unwrap();
        let svg = std::fs::read_to_string(&file).unwrap();
        for route in Route::ALL {
            assert!(svg.contains(&format!("{}: spread", route.title())), "{}", route.title());
        }
        for words in ["replica 1 (A10)", "replica 5 (L20)", "KV cache used (%)", "simulated time (s)"] {
            assert!(svg.contains(words), "{words}");
        }
        let long_lines = svg.lines().filter(|line| line.contains("<polyline") && line.len() > 1000);
        assert_eq!(long_lines.count(), 15);
    }
}
