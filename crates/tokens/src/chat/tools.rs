//! Tools, as vLLM hands them to a template: known fields, in its order.

use minijinja::Value;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Unresolved;

#[derive(Debug, Deserialize)]
struct Tool {
    r#type: Option<String>,
    function: Function,
    defer_loading: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    strict: Option<bool>,
    defer_loading: Option<bool>,
}

/// The tools of a request; an empty list is refused, as the engine does.
pub(super) fn read(tools: &RawValue) -> Result<Value, Unresolved> {
    let tools: Vec<Tool> = serde_json::from_str(tools.get()).map_err(|_| Unresolved::Json)?;
    if tools.is_empty()
        || tools.iter().any(|tool| tool.r#type.as_deref().is_some_and(|kind| kind != "function"))
    {
        return Err(Unresolved::Shape);
    }
    Ok(tools.into_iter().map(Tool::value).collect())
}

// === Tool ===

impl Tool {
    fn value(self) -> Value {
        let function = self.function;
        let mut fields = vec![
            ("name", Value::from(function.name)),
            ("description", Value::from(function.description)),
            ("parameters", function.parameters.unwrap_or_else(|| Value::from(()))),
        ];
        fields.extend(function.strict.map(|strict| ("strict", Value::from(strict))));
        let deferred = function.defer_loading.or(self.defer_loading);
        fields.extend(deferred.map(|deferred| ("defer_loading", Value::from(deferred))));
        let mut tool = vec![("type", Value::from("function")), ("function", Value::from_pairs(fields))];
        tool.extend(self.defer_loading.map(|deferred| ("defer_loading", Value::from(deferred))));
        Value::from_pairs(tool)
    }
}
