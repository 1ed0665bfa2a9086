//! The `http_*` families: requests by handler, method and status; sizes; durations.

use std::{cell::RefCell, rc::Rc};

use super::{
    Metrics,
    histogram::{HTTP_FEW, HTTP_MANY, Histogram},
    page::Page,
    unix_time,
};

/// Counters of the HTTP side.
#[derive(Debug)]
pub(crate) struct Http {
    many: Histogram,
    by_status: Vec<Requests>,
    by_handler: Vec<Handler>,
}

/// One request under way; its duration is observed when this goes.
#[derive(Debug)]
pub(crate) struct Visit {
    metrics: Rc<RefCell<Metrics>>,
    /// The route's path, never the client's text: labels must not grow with what clients send.
    handler: &'static str,
    method: &'static str,
    status: u16,
    received: u64,
    sent: u64,
    began: f64,
}

#[derive(Debug)]
struct Requests {
    handler: &'static str,
    method: &'static str,
    class: u16,
    count: u64,
    created: f64,
}

#[derive(Debug)]
struct Handler {
    handler: &'static str,
    method: &'static str,
    received: u64,
    sent: u64,
    durations: Histogram,
    created: f64,
}

// === Http ===

impl Default for Http {
    fn default() -> Self {
        Self { many: Histogram::new(HTTP_MANY), by_status: Vec::new(), by_handler: Vec::new() }
    }
}

impl Http {
    fn observe(&mut self, visit: &Visit) {
        let (handler, method, class) = (visit.handler, visit.method, visit.status / 100);
        let seconds = unix_time() - visit.began;
        self.many.observe(seconds);
        let same = |r: &&mut Requests| (r.handler, r.method, r.class) == (handler, method, class);
        match self.by_status.iter_mut().find(same) {
            Some(requests) => requests.count += 1,
            None => {
                let created = unix_time();
                self.by_status.push(Requests { handler, method, class, count: 1, created });
            }
        }
        let at = self.by_handler.iter().position(|h| (h.handler, h.method) == (handler, method));
        let at = at.unwrap_or_else(|| {
            let (durations, created) = (Histogram::new(HTTP_FEW), unix_time());
            self.by_handler.push(Handler { handler, method, received: 0, sent: 0, durations, created });
            self.by_handler.len() - 1
        });
        let known = &mut self.by_handler[at];
        known.received += visit.received;
        known.sent += visit.sent;
        known.durations.observe(seconds);
    }

    pub(super) fn write(&self, page: &mut Page) {
        self.write_requests(page);
        let received = "Content length of incoming requests by handler. Only value of header is respected. \
                        Otherwise ignored. No percentile calculated. ";
        self.write_sizes(page, "http_request_size_bytes", received, |handler| handler.received);
        let sent = "Content length of outgoing responses by handler. Only value of header is respected. \
                    Otherwise ignored. No percentile calculated. ";
        self.write_sizes(page, "http_response_size_bytes", sent, |handler| handler.sent);
        self.write_durations(page);
    }

    fn write_requests(&self, page: &mut Page) {
        let help = "Total number of requests by method, status and handler.";
        let labels = |r: &Requests| {
            format!("handler=\"{}\",method=\"{}\",status=\"{}xx\"", r.handler, r.method, r.class)
        };
        page.head("http_requests_total", help, "counter");
        for requests in &self.by_status {
            page.line("http_requests_total", &labels(requests), requests.count as f64);
        }
        if !self.by_status.is_empty() {
            page.head("http_requests_created", help, "gauge");
        }
        for requests in &self.by_status {
            page.line("http_requests_created", &labels(requests), requests.created);
        }
    }

    fn write_sizes(&self, page: &mut Page, name: &str, help: &str, size: impl Fn(&Handler) -> u64) {
        page.head(name, help, "summary");
        for handler in &self.by_handler {
            let labels = format!("handler=\"{}\"", handler.handler);
            page.line(&format!("{name}_count"), &labels, handler.durations.count() as f64);
            page.line(&format!("{name}_sum"), &labels, size(handler) as f64);
        }
        let created = format!("{name}_created");
        if !self.by_handler.is_empty() {
            page.head(&created, help, "gauge");
        }
        for handler in &self.by_handler {
            page.line(&created, &format!("handler=\"{}\"", handler.handler), handler.created);
        }
    }

    fn write_durations(&self, page: &mut Page) {
        let help = "Latency with many buckets but no API specific labels. Made for more accurate percentile \
                    calculations. ";
        let name = "http_request_duration_highr_seconds";
        page.head(name, help, "histogram");
        page.buckets(name, "", "", &self.many);
        page.head("http_request_duration_highr_seconds_created", help, "gauge");
        page.line("http_request_duration_highr_seconds_created", "", page.created());

        let help = "Latency with only few buckets by handler. Made to be only used if aggregation by handler is \
                    important. ";
        let name = "http_request_duration_seconds";
        page.head(name, help, "histogram");
        for handler in &self.by_handler {
            let before = format!("handler=\"{}\",", handler.handler);
            let after = format!(",method=\"{}\"", handler.method);
            page.buckets(name, &before, &after, &handler.durations);
        }
        if !self.by_handler.is_empty() {
            page.head("http_request_duration_seconds_created", help, "gauge");
        }
        for handler in &self.by_handler {
            let labels = format!("handler=\"{}\",method=\"{}\"", handler.handler, handler.method);
            page.line("http_request_duration_seconds_created", &labels, handler.created);
        }
    }
}

// === Visit ===

impl Visit {
    pub(crate) fn new(metrics: Rc<RefCell<Metrics>>, handler: &'static str, method: &'static str) -> Self {
        Self { metrics, handler, method, status: 0, received: 0, sent: 0, began: unix_time() }
    }

    /// Sizes are those of the content-length headers, 0 where there is none.
    pub(crate) fn answered(&mut self, status: u16, received: u64, sent: u64) {
        (self.status, self.received, self.sent) = (status, received, sent);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let metrics = Rc::clone(&self.metrics);
        metrics.borrow_mut().http.observe(self);
    }
}
