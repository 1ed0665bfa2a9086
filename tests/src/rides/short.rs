//! Streams of few tokens: what it costs to order the lane for one and to take it back, and from which length on that is
//! worth it. The request allows many tokens, so that the router cannot know.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, task::JoinSet, time::sleep};

use super::{
    Args,
    figures::{Clients, Figures, Side, What},
    pod::{Place, Pod},
    router::{Kind, Router},
    window::{Window, watch},
};
use crate::proxy::{
    measure::progress,
    stream::{self, Pace, Tally},
};

/// Tokens of a response.
pub(super) const TOKENS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Between two tokens, and between the last one and the next request.
const BEAT: Duration = Duration::from_millis(20);
/// Clients at once, each with one request at a time.
const CLIENTS: usize = 100;
/// What the request allows: more than any limit below which a router copies.
const ALLOWED: usize = 1_000;
const WINDOW: Duration = Duration::from_millis(1_500);

/// Every length, over connections that are kept and over new ones.
pub(super) async fn all(args: &Args, figures: &mut Figures) -> anyhow::Result<()> {
    let rounds = args.rounds.div_ceil(2);
    let bar = progress("short streams", rounds as usize * Clients::ALL.len() * TOKENS.len());
    let pod = Pod::start(Place::Loopback)?;
    let mut kinds = Kind::OURS;
    for _ in 0..rounds {
        kinds.rotate_left(1);
        for clients in Clients::ALL {
            for tokens in TOKENS {
                for kind in kinds {
                    bar.set_message(format!("{tokens} tokens, {clients}, {kind}"));
                    let router = Router::start(kind, args, pod.address).await?;
                    let (window, responses) = window(&router, &pod, tokens, clients).await?;
                    let mut add = |side, value| figures.add(What::Short(clients, tokens, side), kind, value);
                    add(Side::All, window.spent.all() / responses * 1e6);
                    add(Side::Router, window.spent.router / responses * 1e6);
                    add(Side::WakeUps, window.spent.wake_ups / responses);
                    if kind == Kind::Lane {
                        add(Side::Share, window.share * 100.0);
                    }
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// The window, and how many responses came in it: their parts at its edges too.
async fn window(
    router: &Router,
    pod: &Pod,
    tokens: usize,
    clients: Clients,
) -> anyhow::Result<(Window, f64)> {
    let pace = Pace { tokens, beat: BEAT, size: 250 };
    let (tally, address) = (Rc::<Tally>::default(), router.address);
    let counted = tally.clone();
    let load = async move {
        let mut running = JoinSet::new();
        for number in 0..CLIENTS {
            let counted = counted.clone();
            // Spread over one turn.
            let begin = turn(tokens) * number as u32 / CLIENTS as u32;
            running.spawn_local(async move {
                sleep(begin).await;
                ask(address, pace, clients, &counted).await
            });
        }
        while let Some(client) = running.join_next().await {
            client??;
        }
        Ok(())
    };
    let warm = turn(tokens) + Duration::from_millis(300);
    let window = watch((router, pod), &tally, load, (warm, WINDOW)).await?;
    let responses = window.tokens as f64 / tokens as f64;
    Ok((window, responses))
}

/// From one request to the next.
fn turn(tokens: usize) -> Duration {
    BEAT * (tokens as u32 + 1)
}

/// One request after the other.
async fn ask(
    address: std::net::SocketAddr,
    pace: Pace,
    clients: Clients,
    tally: &Tally,
) -> anyhow::Result<()> {
    let request = pace.request(ALLOWED);
    let connect = async || {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        anyhow::Ok(stream)
    };
    let mut stream = connect().await?;
    loop {
        let began = Instant::now();
        stream::read(&mut stream, pace, &request, tally).await?;
        sleep(turn(pace.tokens).saturating_sub(began.elapsed())).await;
        if clients == Clients::New {
            stream = connect().await?;
        }
    }
}
