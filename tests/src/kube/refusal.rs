//! Requests that are not answered as they should be, by what they ask for.

use std::collections::BTreeMap;

use super::call::Call;

/// What a request is answered instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// By a status of this code.
    Code(u16),
    /// Not at all, as long as the client waits.
    Silence,
}

/// Which requests are refused: by verb and what it is done to.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    of: BTreeMap<(String, String), Refusal>,
}

// === Refusals ===

impl Refusals {
    pub(super) fn add(&mut self, verb: &str, what: &str, refusal: Refusal) {
        self.of.insert((verb.to_owned(), what.to_owned()), refusal);
    }

    pub(super) fn remove(&mut self, verb: &str, what: &str) {
        self.of.remove(&(verb.to_owned(), what.to_owned()));
    }

    /// What is answered instead of what stands at this path; `None` where it is answered as it should be.
    pub(super) fn at(&self, path: &str) -> Option<Refusal> {
        self.of.get(&("get".to_owned(), path.to_owned())).copied()
    }

    /// What this request is answered instead; `None` where it is answered as it should be.
    pub(super) fn of(&self, call: &Call) -> Option<Refusal> {
        let path = call.path();
        let grouped = path.replacen(&call.plural, &format!("{}.{}", call.plural, call.group), 1);
        let one = |path: &str| format!("{path}:{}", call.name);
        let names = [one(&path), one(&grouped), path, grouped];
        names.into_iter().find_map(|what| self.of.get(&(call.verb.to_owned(), what)).copied())
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::*;

    fn patch_of(name: &str) -> Call {
        let uri = format!("/apis/g.io/v1/namespaces/n/things/{name}/status");
        Call::read(&Method::PATCH, &uri.parse().expect("uri")).expect("a call")
    }

    #[test]
    fn a_request_is_refused_by_its_resource_its_group_or_the_one_object() {
        for (what, of_a, of_b) in [
            ("things/status", true, true),
            ("things.g.io/status", true, true),
            ("things.other.io/status", false, false),
            ("things/status:a", true, false),
            ("things", false, false),
        ] {
            let mut refusals = Refusals::default();
            refusals.add("patch", what, Refusal::Silence);
            let refused = |name: &str| refusals.of(&patch_of(name)).is_some();
            assert_eq!((refused("a"), refused("b")), (of_a, of_b), "{what}");
            refusals.remove("patch", what);
            assert_eq!(refusals.of(&patch_of("a")), None);
        }
    }
}
