//! Streams at the pace of a model: what a token costs, and how long it takes.

use std::{rc::Rc, time::Duration};

use super::{
    Args,
    figures::{Figures, Side, What},
    pod::{Place, Pod},
    router::{Kind, Router},
    window::{Window, watch},
};
use crate::proxy::{
    figures::percentile,
    measure::progress,
    stream::{self, Pace, Tally},
};

/// 50 tokens a second of 250 bytes, and no end before they are broken off.
const PACE: Pace = Pace { tokens: 1_000_000, beat: Duration::from_millis(20), size: 250 };
/// All streams have begun after it, and the router has looked for what it does seldom.
const WARM: Duration = Duration::from_millis(1_000);
const WINDOW: Duration = Duration::from_secs(3);
/// Enough for the lane to be asked for.
const FEW: Pace = Pace { tokens: 16, ..PACE };
/// Streams at once.
pub(super) const STREAMS: [usize; 2] = [200, 500];

/// Every place and number of streams.
pub(super) async fn all(args: &Args, figures: &mut Figures) -> anyhow::Result<()> {
    let bar = progress("paced streams", args.rounds as usize * Place::ALL.len() * STREAMS.len());
    for place in Place::ALL {
        for streams in STREAMS {
            let pod = Pod::start(place)?;
            // Once and there: what the copy is held against, in its own bench, is nginx at 200 streams.
            let with_nginx = args.nginx.is_some() && place == Place::Loopback && streams == STREAMS[0];
            let mut kinds = Kind::ALL.to_vec();
            kinds.retain(|kind| *kind != Kind::Nginx || with_nginx);
            for _ in 0..args.rounds {
                // Nobody always follows the same neighbour.
                kinds.rotate_left(1);
                for &kind in &kinds {
                    bar.set_message(format!("{place}, {streams} streams, {kind}"));
                    let router = Router::start_for(kind, args, &pod).await?;
                    let window = window(&router, &pod, streams, WINDOW).await?;
                    add(figures, (place, streams), kind, &window);
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Loads one for a while, so that it can be profiled.
pub(super) async fn only(args: &Args, kind: Kind) -> anyhow::Result<()> {
    let pod = Pod::start(args.place)?;
    let router = Router::start_for(kind, args, &pod).await?;
    println!("{kind} is process {}, its pod thread {}", router.id(), pod.thread.as_raw_nonzero());
    let window = window(&router, &pod, args.streams, Duration::from_secs(args.seconds)).await?;
    let mut figures = Figures::default();
    add(&mut figures, (args.place, args.streams), kind, &window);
    print!("{}", figures.table_of_medians(&[kind]));
    Ok(())
}

async fn window(router: &Router, pod: &Pod, streams: usize, length: Duration) -> anyhow::Result<Window> {
    if pod.place == Place::Remote {
        // The first response shows the router where the pod is, and is copied.
        stream::run(router.address, FEW, 1, &Rc::default()).await?;
    }
    let tally = Rc::<Tally>::default();
    let (address, counted) = (router.address, tally.clone());
    let load = async move { stream::run(address, PACE, streams, &counted).await };
    let window = watch((router, pod), &tally, load, (WARM, length)).await?;
    window.must_have_ridden(router)?;
    Ok(window)
}

fn add(figures: &mut Figures, (place, streams): (Place, usize), kind: Kind, window: &Window) {
    let (spent, tokens) = (&window.spent, window.tokens as f64);
    let mut add = |side, value| figures.add(What::Paced(place, streams, side), kind, value);
    for (side, seconds) in [
        (Side::All, spent.all()),
        (Side::Router, spent.router),
        (Side::Pod, spent.pod),
        (Side::Clients, spent.clients),
        (Side::Kernel, spent.kernel),
    ] {
        add(side, seconds / tokens * 1e6);
    }
    add(Side::WakeUps, spent.wake_ups / tokens);
    for percent in [50, 99] {
        add(Side::Delay(percent), percentile(&window.delays, percent));
    }
    if kind == Kind::Lane {
        add(Side::Share, window.share * 100.0);
    }
}
