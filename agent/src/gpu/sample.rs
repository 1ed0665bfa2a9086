//! What is read of a card or of a MIG slice. Pure values.
//!
//! Everything but the index is optional: cards and drivers differ in what they tell, and one question that fails
//! takes nothing from the others.

use std::{fmt, sync::Arc};

/// One reading of a card or of a MIG slice.
///
/// Of a slice only name, UUID and memory are its own; NVML tells the rest per card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// NVML's number of the card; a slice has its card's.
    pub index: u32,
    /// A slice's place on its card; `None` for a card.
    pub slice: Option<u32>,
    /// `GPU-…`, or `MIG-…` for a slice.
    pub uuid: Option<Arc<str>>,
    /// UUID of a slice's card.
    pub parent: Option<Arc<str>>,
    /// Product name.
    pub name: Option<Arc<str>>,
    /// Memory in bytes.
    pub memory: Option<Memory>,
    /// How busy.
    pub utilisation: Option<Utilisation>,
    /// °C.
    pub temperature: Option<u32>,
    /// °C at which the hardware slows itself down.
    pub slowdown_at: Option<u32>,
    /// Milliwatts.
    pub power: Option<u32>,
    /// Milliwatts that the card may draw.
    pub power_limit: Option<u32>,
    /// Millijoules since the driver was loaded: what falls has been reset.
    pub energy: Option<u64>,
    /// Clocks.
    pub clocks: Clocks,
    /// Why clocks are held back.
    pub throttle: Option<Throttle>,
    /// Memory errors.
    pub ecc: Ecc,
    /// Rows of memory replaced by spare ones.
    pub remap: Remap,
    /// The bus.
    pub pcie: Pcie,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All there is.
    pub total: u64,
    /// Taken.
    pub used: u64,
}

/// Percent of the last sampling period (1 s or less) in which a unit was busy: says busy, not how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utilisation {
    /// A kernel ran.
    pub gpu: u32,
    /// Memory was read or written.
    pub memory: u32,
}

/// MHz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Of the multiprocessors.
    pub sm: Option<u32>,
    /// Of the memory.
    pub memory: Option<u32>,
}

/// Memory errors since the driver was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ecc {
    /// Put right by the hardware.
    pub corrected: Option<u64>,
    /// Data was lost.
    pub uncorrected: Option<u64>,
}

/// Row remapping, of Ampere and newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remap {
    /// Rows replaced after correctable errors.
    pub correctable: Option<u64>,
    /// Rows replaced after uncorrectable errors.
    pub uncorrectable: Option<u64>,
    /// A replacement waits for the next reset. No fault: the bad row is out of use already.
    pub pending: Option<bool>,
    /// A row could not be replaced: the spare ones are used up.
    pub failed: Option<bool>,
}

/// The link to the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pcie {
    /// Generation it runs at now; idle cards lower it.
    pub generation: Option<u32>,
    /// Lanes in use.
    pub width: Option<u32>,
    /// Packets sent again.
    pub replays: Option<u32>,
}

/// NVML's bits for why clocks are held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle(pub u64);

/// The hardware halves its clocks, or worse, to protect itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slowdown {
    /// The power supply asked for it.
    PowerBrake,
    /// Too hot.
    Thermal,
    /// The card does not say which.
    Unnamed,
}

// === Throttle ===

impl Throttle {
    // Values of `nvmlClocksThrottleReason*` in nvml.h.
    const HW_SLOWDOWN: u64 = 0x8;
    const HW_THERMAL: u64 = 0x40;
    const HW_POWER_BRAKE: u64 = 0x80;

    /// What the hardware protects itself from. Every other reason (idle 0x1, software power cap 0x4, set clocks,
    /// sync boost) is a card that works as it was told to.
    pub fn slowdown(self) -> Option<Slowdown> {
        let has = |bit| self.0 & bit != 0;
        if has(Self::HW_POWER_BRAKE) {
            Some(Slowdown::PowerBrake)
        } else if has(Self::HW_THERMAL) {
            Some(Slowdown::Thermal)
        } else {
            has(Self::HW_SLOWDOWN).then_some(Slowdown::Unnamed)
        }
    }
}

// === Slowdown ===

impl fmt::Display for Slowdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerBrake => "the power supply holds it back",
            Self::Thermal => "it is too hot",
            Self::Unnamed => "its hardware holds it back",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hardwares_own_slowdowns_count() {
        for (bits, slowdown) in [
            (0x0, None),
            (0x1, None),
            (0x4, None),
            (0x1 | 0x2 | 0x4 | 0x10 | 0x20 | 0x100, None),
            (0x8, Some(Slowdown::Unnamed)),
            (0x8 | 0x40, Some(Slowdown::Thermal)),
            (0x8 | 0x40 | 0x80, Some(Slowdown::PowerBrake)),
            (0x4 | 0x80, Some(Slowdown::PowerBrake)),
        ] {
            assert_eq!(Throttle(bits).slowdown(), slowdown, "{bits:#x}");
        }
    }
}
