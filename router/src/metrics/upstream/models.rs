//! The upstream picker's counts of models.

use std::{fmt, sync::Arc};

use super::super::{Amounts, Durations, by_model::ModelSheet, page::Page};

/// Names, behind the set's prefix, in which the sets differ.
pub(super) struct Names {
    running: &'static str,
    sent: &'static str,
    received: &'static str,
    prompt: &'static str,
    completion: &'static str,
    cached: &'static str,
    per_token: &'static str,
    per_later_token: &'static str,
    /// All of it.
    rewritten: &'static str,
}

pub(super) const INFERENCE: Names = Names {
    running: "running_requests",
    sent: "request_sizes",
    received: "response_sizes",
    prompt: "input_tokens",
    completion: "output_tokens",
    cached: "prompt_cached_tokens",
    per_token: "normalized_time_per_output_token_seconds",
    per_later_token: "request_tpot_seconds",
    rewritten: "inference_extension_model_rewrite_decisions",
};

pub(super) const LLM_D: Names = Names {
    running: "request_running",
    sent: "request_size_bytes",
    received: "response_size_bytes",
    prompt: "request_input_tokens",
    completion: "request_output_tokens",
    cached: "request_cached_tokens",
    per_token: "request_ntpot_seconds",
    per_later_token: "request_streaming_tpot_seconds",
    rewritten: "llm_d_epp_model_rewrite_decisions",
};

type Sheets = [Arc<ModelSheet>];

/// Writes them to a page.
pub(super) fn encode(page: &mut Page<'_>, prefix: &str, names: &Names, models: &Sheets) -> fmt::Result {
    let name = |name: &str| format!("{prefix}{name}");
    let rows = models.iter().map(|sheet| (labels(sheet), sheet.requests.get()));
    page.counters(&name("request"), "Requests of each model", rows)?;
    let errors = models.iter().flat_map(|sheet| {
        let failed = sheet.errors.rows().filter(|(_, count)| *count > 0);
        failed.map(|(reason, count)| {
            let [model, target] = labels(sheet);
            ([model, target, ("error_code", reason.to_owned())], count)
        })
    });
    page.counters(&name("request_error"), "Requests that failed, by why", errors)?;
    let running = models.iter().map(|sheet| (labels(sheet), sheet.running.get() as f64));
    page.gauges(&name(names.running), "Requests under way", running)?;
    rewrites(page, names, models)?;
    durations(page, prefix, names, models)?;
    amounts(page, prefix, names, models)
}

fn labels(sheet: &ModelSheet) -> [(&'static str, String); 2] {
    [("model_name", sheet.model.to_string()), ("target_model_name", sheet.target.to_string())]
}

fn rewrites(page: &mut Page<'_>, names: &Names, models: &Sheets) -> fmt::Result {
    let renamed = models.iter().filter(|sheet| sheet.model != sheet.target);
    let rows = renamed.map(|sheet| {
        (
            [("model_name", sheet.model.to_string()), ("target_model", sheet.target.to_string())],
            sheet.requests.get(),
        )
    });
    page.counters(names.rewritten, "Requests that were sent on with another model's name", rows)
}

fn durations(page: &mut Page<'_>, prefix: &str, names: &Names, models: &Sheets) -> fmt::Result {
    type Of = fn(&ModelSheet) -> &Durations;
    let families: [(&str, &str, Of); 4] = [
        ("request_duration_seconds", "From a request's first byte to its end", |sheet| &sheet.durations),
        ("request_ttft_seconds", "From a request's first byte to its answer's", |sheet| &sheet.first_bytes),
        (
            names.per_token,
            "Time of a request for each token of its answer, where tokens were counted",
            |sheet| &sheet.used.per_token,
        ),
        (names.per_later_token, "Time of an answer for each token after its first, likewise", |sheet| {
            &sheet.used.per_later_token
        }),
    ];
    families.into_iter().try_for_each(|(name, help, of)| {
        let rows = models.iter().map(|sheet| (labels(sheet), of(sheet)));
        page.histograms(&format!("{prefix}{name}"), help, rows)
    })
}

fn amounts(page: &mut Page<'_>, prefix: &str, names: &Names, models: &Sheets) -> fmt::Result {
    type Of = fn(&ModelSheet) -> &Amounts;
    let families: [(&str, &str, Of); 5] = [
        (names.sent, "Bytes of requests' bodies", |sheet| &sheet.sent),
        (names.received, "Bytes of answers' bodies", |sheet| &sheet.received),
        (
            names.prompt,
            "Tokens of prompts, as engines counted them: through Envoy, and with log.access",
            |sheet| &sheet.used.prompt,
        ),
        (names.completion, "Tokens of answers, likewise", |sheet| &sheet.used.completion),
        (names.cached, "Tokens of prompts that engines had in their caches, likewise", |sheet| {
            &sheet.used.cached
        }),
    ];
    families.into_iter().try_for_each(|(name, help, of)| {
        let rows = models.iter().map(|sheet| (labels(sheet), of(sheet)));
        page.histograms(&format!("{prefix}{name}"), help, rows)
    })
}
