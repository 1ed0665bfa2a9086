//! What a list of models says. Pure.

use serde::Deserialize;

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    /// Of an adapter, its base.
    parent: Option<String>,
}

/// The first one, of those that are no adapter if there is one.
pub(super) fn first(page: &[u8]) -> Option<String> {
    let Models { data } = serde_json::from_slice(page).ok()?;
    let base = data.iter().find(|model| model.parent.is_none());
    base.or(data.first()).map(|model| model.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_model_comes_before_its_adapters() {
        let list = |text: &str| first(text.as_bytes());
        assert_eq!(
            list(r#"{"data":[{"id":"a","parent":"m"},{"id":"m","parent":null}]}"#).as_deref(),
            Some("m")
        );
        assert_eq!(list(r#"{"object":"list","data":[{"id":"x"}]}"#).as_deref(), Some("x"));
        assert_eq!((list(r#"{"data":[]}"#), list("{}"), list("<html>")), (None, None, None));
    }
}
