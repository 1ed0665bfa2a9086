use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Barrier;

use super::*;
use crate::{
    request::Prompt,
    scripted::{Answer, Scripted, response, stream},
};

fn requests(count: usize) -> Workload {
    let text = |n: usize| Prompt::Text(format!("number {n} end"));
    Workload::from_requests((0..count).map(|n| Request::new("m", text(n), 2)).collect())
}

async fn run_against(server: &Scripted, pace: Pace, workload: Workload) -> (Run, Arc<Progress>) {
    let progress = Arc::new(Progress::default());
    let client = Arc::new(Client::new(server.addr));
    (run(client, pace, workload, Arc::clone(&progress)).await, progress)
}

#[tokio::test]
async fn a_closed_loop_keeps_exactly_its_concurrency() {
    // Nobody passes the barrier before four are in flight; a fifth would be seen.
    let barrier = Arc::new(Barrier::new(4));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let server = Scripted::start(move |_| {
        let (barrier, now, most) = (Arc::clone(&barrier), Arc::clone(&now), Arc::clone(&seen));
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            barrier.wait().await;
            now.fetch_sub(1, SeqCst);
            Answer::Send(stream(2))
        }
    })
    .await;
    let (run, progress) = run_against(&server, Pace::Closed { concurrency: 4 }, requests(20)).await;
    assert_eq!(run.outcomes.iter().filter(|outcome| outcome.ok()).count(), 20);
    assert_eq!(most.load(SeqCst), 4);
    assert_eq!(server.connections(), 4, "connections are reused");
    assert_eq!((progress.sent(), progress.done(), progress.failed(), progress.tokens()), (20, 20, 0, 40));
}

#[tokio::test]
async fn turns_of_a_session_reach_the_server_in_order_and_one_at_a_time() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&log);
    let server = Scripted::start(move |text| {
        let turn = text.split("turn ").nth(1).unwrap().split('"').next().unwrap().to_owned();
        keep.lock().unwrap().push(turn);
        async { Answer::Send(stream(1)) }
    })
    .await;
    let turn = |n| Request::new("m", Prompt::Text(format!("turn {n}")), 1).in_session("a");
    for pace in [Pace::Closed { concurrency: 8 }, Pace::Open { per_second: 1e5, seed: 1 }] {
        log.lock().unwrap().clear();
        run_against(&server, pace, Workload::from_requests((0..9).map(turn).collect())).await;
        assert_eq!(log.lock().unwrap().concat(), "012345678", "{pace:?}");
    }
}

#[tokio::test]
async fn an_open_loop_does_not_wait_for_replies() {
    // All ten must be in flight at once for any to be answered.
    let barrier = Arc::new(Barrier::new(10));
    let server = Scripted::start(move |_| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            Answer::Send(stream(1))
        }
    })
    .await;
    let (run, _) = run_against(&server, Pace::Open { per_second: 1e4, seed: 7 }, requests(10)).await;
    assert_eq!(run.outcomes.iter().filter(|outcome| outcome.ok()).count(), 10);
}

#[tokio::test]
async fn failures_are_outcomes_too() {
    let server = Scripted::start(|text| async move {
        let bad = text.contains("number 3 end");
        Answer::Send(if bad { response("503 Service Unavailable", "text/plain", "down") } else { stream(1) })
    })
    .await;
    let (run, progress) = run_against(&server, Pace::Closed { concurrency: 2 }, requests(6)).await;
    assert_eq!((run.outcomes.len(), progress.failed()), (6, 1));
}

#[tokio::test]
async fn a_run_that_is_told_to_end_sends_nothing_more_and_finishes_what_it_sent() {
    for pace in [Pace::Closed { concurrency: 4 }, Pace::Open { per_second: 200.0, seed: 3 }] {
        let progress = Arc::new(Progress::default());
        let enough = Arc::clone(&progress);
        let server = Scripted::start(move |_| {
            enough.end();
            async { Answer::Send(stream(2)) }
        })
        .await;
        let client = Arc::new(Client::new(server.addr));
        let run = run(client, pace, requests(1000), Arc::clone(&progress)).await;
        assert!(run.outcomes.iter().all(Outcome::ok), "{pace:?}");
        assert_eq!(run.outcomes.len() as u64, progress.sent(), "{pace:?}");
        assert!(progress.sent() < 1000, "{pace:?}");
    }
}

#[test]
fn gaps_between_arrivals_have_the_mean_of_the_rate() {
    let mut rng = fastrand::Rng::with_seed(1);
    let gaps: Vec<f64> = (0..50_000).map(|_| gap(20.0, &mut rng).as_secs_f64()).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    assert!((mean - 0.05).abs() < 0.001, "{mean}");
    // An exponential: the share above the mean is 1/e.
    let above = gaps.iter().filter(|gap| **gap > 0.05).count() as f64 / gaps.len() as f64;
    assert!((above - 0.368).abs() < 0.01, "{above}");
}

#[test]
fn the_loaded_part_lies_between_the_first_end_and_the_last_send() {
    let outcome = |sent_at: u64, e2e: u64| Outcome {
        sent_at: Duration::from_secs(sent_at),
        status: Some(200),
        endpoint: None,
        ttft: None,
        gaps: Vec::new(),
        e2e: Duration::from_secs(e2e),
        chunks: 0,
        usage: None,
        failure: None,
    };
    let run = Run { outcomes: vec![outcome(0, 30), outcome(0, 20), outcome(50, 9)], elapsed: Duration::ZERO };
    assert_eq!(run.loaded(), Some((Duration::from_secs(20), Duration::from_secs(50))));
    let short = Run { outcomes: vec![outcome(0, 30)], elapsed: Duration::ZERO };
    assert_eq!(short.loaded(), None, "one batch has no loaded part");
}

#[tokio::test]
async fn a_run_that_is_stopped_keeps_what_has_ended_and_gives_up_the_rest() {
    // Every second one is never answered.
    let count = Arc::new(AtomicUsize::new(0));
    let server = Scripted::start(move |_| {
        let number = count.fetch_add(1, SeqCst);
        async move { if number.is_multiple_of(2) { Answer::Send(stream(1)) } else { Answer::Hang } }
    })
    .await;
    for pace in [Pace::Closed { concurrency: 4 }, Pace::Open { per_second: 1e5, seed: 1 }] {
        let progress = Arc::new(Progress::default());
        let stopper = Arc::clone(&progress);
        let run =
            tokio::spawn(run(Arc::new(Client::new(server.addr)), pace, requests(8), Arc::clone(&progress)));
        while stopper.done() < 3 {
            tokio::task::yield_now().await;
        }
        stopper.stop();
        let run = run.await.unwrap();
        assert!(!run.outcomes.is_empty() && run.outcomes.len() < 8, "{pace:?}: {}", run.outcomes.len());
        assert!(run.outcomes.iter().all(Outcome::ok));
    }
}
