use std::time::Duration;

use warmlane_load::{Failure, Outcome, Usage};

use super::*;

fn outcome(ttft_ms: u64, endpoint: &str, failure: Option<Failure>) -> Outcome {
    Outcome {
        sent_at: Duration::ZERO,
        status: Some(200),
        endpoint: Some(endpoint.to_owned()),
        ttft: Some(Duration::from_millis(ttft_ms)),
        gaps: vec![0.02; 3],
        e2e: Duration::from_millis(ttft_ms + 60),
        chunks: 4,
        usage: Some(Usage { prompt_tokens: 100, completion_tokens: 4, cached_tokens: Some(75) }),
        failure,
    }
}

fn figures(routes: Vec<Route>) -> Figures {
    let model = "m".to_owned();
    Figures {
        model,
        concurrency: 4,
        prefixes: 2,
        prompt_tokens: 100,
        output_tokens: 4,
        routes,
        ..Figures::default()
    }
}

fn run(outcomes: Vec<Outcome>) -> Run {
    Run { outcomes, elapsed: Duration::from_secs(2) }
}

#[test]
fn two_routes_stand_side_by_side_and_the_better_is_marked() {
    let first = run(vec![outcome(100, "a:1", None), outcome(100, "b:1", None)]);
    let mut second = run(vec![outcome(40, "a:1", None), outcome(40, "a:1", None)]);
    second.outcomes.iter_mut().for_each(|outcome| outcome.usage = None);
    let figures = figures(vec![
        Route::of("h:8080".to_owned(), &first, None),
        Route::of("h:8081".to_owned(), &second, Some(BTreeMap::from([("a:1".to_owned(), 2)]))),
    ]);
    let expected = "\
load      m, 4 at once, 2 prefixes, 100 prompt tokens, 4 to come
first     h:8080
second    h:8081

                          first   second
requests                      2        2
failed                        0        0
first token p50 (ms)      100.0     40.0*
first token p90 (ms)      100.0     40.0*
first token p99 (ms)      100.0     40.0*
between tokens p50 (ms)    20.0     20.0
between tokens p99 (ms)    20.0     20.0
whole answer p50 (ms)     160.0    100.0*
tokens per second             4        4
prompt tokens cached (%)     75        -
replicas                      2        1
  to a:1                      1        2
  to b:1                      1        0
";
    assert_eq!(figures.draw(Screen::default(), false), expected);
    assert!(figures.is_yes());
    let json = serde_json::to_value(&figures).expect("JSON");
    assert_eq!(json["routes"][0]["replicas_by"], "replies");
    assert_eq!(json["routes"][1]["cached_share"], serde_json::Value::Null);
}

#[test]
fn bad_answers_are_counted_by_kind_each_with_an_example() {
    let down = |message: &str| Some(Failure::Status { code: 503, message: message.to_owned() });
    let figures = figures(vec![Route::of(
        "h:1".to_owned(),
        &run(vec![
            outcome(9, "a:1", down("all\u{1b}[2J down")),
            outcome(9, "a:1", down("still")),
            outcome(9, "a:1", Some(Failure::Closed { reason: "gone".to_owned() })),
        ]),
        None,
    )]);
    let text = figures.draw(Screen::default(), false);
    assert!(
        text.contains("failed    route: 2 status_503, such as: status 503: all\\u{1b}[2J down\n"),
        "{text}"
    );
    assert!(text.contains("failed    route: 1 closed, such as: "), "{text}");
    assert!(text.contains("first token p50 (ms)          -\n"), "no good answer, no time: {text}");
    assert!(!figures.is_yes());
}

#[test]
fn of_many_replicas_those_with_most_requests_are_named() {
    let sent = (0..40).map(|number| (format!("r{number:02}:1"), number + 1)).collect();
    let route = Route::of("h:1".to_owned(), &run(vec![outcome(1, "x", None)]), Some(sent));
    let text = figures(vec![route]).draw(Screen::default(), false);
    assert!(text.contains("  to r39:1") && !text.contains("r23:1"), "{text}");
    assert!(text.contains("  to 24 others              300\n"), "{text}");
}

#[test]
fn who_stops_it_sees_what_was_measured() {
    let route = Route::of("h:1".to_owned(), &run(vec![outcome(1, "x", None)]), None);
    let figures = Figures { unfinished: Some(3), ..figures(vec![route]) };
    let text = figures.draw(Screen::default(), false);
    assert!(text.contains("stopped   before its end; 3 requests under way are in no figure\n"), "{text}");
    assert!(figures.is_yes());
    let nothing = Figures { unfinished: Some(0), ..figures_of_nothing() };
    assert!(!nothing.is_yes());
}

fn figures_of_nothing() -> Figures {
    figures(vec![Route::of("h:1".to_owned(), &Run::default(), None)])
}
