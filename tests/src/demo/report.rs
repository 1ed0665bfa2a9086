//! What the demo says in the end: one table for people, one object for programs.

use std::io::IsTerminal as _;

use serde_json::{Map, Value, json};
use warmlane_load::{
    Interval, Table,
    table::{Better, Cell},
};

use super::{
    cast::Measured,
    figures::{Column, Figures, SHOWN},
    plan::{Engines, Plan},
    route::Route,
};

/// Above this, waiting for a core shows in every figure.
const BUSY_LIMIT: f64 = 0.70;

/// Everything measured, by route.
pub(super) struct Report<'a> {
    routes: Vec<(Route, Vec<&'a Figures>)>,
    /// The busiest run's share of the machine.
    busy: f64,
    failure: Option<&'a str>,
}

impl<'a> Report<'a> {
    /// Of rounds that each hold one measurement per route.
    pub(super) fn new(rounds: &'a [Vec<Measured>]) -> Self {
        let all = || rounds.iter().flatten();
        let of =
            |route| all().filter(move |measured| measured.route == route).map(|measured| &measured.figures);
        Self {
            routes: Route::ALL.map(|route| (route, of(route).collect())).into(),
            busy: all().map(|measured| measured.busy).fold(0.0, f64::max),
            failure: all().find_map(|measured| measured.failure.as_deref()),
        }
    }

    fn errors(&self) -> u64 {
        self.routes.iter().flat_map(|(_, rounds)| rounds).map(|figures| figures.errors).sum()
    }

    fn valid(&self) -> bool {
        self.busy < BUSY_LIMIT && self.errors() == 0
    }

    /// One object per route, and whether they can be trusted. With several rounds the figures are means, and
    /// `intervals` holds half the width of each 95 % interval, `rounds` the single values.
    pub(super) fn json(&self) -> Value {
        let mut object = Map::new();
        for (route, rounds) in &self.routes {
            object.insert(route.key().into(), json!(Figures::mean(rounds)));
        }
        object.insert("cpu_busy".into(), json!(self.busy));
        object.insert("valid".into(), json!(self.valid()));
        let several = self.routes.iter().any(|(_, rounds)| rounds.len() > 1);
        if several {
            let by_route = |of: &dyn Fn(&[&Figures]) -> Value| -> Map<String, Value> {
                self.routes.iter().map(|(route, rounds)| (route.key().to_owned(), of(rounds))).collect()
            };
            object.insert("intervals".into(), by_route(&|rounds| intervals(rounds)).into());
            object.insert("rounds".into(), by_route(&|rounds| json!(rounds)).into());
        }
        object.into()
    }

    /// The table and the verdict on the machine.
    pub(super) fn text(&self, plan: &Plan) -> String {
        let mut table = Table::new(self.routes.iter().map(|(route, _)| route.title()));
        for column in &SHOWN {
            let cells = self.routes.iter().map(|(_, rounds)| cell(column, rounds)).collect();
            table.row(column.name, column.better, cells);
        }
        let sum = |of: fn(&Figures) -> u64| {
            let sums = self
                .routes
                .iter()
                .map(move |(_, rounds)| rounds.iter().map(|figures| of(figures)).sum::<u64>());
            sums.map(|sum| Cell::number(sum as f64, 0)).collect()
        };
        table.row("requests", Better::Neither, sum(|figures| figures.requests));
        table.row("errors", Better::Lower, sum(|figures| figures.errors));
        format!("\n{}\n{}\n", table.render(std::io::stdout().is_terminal()), self.verdict(plan))
    }

    fn verdict(&self, plan: &Plan) -> String {
        let busy = self.busy * 100.0;
        let mut text = String::from("* best of its row.");
        if plan.engines == Engines::Sim {
            text += " Times are in simulated time.";
        }
        if self.routes.iter().any(|(_, rounds)| rounds.len() > 1) {
            text += " ± is half of the 95 % interval of the mean over the seeds.";
        }
        if self.errors() > 0 {
            let first = self.failure.unwrap_or("no message");
            text += &format!("\nINVALID: {} requests failed; the first one: {first}", self.errors());
        }
        text += &match (self.busy < BUSY_LIMIT, plan.engines) {
            (true, _) => format!("\nThe machine was at most {busy:.0} % busy (limit 70 %)."),
            (false, Engines::Sim) => format!(
                "\nINVALID: the machine was {busy:.0} % busy (limit 70 %), so waiting for a core shows in the figures. \
                 Stop other work, or slow simulated time down with --scale {:.1}.",
                plan.time_scale * 0.5 / self.busy
            ),
            (false, Engines::Real) => {
                format!("\nNot a measurement: the engines kept the machine {busy:.0} % busy (limit 70 %).")
            }
        };
        text
    }
}

fn cell(column: &Column, rounds: &[&Figures]) -> Cell {
    let values: Vec<f64> = rounds.iter().map(|figures| (column.of)(figures)).collect();
    let interval = Interval::new(&values);
    let mut cell = Cell::number(interval.mean, column.digits);
    if let Some(half) = interval.half {
        cell.text += &format!(" ± {half:.*}", column.digits);
    }
    cell
}

/// Half of the 95 % interval of each figure, under the figure's own name.
fn intervals(rounds: &[&Figures]) -> Value {
    let rounds: Vec<Map<String, Value>> =
        rounds.iter().filter_map(|figures| json!(figures).as_object().cloned()).collect();
    let Some(first) = rounds.first() else { return Value::Null };
    let half = |name: &str| {
        let values: Vec<f64> = rounds.iter().filter_map(|round| round.get(name)?.as_f64()).collect();
        json!(Interval::new(&values).half)
    };
    let names = first.keys().filter(|name| !["requests", "errors"].contains(&name.as_str()));
    names.map(|name| (name.clone(), half(name))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests;
