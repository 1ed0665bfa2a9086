//! Streams as fast as they are taken: what the lane costs where there is no time between two tokens.

use std::{rc::Rc, time::Duration};

use super::{
    Args,
    figures::{Figures, Side, What},
    pod::{Place, Pod},
    router::{Kind, Router},
    window::watch,
};
use crate::proxy::{
    measure::progress,
    stream::{self, Pace, Tally},
};

/// Bytes of an event.
pub(super) const SIZES: [usize; 3] = [250, 4 << 10, 64 << 10];
/// Streams at once.
const STREAMS: usize = 16;
const TIMES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(1_500));

/// Every size.
pub(super) async fn all(args: &Args, figures: &mut Figures) -> anyhow::Result<()> {
    let bar = progress("bulk", args.rounds as usize * SIZES.len());
    let pod = Pod::start(Place::Loopback)?;
    let mut kinds = Kind::OURS;
    for _ in 0..args.rounds {
        kinds.rotate_left(1);
        for size in SIZES {
            for kind in kinds {
                bar.set_message(format!("{size} bytes, {kind}"));
                let router = Router::start(kind, args, pod.address).await?;
                let pace = Pace { tokens: usize::MAX, beat: Duration::ZERO, size };
                let tally = Rc::<Tally>::default();
                let (address, counted) = (router.address, tally.clone());
                let load = async move { stream::run(address, pace, STREAMS, &counted).await };
                let window = watch((&router, &pod), &tally, load, TIMES).await?;
                let mut add = |side, value| figures.add(What::Bulk(size, side), kind, value);
                let tokens = window.tokens as f64;
                add(Side::All, window.spent.all() / tokens * 1e6);
                add(Side::Router, window.spent.router / tokens * 1e6);
                add(Side::Rate, tokens / TIMES.1.as_secs_f64());
                if kind == Kind::Lane {
                    add(Side::Share, window.share * 100.0);
                }
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(())
}
