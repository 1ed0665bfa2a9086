//! The data plane's part of the page.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{
    super::{Counts, Goal, Label, Listener, page::Page},
    ProxyMetrics,
};
use crate::stage::Stage;

impl Collector for ProxyMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page(encoder);
        self.encode_requests(page)?;
        let stages = Stage::ALL.iter().map(|stage| ([("stage", stage.name())], &self.stages[stage.index()]));
        page.histograms(
            "stage_duration_seconds",
            "Time a request spent in each stage; connect lasts until the answer's first byte of body",
            stages,
        )?;
        let retries = self.retries.rows().map(|(reason, n)| ([("reason", reason)], n));
        page.counters("retries", "Requests sent once more before a response byte was passed on", retries)?;
        let refused = self.retries_refused.get();
        page.counter(
            "retries_refused",
            "Failed requests not sent once more: the retry budget was spent",
            refused,
        )?;
        let aborts = self.aborts.get();
        page.counter("client_aborts", "Clients that went away before their response ended", aborts)?;
        page.counter("shed", "Sheddable requests refused with 429", self.shed.get())?;
        self.encode_rides(page)?;
        self.encode_picks(page)
    }
}

impl ProxyMetrics {
    fn encode_requests(&self, page: &mut Page<'_>) -> fmt::Result {
        let requests = self.requests().map(|(listener, status, count)| {
            ([("listener", listener.name().to_owned()), ("code", status.to_string())], count)
        });
        page.counters("requests", "Requests answered, by status", requests)?;
        let errors = Listener::ALL.iter().flat_map(|listener| {
            let rows = self.errors[listener.index()].rows();
            rows.map(|(reason, n)| ([("listener", listener.name()), ("reason", reason)], n))
        });
        page.counters("request_errors", "Requests the router refused, or responses it cut", errors)?;
        let open = |l: &Listener| self.connections[l.index()].get() as f64;
        let open = Listener::ALL.iter().map(|listener| ([("listener", listener.name())], open(listener)));
        page.gauges("client_connections", "Open client connections", open)?;
        self.encode_connections(page)
    }

    fn encode_connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let by_listener = |counts: &Counts<Listener>| {
            let rows = counts.rows().map(|(listener, n)| ([("listener", listener)], n));
            rows.collect::<Vec<_>>()
        };
        let help = "Connections and HTTP/2 streams refused because limits.connections was reached";
        page.counters("client_connections_refused", help, by_listener(&self.connections_refused))?;
        let help = "TLS handshakes that failed or took too long";
        page.counters("tls_handshake_failures", help, by_listener(&self.handshakes_failed))?;
        let help = "HTTP/2 connections cut because their client reset streams too fast";
        page.counters("http2_floods", help, by_listener(&self.floods))?;
        let loads = self.certificate_loads.rows().map(|(outcome, n)| ([("outcome", outcome)], n));
        page.counters("tls_certificate_loads", "Loads of a TLS certificate whose files have changed", loads)?;
        let ends = self.exchanges.ends.rows().map(|(end, n)| ([("end", end)], n));
        self.encode_answers(page)?;
        page.counters(
            "ext_proc_streams",
            "Exchanges with Envoy, one for each request, by how they ended",
            ends,
        )
    }

    fn encode_answers(&self, page: &mut Page<'_>) -> fmt::Result {
        let by_goal = |counts: &Counts<Goal>| {
            let rows = counts.rows().map(|(goal, n)| ([("goal", goal)], n));
            rows.collect::<Vec<_>>()
        };
        let help = "Responses seen through Envoy whose request set a goal (x-slo-ttft-ms, x-slo-tpot-ms)";
        page.counters("slo_requests", help, by_goal(&self.aims))?;
        page.counters("slo_misses", "Those that missed it", by_goal(&self.misses))?;
        let kinds = ["prompt", "cached", "completion"].into_iter().zip(&self.used);
        let rows = kinds.map(|(kind, tokens)| ([("kind", kind)], tokens.get()));
        page.counters("used_tokens", "Tokens as engines counted them in responses seen through Envoy", rows)
    }

    fn encode_rides(&self, page: &mut Page<'_>) -> fmt::Result {
        let help = "Responses of which a part took the kernel lane";
        page.counter("lane_responses", help, self.rides.get())?;
        let refusals = self.refusals.rows().map(|(reason, n)| ([("reason", reason)], n));
        let help = "Responses that were meant for the kernel lane and copied, by why";
        page.counters("lane_refusals", help, refusals)
    }

    fn encode_picks(&self, page: &mut Page<'_>) -> fmt::Result {
        let picks = self.picks.rows().map(|(strategy, n)| ([("strategy", strategy)], n));
        page.counters("picks", "Requests that the picker gave to an endpoint", picks)?;
        page.counter(
            "prompt_tokens",
            "Prompt tokens of the requests that the picker gave to an endpoint, estimated",
            self.prompt_tokens.get(),
        )?;
        page.counter("prefix_lookups", "Prompts looked up in the prefix index", self.lookups.get())?;
        let help = "Prompt tokens that the chosen endpoint was believed to hold";
        page.counter("prefix_matched_tokens", help, self.matched_tokens.get())?;
        let matches = self.matches.rows().map(|(source, n)| ([("source", source)], n));
        let help = "Picks of an endpoint that held something of the prompt, by where that was known from";
        page.counters("prefix_matches", help, matches)
    }
}
