//! A thread with a runtime of its own, which ends when its owner lets it go.

use std::{
    future::Future,
    io,
    thread::{self, JoinHandle},
};

use tokio::{runtime::Runtime, sync::oneshot};

/// Told, by being dropped, that the work is to end.
pub type Stopped = oneshot::Receiver<()>;

/// See the module's header. Dropping it stops the thread and waits for it.
#[derive(Debug)]
pub struct OwnThread {
    name: &'static str,
    /// Dropped to stop the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

// === OwnThread ===

impl OwnThread {
    /// Does this work, which ends when it is told to.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start<W: Future<Output = ()>>(
        name: &'static str,
        runtime: Runtime,
        work: impl FnOnce(Stopped) -> W + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(work(stopped));
            // Name lookups run on threads that cannot be stopped: they must not hold the process back.
            runtime.shutdown_background();
        })?;
        Ok(Self { name, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the {} thread panicked", self.name);
        }
    }
}
