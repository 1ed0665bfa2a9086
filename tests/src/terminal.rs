//! A terminal: a pseudo-terminal with a program on it, and an emulator that keeps what the program has drawn.
//!
//! The program leads a session of its own, and this is its terminal, as in a window of its own: keys, sizes and signals come by it.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    num::NonZeroU16,
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use anyhow::Context as _;
use rustix::{
    fs::{Mode, OFlags, open},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::eventually;

/// Columns and lines.
pub type Size = (u16, u16);

/// See the module's header. Dropped, its program is killed.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    ours: File,
    drawn: Arc<Mutex<Drawn>>,
    reader: Option<JoinHandle<()>>,
}

/// What came of the program.
struct Drawn {
    emulator: vt100::Parser,
    sent: Vec<u8>,
}

/// A program that has ended, and what it left.
#[derive(Debug)]
pub struct Left {
    /// Of a program that ended by itself.
    pub code: Option<i32>,
    /// What ended it otherwise.
    pub signal: Option<i32>,
    /// All that it sent.
    pub sent: String,
    /// Lines of the screen.
    pub lines: Vec<String>,
    /// The screen of lines is shown, with a cursor, as it was before.
    pub as_before: bool,
}

// === Terminal ===

impl Terminal {
    /// Starts a program on one of this size; `prepare` adds words and environment. It needs `setsid` of util-linux.
    ///
    /// # Errors
    /// When there is no terminal or no such program.
    pub fn start(program: &Path, size: Size, prepare: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours).and_then(|()| unlockpt(&ours))?;
        let name = ptsname(&ours, Vec::new())?;
        let theirs = open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        tcsetwinsize(&theirs, winsize(size))?;
        let mut command = Command::new("/usr/bin/setsid");
        command.arg("--ctty").arg(program);
        prepare(&mut command);
        command.stdin(Stdio::from(theirs.try_clone()?)).stdout(Stdio::from(theirs.try_clone()?));
        let child =
            command.stderr(Stdio::from(theirs)).spawn().context("cannot start setsid of util-linux")?;
        // The command still holds the other side, and would keep it open.
        drop(command);
        let emulator = vt100::Parser::new(cells(size.1), cells(size.0), 0);
        let drawn = Arc::new(Mutex::new(Drawn { emulator, sent: Vec::new() }));
        let reader = thread::spawn({
            let (ours, drawn) = (ours.try_clone()?, drawn.clone());
            move || read(ours, &drawn)
        });
        Ok(Self { child, ours: File::from(ours), drawn, reader: Some(reader) })
    }

    /// The program's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types this.
    ///
    /// # Panics
    /// When the terminal takes nothing.
    pub fn press(&self, keys: &str) {
        (&self.ours).write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// When that is refused.
    pub fn resize(&self, size: Size) {
        self.with(|drawn| drawn.emulator.set_size(cells(size.1), cells(size.0)));
        tcsetwinsize(&self.ours, winsize(size)).expect("its size");
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// What is seen, a line each, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        self.with(|drawn| lines(&drawn.emulator))
    }

    /// All that was sent.
    pub fn sent(&self) -> String {
        self.with(|drawn| String::from_utf8_lossy(&drawn.sent).into_owned())
    }

    /// Waits until this is seen; the lines that are seen then.
    ///
    /// # Panics
    /// When it is not.
    pub fn shows(&self, text: &str) -> Vec<String> {
        self.until(text, |lines| lines.iter().any(|line| line.contains(text)))
    }

    /// Waits until it looks like this; the lines that are seen then.
    ///
    /// # Panics
    /// With what is seen instead.
    pub fn until(&self, what: &str, looks: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut seen = Vec::new();
        let wait = || {
            eventually(what, || {
                seen = self.lines();
                looks(&seen)
            });
        };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(wait)).is_err() {
            panic!("not seen: {what}; seen is\n{}", seen.join("\n"));
        }
        seen
    }

    /// It shows the screen that programs draw on, rather than the one of lines.
    pub fn is_drawn_on(&self) -> bool {
        self.with(|drawn| drawn.emulator.screen().alternate_screen())
    }

    /// How the screen looks, by cell.
    pub fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        self.with(|drawn| look(drawn.emulator.screen()))
    }

    /// Waits until the program ends.
    ///
    /// # Panics
    /// When it does not.
    pub fn left(mut self) -> Left {
        let mut status: Option<ExitStatus> = None;
        let child = &mut self.child;
        eventually("the program ends", || {
            status = child.try_wait().expect("its state");
            status.is_some()
        });
        let status = status.expect("it has ended");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("what it drew was read");
        }
        self.with(|drawn| {
            let screen = drawn.emulator.screen();
            Left {
                code: status.code(),
                signal: status.signal(),
                sent: String::from_utf8_lossy(&drawn.sent).into_owned(),
                lines: lines(&drawn.emulator),
                as_before: !screen.alternate_screen() && !screen.hide_cursor(),
            }
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Drawn) -> T) -> T {
        look(&mut self.drawn.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Fails where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// To the end, which a pseudo-terminal tells by an error.
fn read(ours: OwnedFd, drawn: &Mutex<Drawn>) {
    let (mut ours, mut part) = (File::from(ours), [0; 4_096]);
    while let Ok(count @ 1..) = ours.read(&mut part) {
        let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.emulator.process(&part[..count]);
        drawn.sent.extend_from_slice(&part[..count]);
    }
}

fn lines(emulator: &vt100::Parser) -> Vec<String> {
    let columns = emulator.screen().size().1;
    emulator.screen().rows(0, columns.get()).map(|line| line.trim_end().to_owned()).collect()
}

fn winsize((columns, lines): Size) -> Winsize {
    Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN)
}

// === Drawn ===

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(lines(&self.emulator)).finish()
    }
}
