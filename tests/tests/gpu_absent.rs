//! A node without NVML. In a process of its own: the log is the process's.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use warmlane_agent::gpu::{LibrarySource, Settings, Watch};

/// The log, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while logging").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("no panic while logging");
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

#[test]
fn without_a_library_the_list_is_empty_and_one_line_says_why() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let watch = |library| {
        let settings = Settings { library, retry: Duration::from_millis(10), ..Settings::default() };
        let watch = Watch::start(settings).expect("a thread");
        // Time for several tries: the second and the third say nothing new.
        std::thread::sleep(Duration::from_millis(2_500));
        assert!(watch.gpus().borrow().is_empty());
        assert!(watch.gpus().has_changed().is_ok(), "waiting for a change does not end at once");
    };
    watch(LibrarySource::Path(PathBuf::from("no/such/libnvidia-ml.so.1")));
    watch(LibrarySource::None);
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    // One that was named should have been there.
    let told = [
        (" WARN ", "no/such/libnvidia-ml.so.1: the NVIDIA library cannot be loaded: no driver"),
        (" INFO ", "switched off"),
    ];
    for (line, (level, reason)) in lines.iter().zip(told) {
        assert!(line.contains(level) && line.contains("no GPU readings"), "{line}");
        assert!(line.contains(reason) && line.contains("Load signals still work"), "{line}");
    }
}
