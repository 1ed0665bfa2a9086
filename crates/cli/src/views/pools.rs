//! `pools`: what is served by whom under which rules, and what is wrong with the cluster's objects.

use warmlane_api::admin::{Model, Pool, Pools};

use super::{View, hang};
use crate::{
    clean::clean,
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
};

const COLUMNS: [Column; 6] = [
    column("POOL", 0).long(14),
    column("FOUND", 2),
    column("READY", 0).right(),
    column("STRATEGY", 1),
    column("SERVES", 3).long(10),
    column("RULES", 4).long(10),
];

impl View for Pools {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        let mut text = if self.pools.is_empty() {
            "no pool: this router serves hooks for Envoy Gateway only\n".to_owned()
        } else {
            Table::new(&COLUMNS).with(self.pools.iter().map(row)).draw(screen, wide)
        };
        for trouble in self.cluster.iter().flat_map(|cluster| &cluster.troubles) {
            text += &hang(screen, "trouble: ", Tone::Bad, &clean(trouble));
        }
        for refused in self.cluster.iter().flat_map(|cluster| &cluster.refused) {
            let why = format!("{} ({}): {}", refused.model, refused.reason, refused.message);
            text += &hang(screen, "model not served: ", Tone::Warn, &clean(&why));
        }
        text
    }
}

fn row(pool: &Pool) -> Vec<Cell> {
    let ready = Cell::new(format!("{} of {}", pool.ready, pool.replicas));
    let rules: Vec<String> = pool.models.iter().map(rule).collect();
    vec![
        Cell::new(&pool.name),
        pool.found.map_or_else(Cell::none, |found| {
            Cell::truth(found).toned(if found { Tone::Plain } else { Tone::Bad })
        }),
        ready.toned(match pool.ready {
            0 => Tone::Bad,
            ready if ready < pool.replicas => Tone::Warn,
            _ => Tone::Good,
        }),
        Cell::new(&pool.strategy),
        Cell::list(&pool.serves),
        Cell::list(&rules),
    ]
}

/// `name(Criticality)`, and what is asked of replicas instead.
fn rule(model: &Model) -> String {
    let targets: Vec<String> =
        model.targets.iter().map(|target| format!("{}:{}", target.name, target.weight)).collect();
    let arrow = if targets.is_empty() { "" } else { "->" };
    format!("{}({}){arrow}{}", model.name, model.criticality, targets.join("+"))
}
