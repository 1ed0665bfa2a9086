//! An archive that a kernel unpacks into memory as it boots: the format "newc" of cpio, as the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst` has it.
//!
//! Not compressed: it is read once, from memory.

use std::collections::BTreeSet;
use std::path::Path;

const MAGIC: &str = "070701";
const LAST: &str = "TRAILER!!!";
/// Heads and contents begin at multiples of this.
const ALIGNED: usize = 4;

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// See the module's header. Folders are made as files need them.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    names: BTreeSet<String>,
}

// === Archive ===

impl Archive {
    /// Adds a file; one of the same name that is there already stays.
    pub(super) fn file(&mut self, path: &Path, content: &[u8]) {
        self.add(path, FILE, content);
    }

    /// The same for one that can be run.
    pub(super) fn program(&mut self, path: &Path, content: &[u8]) {
        self.add(path, PROGRAM, content);
    }

    /// Adds an empty folder.
    pub(super) fn folder(&mut self, path: &Path) {
        self.add(path, FOLDER, &[]);
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(LAST, 0, &[]);
        self.bytes
    }

    fn add(&mut self, path: &Path, mode: u32, content: &[u8]) {
        let within: Vec<&Path> = path.ancestors().skip(1).collect();
        for folder in within.into_iter().rev() {
            self.named(folder, FOLDER, &[]);
        }
        self.named(path, mode, content);
    }

    /// Names are without the slash at their beginning.
    fn named(&mut self, path: &Path, mode: u32, content: &[u8]) {
        let name = path.to_string_lossy().trim_start_matches('/').to_owned();
        if !name.is_empty() && self.names.insert(name.clone()) {
            self.entry(&name, mode, content);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let (links, length) = (1, content.len());
        // Owner, group and time are nobody's and never; there are no devices.
        let fields =
            [self.entries, mode, 0, 0, links, 0, length as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend(MAGIC.as_bytes());
        self.bytes.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNED), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode and content of each entry, read as the kernel reads them.
    fn entries(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (head, _) = bytes.split_at(110);
            assert_eq!(&head[..6], MAGIC.as_bytes());
            let field = |at: usize| {
                let text = std::str::from_utf8(&head[6 + 8 * at..14 + 8 * at]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (named, length) = (field(11) as usize, field(6) as usize);
            let name = String::from_utf8(bytes[110..109 + named].to_vec()).unwrap();
            assert_eq!(bytes[109 + named], 0);
            let start = (110 + named).next_multiple_of(4);
            found.push((name, field(1), bytes[start..start + length].to_vec()));
            bytes = &bytes[(start + length).next_multiple_of(4)..];
        }
        found
    }

    #[test]
    fn folders_come_before_what_lies_in_them_and_once() {
        let mut archive = Archive::default();
        archive.program(Path::new("/bin/sh"), b"12345");
        archive.file(Path::new("/bin/x"), b"");
        archive.program(Path::new("/bin/sh"), b"another");
        archive.folder(Path::new("/proc"));
        let expected = [
            ("bin", FOLDER, &b""[..]),
            ("bin/sh", PROGRAM, b"12345"),
            ("bin/x", FILE, b""),
            ("proc", FOLDER, b""),
            (LAST, 0, b""),
        ];
        let expected = expected.map(|(name, mode, content)| (name.to_owned(), mode, content.to_vec()));
        assert_eq!(entries(&archive.finish()), expected);
    }

    #[test]
    fn names_of_every_length_leave_everything_aligned() {
        for length in 1..9 {
            let mut archive = Archive::default();
            archive.file(Path::new(&"n".repeat(length)), b"abc");
            let bytes = archive.finish();
            assert_eq!(bytes.len() % ALIGNED, 0);
            assert_eq!(entries(&bytes)[0].2, b"abc");
        }
    }
}
