//! Selectors by labels and fields.

use serde_json::Value;

/// What an object must be like to be shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    field: Field,
    test: Test,
}

#[derive(Clone, Debug)]
enum Field {
    Label(String),
    /// Where it stands in the object.
    Pointer(&'static str),
}

#[derive(Clone, Debug)]
enum Test {
    Is(Vec<String>),
    IsNot(Vec<String>),
    Exists,
    Lacks,
}

// === Selector ===

impl Selector {
    /// Reads the two parameters of a query.
    pub(super) fn read(labels: Option<&str>, fields: Option<&str>) -> Result<Self, String> {
        let mut terms = Vec::new();
        for text in split(labels.unwrap_or_default()) {
            terms.push(label(&text)?);
        }
        for text in split(fields.unwrap_or_default()) {
            terms.push(field(&text)?);
        }
        Ok(Self { terms })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| term.holds(object))
    }
}

/// At commas that are not within brackets.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in text.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn label(text: &str) -> Result<Term, String> {
    let term = |key: &str, test| Ok(Term { field: Field::Label(key.trim().to_owned()), test });
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, set)) = text.split_once(" notin ") {
        return term(key, Test::IsNot(values(set)?));
    }
    if let Some((key, set)) = text.split_once(" in ") {
        return term(key, Test::Is(values(set)?));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return term(key, Test::IsNot(one(value)));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return term(key, Test::Is(one(value)));
    }
    match text.strip_prefix('!') {
        Some(key) => term(key, Test::Lacks),
        None => term(text, Test::Exists),
    }
}

fn values(set: &str) -> Result<Vec<String>, String> {
    let inner = set.trim().strip_prefix('(').and_then(|set| set.strip_suffix(')'));
    let inner = inner.ok_or_else(|| format!("unable to parse requirement: {set}"))?;
    Ok(inner.split(',').map(|value| value.trim().to_owned()).collect())
}

fn field(text: &str) -> Result<Term, String> {
    let (key, value, negated) = match text.split_once("!=") {
        Some((key, value)) => (key, value, true),
        None => {
            let (key, value) = text
                .split_once("==")
                .or_else(|| text.split_once('='))
                .ok_or_else(|| format!("invalid field selector: {text}"))?;
            (key, value, false)
        }
    };
    let pointer = match key {
        "metadata.name" => "/metadata/name",
        "metadata.namespace" => "/metadata/namespace",
        "spec.nodeName" => "/spec/nodeName",
        _ => return Err(format!("field label not supported: {key}")),
    };
    let set = vec![value.to_owned()];
    let test = if negated { Test::IsNot(set) } else { Test::Is(set) };
    Ok(Term { field: Field::Pointer(pointer), test })
}

// === Term ===

impl Term {
    fn holds(&self, object: &Value) -> bool {
        let value = match &self.field {
            Field::Label(key) => object["metadata"]["labels"][key.as_str()].as_str(),
            // A field that is not there is empty.
            Field::Pointer(pointer) => {
                Some(object.pointer(pointer).and_then(Value::as_str).unwrap_or_default())
            }
        };
        let is_in = |set: &Vec<String>| value.is_some_and(|value| set.iter().any(|one| one == value));
        match &self.test {
            Test::Is(set) => is_in(set),
            Test::IsNot(set) => !is_in(set),
            Test::Exists => value.is_some(),
            Test::Lacks => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_fields_select_as_a_real_server_does() {
        let pod = json!({"metadata": {"name": "a", "labels": {"app": "qwen", "tier": "gpu"}},
                         "spec": {"nodeName": "n1"}});
        let labels = |text: &str| Selector::read(Some(text), None).expect("selector").matches(&pod);
        for yes in
            ["app=qwen", "app==qwen,tier", "app in (llama, qwen)", "app notin (llama)", "other!=x", "!other"]
        {
            assert!(labels(yes), "{yes}");
        }
        for no in ["app=llama", "app=qwen,other", "app in (llama)", "app notin (qwen,x)", "app!=qwen", "!app"]
        {
            assert!(!labels(no), "{no}");
        }
        let fields = |text: &str| Selector::read(None, Some(text)).expect("selector").matches(&pod);
        assert!(fields("spec.nodeName=n1") && !fields("spec.nodeName=n2") && !fields("metadata.name!=a"));
        assert!(Selector::read(None, Some("spec.colour=red")).is_err());
    }
}
