//! Lists, whole or in pages. All pages of a list show the state at its first.

use std::sync::Arc;

use hyper::body::Bytes;
use serde_json::json;

use super::{
    answer::Failure,
    call::Call,
    resource::Resource,
    select::Selector,
    store::{Key, Store, Stored},
};

// === Store ===

impl Store {
    /// Objects of a resource in a namespace, or in all.
    pub(super) fn within(
        &self,
        resource: Resource,
        namespace: &str,
        selector: &Selector,
    ) -> Vec<Arc<Stored>> {
        let from = Key::new(resource, namespace, "");
        let range = self.objects.range(from..).take_while(|(key, _)| key.resource == resource);
        let within = range.take_while(|(key, _)| namespace.is_empty() || key.namespace == namespace);
        let all = within.map(|(_, object)| object).filter(|object| selector.matches(&object.value));
        all.cloned().collect()
    }

    /// Answers a list.
    pub(super) fn list(&mut self, resource: Resource, call: &Call) -> Result<Bytes, Failure> {
        let selector =
            Selector::read(call.get("labelSelector"), call.get("fieldSelector")).map_err(Failure::bad)?;
        let limit = call.get("limit").map_or(Ok(0), str::parse::<usize>);
        let limit = limit.map_err(|_| Failure::bad("limit is no number"))?;
        let (version, mut all) = match call.get("continue") {
            None => (self.version, self.within(resource, &call.namespace, &selector)),
            Some(token) => token.parse().ok().and_then(|token| self.pages.remove(&token)).ok_or_else(|| {
                Failure::gone(
                    "The provided continue parameter is too old to display a consistent list result. You can start \
                     a new list without the continue parameter.",
                )
            })?,
        };
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if limit > 0 && all.len() > limit {
            let rest = all.split_off(limit);
            if selector.is_empty() {
                metadata["remainingItemCount"] = rest.len().into();
            }
            self.last_page += 1;
            metadata["continue"] = self.last_page.to_string().into();
            if self.short_lived > 0 {
                self.short_lived -= 1;
            } else {
                self.pages.insert(self.last_page, (version, rest));
            }
        }
        let head = json!({"kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
                          "metadata": metadata});
        // Written by hand: ten thousand pods are not parsed again to be put into a list.
        let mut text = head.to_string().into_bytes();
        text.pop();
        text.extend_from_slice(b",\"items\":[");
        for (at, object) in all.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&object.text);
        }
        text.extend_from_slice(b"]}\n");
        Ok(text.into())
    }
}
