//! Signals that end the program, caught where something would stay behind: kubectl, which has a group of its own.

use std::{future::poll_fn, io, task::Poll};

use tokio::{
    select,
    signal::unix::{SignalKind, signal},
};

/// What is done, or the signal that came before it was. `interrupt`: Ctrl-C is one of them, and is no business of `done`'s.
pub(crate) async fn unless_told<T>(
    done: impl Future<Output = T>,
    interrupt: bool,
) -> io::Result<Result<T, i32>> {
    let mut kinds = vec![SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
    kinds.extend(interrupt.then(SignalKind::interrupt));
    let mut signals = Vec::new();
    for kind in kinds {
        signals.push((kind.as_raw_value(), signal(kind)?));
    }
    let told = poll_fn(|context| {
        let mut all = signals.iter_mut();
        let came = all.find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
        came.map_or(Poll::Pending, Poll::Ready)
    });
    select! {
        done = done => Ok(Ok(done)),
        number = told => Ok(Err(number)),
    }
}
