//! Tells threads to end, and wakes those that sleep.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Not set at first; never unset.
#[derive(Debug, Default)]
pub(in crate::gpu) struct Stop {
    set: Mutex<bool>,
    changed: Condvar,
}

// === Stop ===

impl Stop {
    pub(in crate::gpu) fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(in crate::gpu) fn is_set(&self) -> bool {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for so long, or until it is set.
    pub(in crate::gpu) fn wait(&self, time: Duration) {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        // A poisoned lock ends the sleep early, and the next look at it goes on as usual.
        let _ = self.changed.wait_timeout_while(set, time, |set| !*set);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread, time::Instant};

    use super::*;

    #[test]
    fn it_wakes_who_sleeps() {
        let stop = Arc::new(Stop::default());
        let sleeper = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let slept = Instant::now();
                stop.wait(Duration::from_secs(60));
                slept.elapsed()
            })
        };
        stop.set();
        assert!(sleeper.join().expect("no panic") < Duration::from_secs(30));
        assert!(stop.is_set());
    }
}
