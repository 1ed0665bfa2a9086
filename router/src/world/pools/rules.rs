//! How requests of one pool are treated: weights, models, objectives, rewrites.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use warmlane_picker::{Criticality, Profile};

use crate::config::{Config, ModelRule, Objective, Target};

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// How its replicas are weighed.
    pub profile: Profile,
    /// By the name that clients use.
    models: HashMap<String, ModelRule>,
    /// Those of the models that hold in every pool: a request that names one is not this pool's for that.
    general: HashSet<String>,
    /// By name.
    objectives: HashMap<String, Criticality>,
    /// Names to send instead of one that stands above what models say, by the name that clients use.
    rewrites: HashMap<String, Vec<Target>>,
    /// The same for all other names.
    rewrite_all: Vec<Target>,
}

// === Rules ===

impl Rules {
    /// As the settings say.
    pub fn of(config: &Config) -> Self {
        Self::new(config.profile, &config.models, &config.objectives)
    }

    /// Of these; of two with one name the first counts.
    pub fn new(profile: Profile, models: &[ModelRule], objectives: &[Objective]) -> Self {
        let mut rules = Self { profile, ..Self::default() };
        for model in models {
            rules.models.entry(model.name.clone()).or_insert_with(|| model.clone());
        }
        for objective in objectives {
            rules.objectives.entry(objective.name.clone()).or_insert_with(|| objective.criticality());
        }
        rules
    }

    /// Rules for models that hold in every pool, where this one has none of its own.
    pub fn generally(&mut self, models: &[ModelRule]) {
        for model in models {
            if let Entry::Vacant(place) = self.models.entry(model.name.clone()) {
                self.general.insert(model.name.clone());
                place.insert(model.clone());
            }
        }
    }

    /// Sends these instead of a model, whatever its own rule says; `None`: instead of all that have none of their own. The first
    /// word for a name counts.
    pub fn rewrite(&mut self, model: Option<&str>, targets: Vec<Target>) {
        match model {
            Some(model) => {
                self.rewrites.entry(model.to_owned()).or_insert(targets);
            }
            None if self.rewrite_all.is_empty() => self.rewrite_all = targets,
            None => {}
        }
    }

    /// What is said of a model.
    pub fn model(&self, name: &str) -> Option<&ModelRule> {
        self.models.get(name)
    }

    /// The names to send instead of a model; empty: itself.
    pub fn targets(&self, model: &str) -> &[Target] {
        let ruled = || self.model(model).map(|rule| rule.targets.as_slice());
        match self.rewrites.get(model) {
            Some(targets) => targets,
            None if !self.rewrite_all.is_empty() => &self.rewrite_all,
            None => ruled().unwrap_or_default(),
        }
    }

    /// Every name that something is said of, with its importance, sorted.
    pub fn named(&self) -> Vec<(&str, Criticality)> {
        let ruled = self.models.values().map(|rule| (rule.name.as_str(), rule.criticality));
        let others = self.rewrites.keys().filter(|name| !self.models.contains_key(*name));
        let mut named: Vec<_> =
            ruled.chain(others.map(|name| (name.as_str(), Criticality::default()))).collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        named
    }

    /// How important an objective is, where there is one of this name.
    pub fn objective(&self, name: &str) -> Option<Criticality> {
        self.objectives.get(name).copied()
    }

    /// Whether a model is named as this pool's, served or not.
    pub(super) fn names(&self, model: &str) -> bool {
        let is_ruled = self.models.contains_key(model) && !self.general.contains(model);
        is_ruled || self.rewrites.contains_key(model)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn model(name: &str) -> ModelRule {
        let name = format!("{name}-model");
        ModelRule { name, criticality: Criticality::Standard, targets: vec![target("ruled")] }
    }

    pub(in super::super) fn target(name: &str) -> Target {
        Target { name: name.to_owned(), weight: 1 }
    }

    #[test]
    fn every_name_that_something_is_said_of_is_shown_once() {
        let mut rules = Rules::new(Profile::default(), &[model("b"), model("b")], &[]);
        rules.rewrite(Some("a"), vec![target("new")]);
        rules.rewrite(Some("b-model"), vec![target("new")]);
        let names: Vec<&str> = rules.named().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b-model"]);
    }

    #[test]
    fn rewrites_stand_above_what_models_say_and_those_of_one_name_above_those_of_all() {
        let mut rules = Rules::new(Profile::default(), &[model("a")], &[]);
        let name = |rules: &Rules, model| rules.targets(model).first().map(|target| target.name.clone());
        assert_eq!((name(&rules, "a-model").as_deref(), name(&rules, "b").as_deref()), (Some("ruled"), None));
        rules.rewrite(None, vec![target("any")]);
        rules.rewrite(None, vec![target("later")]);
        assert_eq!(name(&rules, "a-model").as_deref(), Some("any"));
        rules.rewrite(Some("a-model"), vec![target("exact")]);
        rules.rewrite(Some("a-model"), vec![target("later")]);
        assert_eq!(
            (name(&rules, "a-model").as_deref(), name(&rules, "b").as_deref()),
            (Some("exact"), Some("any"))
        );
    }
}
