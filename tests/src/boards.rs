//! The dashboards of `deploy`, and what `cargo xtask dashboards` does: it draws them, as Grafana would, from the answers of a real
//! Prometheus over a small cluster of simulated engines.

mod draw;
mod scale;
mod scene;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;
use warmlane_xtask::{interrupt, workspace};

pub use scene::Scene;

use crate::prometheus::Prometheus;

/// The files below `deploy/dashboards`.
pub const NAMES: [&str; 2] = ["engines", "warmlane"];
/// What stands for the model in queries.
const MODEL: &str = "$model_name";
/// What stands for a time over which a rate is taken.
const INTERVAL: &str = "$__rate_interval";

/// Draws the dashboards with the data of a small load.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask dashboards")]
pub struct Args {
    /// How long requests are sent and series are recorded
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3_600))]
    seconds: u64,
    /// Where the pictures go [default: target/dashboards]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// A dashboard.
#[derive(Debug)]
pub struct Board {
    /// Its name for people.
    pub title: String,
    /// Its panels, rows among them, as they stand in the file.
    pub panels: Vec<Panel>,
}

/// A panel, or the headline of a row of them.
#[derive(Debug)]
pub struct Panel {
    /// Its headline.
    pub title: String,
    /// What it is.
    pub kind: PanelKind,
    /// Of its values, by Grafana's name.
    pub unit: String,
    /// Columns (of 24) and lines from the top left, width and height.
    pub place: Place,
    /// What it shows.
    pub targets: Vec<Target>,
}

/// How a panel shows series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanelKind {
    /// A headline without series.
    Row,
    /// Lines over time.
    Lines,
    /// How many values fell between two bounds, over time.
    Heatmap,
}

/// Where a panel stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Columns from the left.
    pub x: u32,
    /// Lines from the top.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// A query of a panel.
#[derive(Debug)]
pub struct Target {
    expression: String,
    legend: String,
}

/// Records a small load and draws it.
///
/// # Errors
/// When a file cannot be read or written.
///
/// # Panics
/// When a part of the small cluster does not start.
pub fn run(args: &Args) -> anyhow::Result<()> {
    interrupt::watch()?;
    let folder = args.out.clone().unwrap_or_else(|| workspace::target().join("dashboards"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let scene = Scene::start(4.0);
    scene.load(Duration::from_secs(args.seconds), 6);
    let window = Duration::from_secs(args.seconds);
    for name in NAMES {
        let file = folder.join(name).with_extension("svg");
        Board::read(name)?.draw(&file, &scene.prometheus, window)?;
        println!("{}", file.display());
    }
    Ok(())
}

// === Board ===

impl Board {
    /// Reads one of [`NAMES`].
    ///
    /// # Errors
    /// When it is not there or no dashboard.
    pub fn read(name: &str) -> anyhow::Result<Self> {
        let json = Self::json(name)?;
        let title = json["title"].as_str().context("a dashboard without a title")?.to_owned();
        let panels = json["panels"].as_array().context("a dashboard without panels")?;
        Ok(Self { title, panels: panels.iter().map(Panel::read).collect::<anyhow::Result<_>>()? })
    }

    /// Draws what it shows of the last `window` into an SVG file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn draw(&self, file: &Path, prometheus: &Prometheus, window: Duration) -> anyhow::Result<()> {
        draw::save(file, self, prometheus, window)
    }

    /// The file as it stands.
    ///
    /// # Errors
    /// When it is not there or no JSON.
    pub fn json(name: &str) -> anyhow::Result<Value> {
        let file = workspace::root().join("deploy/dashboards").join(name).with_extension("json");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
    }
}

// === Panel ===

impl Panel {
    fn read(json: &Value) -> anyhow::Result<Self> {
        let title = json["title"].as_str().context("a panel without a title")?.to_owned();
        let kind = match json["type"].as_str() {
            Some("row") => PanelKind::Row,
            Some("timeseries") => PanelKind::Lines,
            Some("heatmap") => PanelKind::Heatmap,
            other => anyhow::bail!("{title}: a panel of type {other:?} is not known here"),
        };
        let place = |key: &str| {
            let at = json["gridPos"][key].as_u64().and_then(|at| u32::try_from(at).ok());
            at.with_context(|| format!("{title}: no place {key:?}"))
        };
        let place = Place { x: place("x")?, y: place("y")?, width: place("w")?, height: place("h")? };
        let unit = json["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or("short").to_owned();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let target = |target: &Value| Target {
            expression: text(&target["expr"]),
            legend: text(&target["legendFormat"]),
        };
        let targets = json["targets"].as_array().into_iter().flatten().map(target).collect();
        Ok(Self { title, kind, unit, place, targets })
    }

    /// Its series over the last `window`, each with its name in the legend.
    fn series(&self, prometheus: &Prometheus, window: Duration) -> Vec<(String, Vec<(f64, f64)>)> {
        self.targets.iter().flat_map(|target| target.series(prometheus, window)).collect()
    }
}

// === Target ===

impl Target {
    /// The query for the engines of a [`Scene`], over so long a time for each rate.
    ///
    /// # Panics
    /// When it has a variable that nobody knows.
    pub fn query(&self, interval: &str) -> String {
        let filled = self.expression.replace(MODEL, scene::MODEL).replace(INTERVAL, interval);
        assert!(!filled.contains('$'), "{filled}");
        filled
    }

    fn series(&self, prometheus: &Prometheus, window: Duration) -> Vec<(String, Vec<(f64, f64)>)> {
        let found = prometheus.range(&self.query("10s"), window);
        found.into_iter().map(|series| (self.name(&series.labels), series.points)).collect()
    }

    /// The legend with the labels of a series filled in. One that it has not is empty.
    fn name(&self, labels: &Value) -> String {
        let mut name = String::new();
        for part in self.legend.split("{{") {
            match part.split_once("}}") {
                Some((key, rest)) => name += &format!("{}{rest}", labels[key].as_str().unwrap_or_default()),
                None => name += part,
            }
        }
        name.trim().to_owned()
    }
}
