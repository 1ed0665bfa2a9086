//! Importances that gateways may name: TOML tables, in the file or as one text.

use toml::{Table, Value};
use warmlane_picker::Criticality;

use super::{tables, text::Refusal};

const KEYS: [&str; 2] = ["name", "priority"];

/// An importance with a name, as the InferenceObjective resource has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objective {
    /// What gateways call it.
    pub name: String,
    /// Below 0: shed first; above 0: never shed.
    pub priority: i32,
}

/// Reads a TOML list of tables.
pub(super) fn read(text: &str) -> Result<Vec<Objective>, Refusal> {
    tables::read("objectives", text, "[{ name = \"batch\", priority = -1 }]", objective)
}

/// Writes what [`read`] reads.
pub(super) fn write(objectives: &[Objective]) -> String {
    let table = |objective: &Objective| {
        Value::Table(Table::from_iter([
            ("name".to_owned(), Value::String(objective.name.clone())),
            ("priority".to_owned(), Value::Integer(objective.priority.into())),
        ]))
    };
    Value::Array(objectives.iter().map(table).collect()).to_string()
}

fn objective(value: &Value, place: &str) -> Result<Objective, Refusal> {
    let table = tables::table(value, place, &KEYS)?;
    let priority = match table.get("priority") {
        None => Some(0),
        Some(value) => value.as_integer().and_then(|n| i32::try_from(n).ok()),
    };
    let priority = priority.ok_or_else(|| format!("{place}.priority: write a whole number, such as -1"))?;
    Ok(Objective { name: tables::name(table, place)?, priority })
}

// === Objective ===

impl Objective {
    /// Its importance in the picker's terms.
    pub fn criticality(&self) -> Criticality {
        match self.priority {
            ..0 => Criticality::Sheddable,
            0 => Criticality::Standard,
            1.. => Criticality::Critical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_what_is_wrong_is_named() {
        let all = read(r#"[{ name = "batch", priority = -1 }, { name = "usual" }]"#).expect("objectives");
        assert_eq!((all[0].priority, all[1].priority), (-1, 0));
        assert_eq!(read(&write(&all)), Ok(all));
        let refusal = |text| read(text).expect_err(text);
        assert!(refusal("[{ priority = 1 }]").contains("objectives[0].name"));
        assert!(refusal("[{ name = \"a\", priority = \"high\" }]").contains("objectives[0].priority"));
        assert!(refusal("[{ name = \"a\", prio = 1 }]").contains("nearest valid one is `priority`"));
    }
}
