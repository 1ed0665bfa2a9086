//! A file of the user's, written whole or not at all: beside it first, and then put in its place.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
};

use crate::error::CliError;

/// Who may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// As the file that was there had it, or as the user's files have it.
    Usual,
    /// The user alone.
    User,
}

/// Writes the file. What is no file, such as a pipe, is written as it is: nothing may take its place.
pub(crate) fn save(bytes: &[u8], file: &Path, readers: Readers) -> Result<(), CliError> {
    let written = match fs::metadata(file) {
        Ok(found) if !found.is_file() => fs::write(file, bytes),
        // Where a link leads, so that it stays one.
        Ok(found) => {
            let kept = Some(found.permissions()).filter(|_| readers == Readers::Usual);
            fs::canonicalize(file).and_then(|file| replace(bytes, &file, kept, readers))
        }
        Err(_) => replace(bytes, file, None, readers),
    };
    written.map_err(|error| CliError::File { path: file.to_owned(), why: error.to_string() })
}

fn replace(
    bytes: &[u8],
    file: &Path,
    permissions: Option<fs::Permissions>,
    readers: Readers,
) -> io::Result<()> {
    let beside = beside(file)?;
    // New: in a folder of everybody's, another's link may have the name.
    let mode = if readers == Readers::User { 0o600 } else { 0o666 };
    let mut new = File::options().write(true).create_new(true).mode(mode).open(&beside)?;
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
        save(b"old", &file, Readers::Usual).expect("it is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its rights");
        symlink(&file, &link).expect("a link");
        save(b"new", &link, Readers::Usual).expect("it is written");
        assert_eq!(fs::read(&file).expect("it is there"), b"new");
        assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        assert_eq!(names(folder.path()), ["a.jsonl", "b.jsonl"]);
    }

    #[test]
    fn what_is_for_the_user_alone_is_read_by_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.tar.gz");
        fs::write(&file, "old").expect("it is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its rights");
        for file in [file, folder.path().join("b.tar.gz")] {
            save(b"new", &file, Readers::User).expect("it is written");
            assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn where_it_cannot_be_written_nothing_is_left_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        for file in [folder.path().join("nowhere/a.jsonl"), folder.path().to_owned()] {
            let error = save(b"new", &file, Readers::Usual).expect_err("no place for a file");
            assert_eq!(error.exit_code(), 2, "{error}");
        }
        assert!(names(folder.path()).is_empty());
        save(b"new", Path::new("/dev/null"), Readers::User).expect("it takes everything");
    }
}
