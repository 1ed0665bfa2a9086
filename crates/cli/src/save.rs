//! A file of the user's, written whole or not at all: beside it first, and then put in its place.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use crate::error::CliError;

/// Writes the file. What is no file, such as a pipe, is written as it is: nothing may take its place.
pub(crate) fn save(bytes: &[u8], file: &Path) -> Result<(), CliError> {
    let written = match fs::metadata(file) {
        Ok(found) if !found.is_file() => fs::write(file, bytes),
        // Where a link leads, so that it stays one.
        Ok(found) => fs::canonicalize(file).and_then(|file| replace(bytes, &file, Some(found.permissions()))),
        Err(_) => replace(bytes, file, None),
    };
    written.map_err(|error| CliError::File { path: file.to_owned(), why: error.to_string() })
}

fn replace(bytes: &[u8], file: &Path, permissions: Option<fs::Permissions>) -> io::Result<()> {
    let beside = beside(file)?;
    // New: in a folder of everybody's, another's link may have the name.
    let mut new = File::options().write(true).create_new(true).open(&beside)?;
    let written = permissions
        .map_or(Ok(()), |permissions| new.set_permissions(permissions))
        .and_then(|()| new.write_all(bytes))
        .and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        // What went wrong before is what is to be told.
        _ = fs::remove_file(&beside);
    }
    written
}

fn beside(file: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    let name = format!(".{}.{}", name.to_string_lossy(), process::id());
    Ok(file.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> =
            names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_rights_and_links() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("a.jsonl"), folder.path().join("b.jsonl"));
        save(b"old", &file).expect("it is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its rights");
        symlink(&file, &link).expect("a link");
        save(b"new", &link).expect("it is written");
        assert_eq!(fs::read(&file).expect("it is there"), b"new");
        assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        assert_eq!(names(folder.path()), ["a.jsonl", "b.jsonl"]);
    }

    #[test]
    fn where_it_cannot_be_written_nothing_is_left_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        for file in [folder.path().join("nowhere/a.jsonl"), folder.path().to_owned()] {
            let error = save(b"new", &file).expect_err("no place for a file");
            assert_eq!(error.exit_code(), 2, "{error}");
        }
        assert!(names(folder.path()).is_empty());
        save(b"new", Path::new("/dev/null")).expect("it takes everything");
    }
}
