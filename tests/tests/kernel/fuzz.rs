//! Any chunks, cut anywhere, with any pauses, sent in any way: the client gets exactly what the pod sent.

use std::{
    io::{IoSlice, Read, Write},
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use socket2::SockRef;
use warmlane_router::kernel::reason;
use warmlane_tests::lane::{Laid, Told};

use super::{chunked, cut, given, lane, of_length, pause};

/// Seconds for all of it, whatever the machine makes of it.
const BUDGET: u64 = 18;
/// Connections at a time.
const AT_ONCE: usize = 4;
/// Responses on one connection.
const ROUND: usize = 8;

/// How all rounds went.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) by_lane: u64,
    pub(super) all: u64,
    pub(super) why: [u64; reason::KINDS as usize],
}

/// What one connection goes through, all of it out of one number.
struct Case {
    response: Vec<u8>,
    cuts: Vec<usize>,
    pause: Duration,
    /// How many pieces are handed to the system at once.
    together: usize,
}

impl Case {
    fn draw(rng: &mut Rng) -> Self {
        let response = match rng.u8(0..6) {
            0 => Self::chunks(rng, 300, 20),
            1 => Self::chunks(rng, 20, 400),
            2 => Self::chunks(rng, 70_000, 6),
            3 => Self::chunks(rng, 3, 3_000),
            4 => of_length(rng.usize(0..300_000)),
            _ => of_length(rng.usize(0..40)),
        };
        let count = *rng.choice(&[0, 1, 3, 20, 100]).expect("some");
        let cuts = (0..count).map(|_| rng.usize(0..response.len())).collect();
        let pause = Duration::from_micros(*rng.choice(&[0, 0, 20, 200]).expect("some"));
        Self { response, cuts, pause, together: *rng.choice(&[1, 1, 3]).expect("some") }
    }

    /// Bytes that look like framing wherever one stands.
    fn chunks(rng: &mut Rng, longest: usize, most: usize) -> Vec<u8> {
        let count = rng.usize(1..=most);
        let chunk = |rng: &mut Rng| {
            let (length, from) = (rng.usize(1..=longest), rng.usize(..));
            (0..length).map(|at| b"abc0\r\n0\r\n\r\n\n5f"[(at + from % 14) % 14]).collect::<Vec<u8>>()
        };
        let chunks: Vec<Vec<u8>> = (0..count).map(|_| chunk(rng)).collect();
        chunked(chunks.iter().map(Vec::as_slice))
    }

    fn send(&self, pod: &mut TcpStream) -> std::io::Result<()> {
        for pieces in cut(&self.response, &self.cuts).chunks(self.together) {
            let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let sent = pod.write_vectored(&slices)?;
            pod.write_all(&pieces.concat()[sent..])?;
            pause(self.pause);
        }
        Ok(())
    }
}

/// One connection with one number's cases.
fn round(laid: &Laid, seed: u64) -> Told {
    let mut rng = Rng::with_seed(seed);
    let cases: Vec<Case> = (0..ROUND).map(|_| Case::draw(&mut rng)).collect();
    let (mut pod, mut relay, mut client) = laid.exchange();
    if rng.bool() {
        // Small enough that the room check has its say.
        SockRef::from(&relay.client_side).set_send_buffer_size(rng.usize(16..256) * 1024).expect("open");
        SockRef::from(&client).set_recv_buffer_size(rng.usize(4..64) * 1024).expect("open");
    }
    let (next, wanted) = mpsc::channel::<usize>();
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for at in wanted {
                if cases[at].send(&mut pod).is_err() {
                    return;
                }
            }
        });
        scope.spawn(|| {
            for (at, case) in cases.iter().enumerate() {
                let mut got = vec![0; case.response.len()];
                let came = client.read_exact(&mut got);
                if came.is_err() || got != case.response {
                    failed.store(true, Relaxed);
                    let same = got.iter().zip(&case.response).take_while(|(a, b)| a == b).count();
                    panic!("seed {seed}, response {at}: {came:?}, differs at {same} of {}", got.len());
                }
            }
        });
        let mut all = Told::default();
        for at in 0..cases.len() {
            next.send(at).expect("the pod lives");
            let told = relay.response().unwrap_or_else(|error| panic!("seed {seed}, response {at}: {error}"));
            all.by_lane += told.by_lane;
            all.by_copy += told.by_copy;
            all.reasons.extend(told.reasons);
            if failed.load(Relaxed) {
                break;
            }
        }
        drop(next);
        all
    })
}

/// Tries one number after the other. Both the first of them, and for how long, may be given.
pub(super) fn try_numbers(laid: &Laid) -> Totals {
    let first = given("WARMLANE_LANE_SEED", 1);
    let budget = Duration::from_secs(given("WARMLANE_LANE_SECONDS", BUDGET));
    let (began, next, totals) = (Instant::now(), AtomicU64::new(first), Mutex::new(Totals::default()));
    let worker = || {
        while began.elapsed() < budget {
            let told = round(laid, next.fetch_add(1, Relaxed));
            let mut totals = totals.lock().expect("no round panics with it");
            totals.by_lane += told.by_lane;
            totals.all += told.by_lane + told.by_copy;
            told.reasons.iter().for_each(|reason| totals.why[*reason as usize] += 1);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().for_each(|worker| worker.join().expect("every response is as it was sent"));
    });
    let totals = totals.into_inner().expect("no round panics with it");
    let responses = (next.into_inner() - first) * ROUND as u64;
    let Totals { by_lane, all, why } = &totals;
    println!("{responses} responses, {by_lane} of {all} bytes by the lane, left for {why:?}");
    assert_eq!(why[reason::FRAMING as usize] + why[reason::DESYNC as usize], 0, "{why:?}");
    totals
}

#[test]
fn whatever_a_pod_sends_comes_as_it_was_sent() {
    let Totals { by_lane, all, why } = try_numbers(&lane());
    assert!(by_lane * 5 > all, "{by_lane} of {all} bytes took the lane");
    // A small machine is short of memory before.
    let full = why[reason::ROOM as usize] + why[reason::MEMORY as usize];
    assert!(why[reason::END as usize] > 0 && full > 0, "{why:?}");
}
