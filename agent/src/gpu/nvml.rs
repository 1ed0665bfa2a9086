//! The NVIDIA Management Library: opening it. Reading a card and waiting for events stand below.
//!
//! The library belongs to the driver, so it is loaded at run time and may be missing. All calls block, and any of them
//! may hang for as long as the driver does: none of this may be called from a thread that others wait for.

use std::path::PathBuf;

use nvml_wrapper::{Nvml, error::NvmlError};

mod events;
mod reader;

pub(super) use events::{Xid, listen};
pub(super) use reader::{Outcome, Reader, Reading};

/// Where the library is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LibrarySource {
    /// Where the system's loader finds `libnvidia-ml.so.1`.
    #[default]
    Default,
    /// This file.
    Path(PathBuf),
    /// Nowhere: the cards are not read.
    None,
}

/// Why there are no readings at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unavailable {
    #[error("switched off")]
    Off,
    #[error(
        "the NVIDIA library cannot be loaded: no driver on this node, or not mounted into this container ({0})"
    )]
    Library(NvmlError),
    #[error("the NVIDIA driver is not loaded")]
    Driver,
    #[error(
        "the NVIDIA library and the loaded driver are of different versions: reload the driver or reboot"
    )]
    Version,
    #[error("the NVIDIA library does not start: {0}")]
    Start(NvmlError),
    #[error("the NVIDIA driver shows no card to this process")]
    NoCards,
    #[error("no thread can be started: {0}")]
    Thread(std::io::Error),
}

/// The library, open and started. Closes with the last thread that uses it.
#[derive(Debug)]
pub(super) struct Library {
    nvml: Nvml,
    cards: u32,
    driver: String,
}

// === Unavailable ===

impl From<NvmlError> for Unavailable {
    fn from(error: NvmlError) -> Self {
        match error {
            NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => Self::Library(error),
            NvmlError::DriverNotLoaded => Self::Driver,
            NvmlError::LibRmVersionMismatch => Self::Version,
            _ => Self::Start(error),
        }
    }
}

// === Library ===

impl Library {
    pub(super) fn open(source: &LibrarySource) -> Result<Self, Unavailable> {
        let nvml = match source {
            LibrarySource::Default => Nvml::init()?,
            LibrarySource::Path(path) => Nvml::builder().lib_path(path.as_os_str()).init()?,
            LibrarySource::None => return Err(Unavailable::Off),
        };
        let cards = nvml.device_count()?;
        if cards == 0 {
            return Err(Unavailable::NoCards);
        }
        let driver = nvml.sys_driver_version().unwrap_or_else(|_| "unknown".to_owned());
        Ok(Self { nvml, cards, driver })
    }

    /// How many cards this process may see.
    pub(super) fn cards(&self) -> u32 {
        self.cards
    }

    /// The driver's version, as read when the library was opened.
    pub(super) fn driver(&self) -> &str {
        &self.driver
    }
}
