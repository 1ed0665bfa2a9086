//! Keys as `top` knows them, and what is left to do when one was pressed.

/// A key, whatever terminal it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A letter or a sign.
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-L.
    Redraw,
    /// The terminal has another size.
    Resized,
}

/// What only the terminal's owner can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Draw what there is now.
    Nothing,
    /// Draw all of it anew.
    Redraw,
    /// Give the terminal back and stop until the shell says to go on.
    Suspend,
    /// Give the terminal back.
    End,
}
