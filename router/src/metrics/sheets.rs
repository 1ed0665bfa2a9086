//! What the data plane's threads count on: a sheet each, summed up when a page is asked for.

use std::sync::{Arc, Mutex, PoisonError};

use super::ProxyMetrics;

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Sheets(Mutex<Vec<Arc<ProxyMetrics>>>);

// === Sheets ===

impl Sheets {
    /// A sheet for one more thread.
    pub(super) fn add(&self) -> Arc<ProxyMetrics> {
        let sheet = Arc::new(ProxyMetrics::new());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sheet.clone());
        sheet
    }

    /// Requests under way on all of them.
    pub(super) fn open(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|sheet| sheet.open()).sum()
    }

    /// All of them as one.
    pub(super) fn sum(&self) -> ProxyMetrics {
        let sum = ProxyMetrics::new();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|sheet| sum.absorb(sheet));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Listener, Opened};

    #[test]
    fn a_page_has_the_sum_of_all_sheets() {
        let sheets = Sheets::default();
        let (one, other) = (sheets.add(), sheets.add());
        one.request_done(Listener::Aware, 200);
        other.request_done(Listener::Aware, 200);
        let open = [one.connected(Listener::Plain), other.connected(Listener::Plain)];
        let requests = (Opened::on(&*one), Opened::on(other));
        assert_eq!(sheets.open(), 2);
        drop(requests);
        assert_eq!(sheets.open(), 0);
        let page = || {
            let mut registry = prometheus_client::registry::Registry::default();
            registry.register_collector(Box::new(sheets.sum()));
            let mut page = String::new();
            prometheus_client::encoding::text::encode(&mut page, &registry).expect("a page");
            page
        };
        assert!(page().contains("requests_total{listener=\"aware\",code=\"200\"} 2\n"), "{}", page());
        assert!(page().contains("client_connections{listener=\"plain\"} 2.0\n"), "{}", page());
        drop(open);
        assert!(page().contains("client_connections{listener=\"plain\"} 0.0\n"), "{}", page());
    }
}
