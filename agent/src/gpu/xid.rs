//! What the driver's XID codes say of the card. A table; how long a code is held against it is [`super::health`]'s.
//!
//! Codes and actions are NVIDIA's (<https://docs.nvidia.com/deploy/xid-errors/>), sorted as agents in the field sort
//! them. 43, 45 and 68 are the application's as well: NVIDIA's Kubernetes device plugin leaves a card in service after
//! them (`internal/rm/health.go`). The plugin spares 109 too; here it is not spared, since the catalogue asks for a reset.

use std::fmt;

/// What a code says of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It must be reset, or the node rebooted.
    Reset,
    /// Data was lost in its memory.
    DoubleBitEcc,
    /// A link between cards failed; the card itself computes.
    Link,
    /// It fell off the bus.
    OffBus,
    /// A program did wrong; the card is fine.
    Application,
    /// Says nothing of the card.
    Ignored,
    /// Not in the table.
    Unknown,
}

// === Class ===

impl Class {
    /// The class of a code.
    pub fn of(code: u64) -> Self {
        match code {
            46 | 62 | 64 | 95 | 109 | 110 | 119 | 120 | 136 | 140 | 143 | 155 | 156 | 158 => Self::Reset,
            48 => Self::DoubleBitEcc,
            74 | 144..=150 => Self::Link,
            79 => Self::OffBus,
            8 | 11 | 13 | 25 | 31 | 32 | 39 | 40 | 43 | 45 | 68 | 94 => Self::Application,
            37 | 38 => Self::Ignored,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "it must be reset",
            Self::DoubleBitEcc => "a double-bit memory error",
            Self::Link => "a link between cards failed",
            Self::OffBus => "it fell off the bus",
            Self::Application => "a program's own fault",
            Self::Ignored => "no fault of the card",
            Self::Unknown => "not in the table",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        let table: [(Class, &[u64]); 6] = [
            (Class::Reset, &[46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158]),
            (Class::DoubleBitEcc, &[48]),
            (Class::Link, &[74, 144, 145, 146, 147, 148, 149, 150]),
            (Class::OffBus, &[79]),
            (Class::Application, &[8, 11, 13, 25, 31, 32, 39, 40, 43, 45, 68, 94]),
            (Class::Ignored, &[37, 38]),
        ];
        for code in 0..1_000 {
            let listed = table.iter().find(|(_, codes)| codes.contains(&code));
            assert_eq!(Class::of(code), listed.map_or(Class::Unknown, |(class, _)| *class), "{code}");
        }
        assert_eq!(Class::of(u64::MAX), Class::Unknown);
    }
}
