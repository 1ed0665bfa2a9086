//! When an engine is asked for its models. Pure.

use std::time::Duration;

use warmlane_picker::{Signals, Time};

/// A list of models is read again after this long ...
const LIST_INTERVAL: Duration = Duration::from_secs(5);
/// ... or after this long, when the engine works for an adapter that the list does not have.
const NEW_ADAPTER_INTERVAL: Duration = Duration::from_secs(1);

/// What is known of the engine's list of models.
#[derive(Default)]
pub(crate) struct List {
    pub(crate) names: Vec<String>,
    pub(crate) asked: Option<Time>,
}

// === List ===

impl List {
    /// Whether it is time to ask.
    pub(crate) fn is_due(&self, signals: Option<&Signals>, now: Time) -> bool {
        let Some(asked) = self.asked else { return true };
        let interval = if self.lacks_adapter_of(signals) { NEW_ADAPTER_INTERVAL } else { LIST_INTERVAL };
        now.saturating_sub(asked) >= interval
    }

    fn lacks_adapter_of(&self, signals: Option<&Signals>) -> bool {
        let lora = signals.and_then(|signals| signals.lora.as_ref()).map(|reading| &reading.value);
        lora.is_some_and(|lora| {
            lora.active.iter().chain(&lora.waiting).any(|name| !self.names.contains(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_due_at_first_after_a_while_and_early_for_an_adapter_it_lacks() {
        let at = Time::from_secs;
        let mut list = List::default();
        assert!(list.is_due(None, at(0)));
        list = List { names: vec!["base".to_owned(), "tuned".to_owned()], asked: Some(at(10)) };
        assert!(!list.is_due(None, at(14)));
        assert!(list.is_due(None, at(15)));
        let with = |name: &str| {
            let value = warmlane_picker::Lora { active: vec![name.to_owned()], ..Default::default() };
            Signals { lora: Some(warmlane_picker::Reading { value, at: at(11) }), ..Signals::default() }
        };
        assert!(!list.is_due(Some(&with("tuned")), at(12)), "known");
        assert!(list.is_due(Some(&with("new")), at(11)), "not known");
        assert!(!list.is_due(Some(&with("new")), at(10)), "but not at once again");
    }
}
