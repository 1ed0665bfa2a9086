//! A pool as declared: its `spec`, and the annotations that say how it is routed and what it runs.

use std::str::FromStr;

use warmlane_api::kube as api;
use warmlane_engine::metrics::EngineKind;
use warmlane_picker::Strategy;

/// A pool with its annotations.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Its `spec`.
    pub pool: api::Pool,
    /// How it is routed.
    pub strategy: Choice<Strategy>,
    /// What it runs.
    pub runtime: Choice<EngineKind>,
}

/// What an annotation chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<T> {
    /// The last valid one; `None` where the annotation is not there.
    pub value: Option<T>,
    /// Why what stands there now is not taken.
    pub refused: Option<String>,
}

/// The names of engines in the annotation, as gateways document them.
const RUNTIMES: [(&str, EngineKind); 6] = [
    ("vllm", EngineKind::Vllm),
    ("sglang", EngineKind::Sglang),
    ("trtllm", EngineKind::TensorRtLlm),
    ("trt-llm", EngineKind::TensorRtLlm),
    ("tensorrt-llm", EngineKind::TensorRtLlm),
    ("triton", EngineKind::Triton),
];

// === Declared ===

impl Declared {
    /// Reads the two annotations.
    pub fn new(pool: api::Pool, strategy: Option<&str>, runtime: Option<&str>) -> Self {
        let strategy = Choice::read(api::STRATEGY, strategy, |text| {
            Strategy::from_str(text).map_err(|unknown| unknown.to_string())
        });
        Self { pool, strategy, runtime: Choice::read(api::RUNTIME, runtime, engine) }
    }

    /// Where a choice was refused, the one of `before` stays.
    pub(super) fn keep(&mut self, before: &Self) {
        self.strategy.keep(&before.strategy);
        self.runtime.keep(&before.runtime);
    }
}

fn engine(text: &str) -> Result<EngineKind, String> {
    let found = RUNTIMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<&str> = RUNTIMES.iter().map(|(name, _)| *name).collect();
        format!("unknown engine {text:?}; valid ones are {}", names.join(", "))
    })
}

// === Choice ===

impl<T: Clone> Choice<T> {
    fn read(key: &str, text: Option<&str>, parse: impl FnOnce(&str) -> Result<T, String>) -> Self {
        match text.map(parse).transpose() {
            Ok(value) => Self { value, refused: None },
            Err(why) => Self { value: None, refused: Some(format!("annotation {key}: {why}")) },
        }
    }

    fn keep(&mut self, before: &Self) {
        if self.refused.is_some() {
            self.value = before.value.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(strategy: Option<&str>, runtime: Option<&str>) -> Declared {
        let pool = api::Pool { selector: api::Labels::new(), ports: vec![1], picker: None };
        Declared::new(pool, strategy, runtime)
    }

    #[test]
    fn annotations_choose_strategy_and_engine() {
        let pool = declared(Some("PREFIX_CACHE"), Some("sglang"));
        assert_eq!(pool.strategy.value, Some(Strategy::PrefixCache));
        assert_eq!(pool.runtime.value, Some(EngineKind::Sglang));
        assert_eq!(declared(None, None).strategy, Choice { value: None, refused: None });
    }

    #[test]
    fn an_unknown_value_is_refused_with_the_valid_ones_and_the_last_valid_one_stays() {
        let mut pool = declared(Some("FASTEST"), Some("ollama"));
        pool.keep(&declared(Some("PREFIX_CACHE"), Some("vllm")));
        assert_eq!(pool.strategy.value, Some(Strategy::PrefixCache));
        assert_eq!(pool.runtime.value, Some(EngineKind::Vllm));
        let why = pool.strategy.refused.clone().expect("refused");
        assert!(why.contains("routing-strategy") && why.contains("DEFAULT, PREFIX_CACHE"), "{why}");
        assert!(pool.runtime.refused.expect("refused").contains("vllm, sglang"));
        let mut removed = declared(None, None);
        removed.keep(&declared(Some("PREFIX_CACHE"), None));
        assert_eq!(removed.strategy.value, None, "an annotation that was taken away is no mistake");
    }
}
