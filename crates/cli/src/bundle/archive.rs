//! Files in a `.tar.gz`, in a folder of their own, the manifest first.

use std::{
    io,
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, Header};

use super::{File, Manifest};

const FOLDER: &str = "warmlane-bundle";

/// The archive's bytes.
pub(super) fn archive(manifest: &Manifest, files: &[File], now: SystemTime) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let text = serde_json::to_string_pretty(manifest).map_err(io::Error::other)? + "\n";
    let files = files.iter().map(|file| (file.name, &file.text));
    for (name, text) in [("manifest.json", &text)].into_iter().chain(files) {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        archive.append_data(&mut header, format!("{FOLDER}/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}
