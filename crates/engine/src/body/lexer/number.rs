//! The number grammar of RFC 8259, a byte at a time.

/// What of a number has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// Nothing.
    Start,
    /// The sign.
    Minus,
    /// A leading zero, after which no digit may come.
    Zero,
    /// The whole part.
    Digits,
    /// The decimal point.
    Point,
    /// Digits after the point.
    Fraction,
    /// The `e`.
    Exponent,
    /// The sign of the exponent.
    ExponentSign,
    /// Digits of the exponent.
    ExponentDigits,
}

impl Number {
    /// The state after one more byte, or `None` if the byte is not part of the number.
    #[inline]
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Digits, b'0'..=b'9') => Self::Digits,
            (Self::Start, b'-') => Self::Minus,
            (Self::Start | Self::Minus, b'0') => Self::Zero,
            (Self::Start | Self::Minus, b'1'..=b'9') => Self::Digits,
            (Self::Zero | Self::Digits, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Digits | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    /// Whether the number may end here.
    pub(super) fn is_whole(self) -> bool {
        match self {
            Self::Zero | Self::Digits | Self::Fraction | Self::ExponentDigits => true,
            Self::Start | Self::Minus | Self::Point | Self::Exponent | Self::ExponentSign => false,
        }
    }
}
