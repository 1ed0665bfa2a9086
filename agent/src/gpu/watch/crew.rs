//! The threads that call NVML. Each may hang, so nobody waits for them: they write letters to the desk.

use std::{
    io,
    sync::{Arc, mpsc::Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Stop, cards::Who, desk::Message};
use crate::gpu::nvml::{self, Library, LibrarySource, Reader};

/// Opens the library.
pub(super) fn open(source: LibrarySource, inbox: Sender<Message>) -> io::Result<JoinHandle<()>> {
    spawn("gpu-open".to_owned(), move || {
        let opened = Library::open(&source).map(Arc::new);
        // Fails only where the desk has stopped, and then nobody needs it.
        let _ = inbox.send(Message::Opened(opened));
    })
}

/// Reads one card until it is stopped.
pub(super) fn read(
    library: Arc<Library>,
    index: u32,
    every: Duration,
    stop: Arc<Stop>,
    inbox: Sender<Message>,
) -> io::Result<JoinHandle<()>> {
    spawn(format!("gpu-{index}"), move || {
        let mut reader = Reader::new(index);
        while !stop.is_set() {
            let asked = inbox.send(Message::Asked(Who { index, uuid: reader.uuid() }));
            let outcome = reader.read(&library);
            let who = Who { index, uuid: reader.uuid() };
            let answered = inbox.send(Message::Answered { who, outcome, at: Instant::now() });
            if asked.and(answered).is_err() {
                return;
            }
            stop.wait(every);
        }
    })
}

/// Passes XID events on until it is stopped.
pub(super) fn listen(
    library: Arc<Library>,
    stop: Arc<Stop>,
    inbox: Sender<Message>,
) -> io::Result<JoinHandle<()>> {
    spawn("gpu-events".to_owned(), move || {
        nvml::listen(&library, &stop, |xid| {
            // Fails only where the desk has stopped, and it stops this thread first.
            let _ = inbox.send(Message::Xid(xid));
        });
    })
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name).spawn(work)
}
