//! An end that is made anew when its files change.
//!
//! A handshake uses what is loaded when it begins; open connections keep what they began with. Files that cannot be used change
//! nothing: the last good ones stay in use.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use crate::TlsError;

/// What an end is made of, and how.
pub trait End: Send + Sync + 'static {
    /// What handshakes are made with.
    type Config: Send + Sync + 'static;
    /// What its files hold.
    type Read: Hash;

    /// Reads all files.
    ///
    /// # Errors
    /// When one cannot be read.
    fn read(&self) -> Result<Self::Read, TlsError>;

    /// Makes it of what was read.
    ///
    /// # Errors
    /// When what was read does not make one.
    fn config(&self, read: &Self::Read) -> Result<Self::Config, TlsError>;
}

/// See the module's header.
pub struct Kept<E: End> {
    end: E,
    config: ArcSwap<E::Config>,
    seen: Mutex<Seen>,
}

/// What the files were like at some moment: a hash of what they held, or of why they could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look(u64);

#[derive(Debug)]
struct Seen {
    /// What is in use, or has been complained about.
    told: Look,
    last: Look,
}

// === Kept ===

impl<E: End> Kept<E> {
    /// Loads the files for the first time.
    ///
    /// # Errors
    /// When they cannot be read or do not make an end.
    pub fn load(end: E) -> Result<Self, TlsError> {
        let read = end.read();
        let told = Look::of(&read);
        let config = ArcSwap::from_pointee(end.config(&read?)?);
        Ok(Self { end, config, seen: Mutex::new(Seen { told, last: told }) })
    }

    /// What is in use.
    pub fn current(&self) -> Arc<E::Config> {
        self.config.load_full()
    }

    /// What it is made of.
    pub fn end(&self) -> &E {
        &self.end
    }

    /// Uses the files if they are not as they were; `None` when they are, when their failure was told before, or when it
    /// has been seen only once: files change one after the other. Contents are compared, not times: mounted secrets change
    /// by renamed links. Blocks on the file system.
    pub fn reload(&self) -> Option<Result<(), TlsError>> {
        let read = self.end.read();
        let look = Look::of(&read);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if look == seen.told {
            return None;
        }
        let outcome = read.and_then(|read| self.end.config(&read));
        let before = std::mem::replace(&mut seen.last, look);
        if outcome.is_err() && before != look {
            return None;
        }
        seen.told = look;
        Some(outcome.map(|config| self.config.store(Arc::new(config))))
    }
}

impl<E: End + std::fmt::Debug> std::fmt::Debug for Kept<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("end", &self.end).finish_non_exhaustive()
    }
}

// === Look ===

impl Look {
    fn of<T: Hash>(read: &Result<T, TlsError>) -> Self {
        let mut hasher = DefaultHasher::new();
        match read {
            Ok(read) => read.hash(&mut hasher),
            Err(error) => error.to_string().hash(&mut hasher),
        }
        Self(hasher.finish())
    }
}

#[cfg(test)]
mod tests;
