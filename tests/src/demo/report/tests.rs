use std::time::Duration;

use super::*;

fn measured(route: Route, ttft: f64, busy: f64, errors: u64) -> Measured {
    let figures = Figures {
        ttft_p50_ms: ttft,
        ttft_p99_ms: 2.0 * ttft,
        e2e_p50_ms: 10.0,
        e2e_p99_ms: 20.0,
        itl_p99_ms: 30.0,
        output_tokens_per_s: 5.0,
        prefix_hit_rate: 0.25,
        kv_spread: 0.1,
        requests: 10,
        errors,
    };
    let failure = (errors > 0).then(|| "status 503: all down".to_owned());
    Measured { route, figures, samples: Vec::new(), loaded: (Duration::ZERO, Duration::ZERO), busy, failure }
}

fn round(ttft: f64, busy: f64, errors: u64) -> Vec<Measured> {
    Route::ALL.into_iter().map(|route| measured(route, ttft, busy, errors)).collect()
}

#[test]
fn the_object_has_every_route_with_every_figure_and_a_verdict() {
    let rounds = [round(100.0, 0.4, 0)];
    let json = Report::new(&rounds).json();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["aware", "cpu_busy", "plain", "plain_least_request", "valid"]);
    let figures: Vec<&String> = json["aware"].as_object().unwrap().keys().collect();
    assert_eq!(
        figures,
        [
            "e2e_p50_ms",
            "e2e_p99_ms",
            "errors",
            "itl_p99_ms",
            "kv_spread",
            "output_tokens_per_s",
            "prefix_hit_rate",
            "requests",
            "ttft_p50_ms",
            "ttft_p99_ms"
        ]
    );
    assert_eq!(json["valid"], true);
    assert_eq!(json["cpu_busy"], 0.4);
}

#[test]
fn several_rounds_give_means_with_intervals() {
    let rounds = [round(100.0, 0.4, 0), round(200.0, 0.5, 0)];
    let json = Report::new(&rounds).json();
    assert_eq!(json["plain"]["ttft_p50_ms"], 150.0);
    assert_eq!(json["plain"]["requests"], 20);
    assert_eq!(json["cpu_busy"], 0.5, "the busiest run counts");
    // Two values 100 apart: t(1) = 12.706, standard error 50.
    let half = json["intervals"]["plain"]["ttft_p50_ms"].as_f64().unwrap();
    assert!((half - 635.3).abs() < 0.1, "{half}");
    assert_eq!(json["rounds"]["aware"].as_array().unwrap().len(), 2);
}

#[test]
fn a_busy_machine_or_a_failed_request_makes_the_run_invalid() {
    let busy = [round(1.0, 0.9, 0)];
    assert_eq!(Report::new(&busy).json()["valid"], false);
    let failed = [round(1.0, 0.1, 2)];
    assert_eq!(Report::new(&failed).json()["valid"], false);
}
