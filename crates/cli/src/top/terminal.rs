//! The terminal while `top` has it: raw, on its alternate screen, without a cursor. It is given back whatever happens: at the
//! end, on an error, on a panic before its message, and while the shell has it.

use std::{
    io::{self, BufWriter, Stdout, Write as _, stdout},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crossterm::{
    cursor::{Hide, Show},
    event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    execute,
    style::force_color_output,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
use rustix::process::{Signal, kill_current_process_group};
use tokio::sync::mpsc;

use super::{key::Key, look::Look};

/// Of a terminal that does not say it.
const USUAL: (u16, u16) = (80, 24);
/// What a terminal says beyond it is not believed: a picture takes memory for each of its characters.
const LARGEST: (u16, u16) = (1_000, 500);
/// Keys that wait; a paste of more waits in the terminal.
const KEYS: usize = 256;
/// A picture is written at once.
const BUFFER: usize = 64 << 10;

/// Somebody has it, and must give it back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// See the module's header.
pub(super) struct Held {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    size: (u16, u16),
}

// === Held ===

impl Held {
    /// # Errors
    /// Where there is no terminal to take.
    pub(super) fn take(look: Look) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |panicked| {
                give_back();
                before(panicked);
            }));
        });
        // What was decided of the environment and the options counts, not what the library makes of the environment.
        force_color_output(look.color);
        take()?;
        let size = size();
        let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER, stdout()));
        let viewport = Viewport::Fixed(Rect::new(0, 0, size.0, size.1));
        match Terminal::with_options(backend, TerminalOptions { viewport }) {
            Ok(terminal) => Ok(Self { terminal, size }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Draws what differs from what is there.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let size = size();
        if size != self.size {
            self.terminal.resize(Rect::new(0, 0, size.0, size.1))?;
            self.size = size;
        }
        self.terminal.draw(picture)?;
        Ok(())
    }

    /// Forgets what is there, so that all is drawn. Not by the library's `clear`, which asks the terminal where its cursor is and
    /// would wait for an answer that the reader of keys takes.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.terminal.resize(Rect::new(0, 0, self.size.0, self.size.1))
    }

    /// Takes it again, after somebody else may have had it.
    pub(super) fn retake(&mut self) -> io::Result<()> {
        give_back();
        take()?;
        self.forget()
    }

    /// Leaves it to the shell, until that lets us go on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // As the terminal itself would: all that the shell has started together.
        kill_current_process_group(Signal::TSTP)?;
        self.retake()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    // Where it does not take that, it is not to stay raw.
    execute!(stdout(), EnterAlternateScreen, Hide).inspect_err(|_| give_back())
}

fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // A terminal that is gone needs nothing back.
        let _ = execute!(stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
        let _ = stdout().flush();
    }
}

/// Columns and lines.
fn size() -> (u16, u16) {
    let told = terminal_size::terminal_size_of(stdout()).map(|(columns, lines)| (columns.0, lines.0));
    let some = |told: u16, usual: u16, largest: u16| if told == 0 { usual } else { told.min(largest) };
    let (columns, lines) = told.unwrap_or_default();
    (some(columns, USUAL.0, LARGEST.0), some(lines, USUAL.1, LARGEST.1))
}

/// Keys as they are pressed, read by a thread that ends with the process.
pub(super) fn keys() -> mpsc::Receiver<Key> {
    let (to, keys) = mpsc::channel(KEYS);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if key(&event).is_some_and(|key| to.blocking_send(key).is_err()) {
                return;
            }
        }
    });
    keys
}

fn key(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Resized),
        Event::Key(KeyEvent { kind: KeyEventKind::Release, .. }) => None,
        Event::Key(KeyEvent { code: KeyCode::Char(c), modifiers, .. })
            if modifiers.contains(KeyModifiers::CONTROL) =>
        {
            match c {
                'c' => Some(Key::Interrupt),
                'z' => Some(Key::Suspend),
                'l' => Some(Key::Redraw),
                _ => None,
            }
        }
        Event::Key(KeyEvent { modifiers, .. }) if modifiers.contains(KeyModifiers::ALT) => None,
        Event::Key(KeyEvent { code, .. }) => match code {
            KeyCode::Char(c) => Some(Key::Char(*c)),
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Esc => Some(Key::Escape),
            KeyCode::Backspace => Some(Key::Backspace),
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            KeyCode::Left => Some(Key::Left),
            KeyCode::Right => Some(Key::Right),
            KeyCode::PageUp => Some(Key::PageUp),
            KeyCode::PageDown => Some(Key::PageDown),
            KeyCode::Home => Some(Key::Home),
            KeyCode::End => Some(Key::End),
            _ => None,
        },
        _ => None,
    }
}
