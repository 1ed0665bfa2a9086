//! The admin port as a Unix socket: for the router's own user alone, and gone with the router.
//!
//! A file that a killed router left is replaced; one that somebody listens on, or that is no socket, is left alone.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _},
        net,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// A socket that is listened on. Its file goes with it.
#[derive(Debug)]
pub struct LocalSocket {
    listener: net::UnixListener,
    file: SocketFile,
}

/// The file, as long as it is this one.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and number, and when it was made: numbers are given again.
type Identity = (u64, u64, i64, i64);

/// Why there is no such socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process listens.
    #[error("another process, or another router, listens on {0} (--admin-socket)")]
    Taken(PathBuf),
    /// What is there was not left by a router.
    #[error("{0} is there and is no socket (--admin-socket): name another path, or remove it")]
    Occupied(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {path} (--admin-socket): is its folder there, and may the router write to it?")]
    Refused {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

// === LocalSocket ===

impl LocalSocket {
    /// Listens at this path.
    ///
    /// # Errors
    /// [`SocketError`] says who is there, or why not.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        make_room(path)?;
        let refused = |source| SocketError::Refused { path: path.to_owned(), source };
        let listener = listen(path).map_err(refused)?;
        let there = fs::symlink_metadata(path).map_err(refused)?;
        let file = SocketFile { path: path.to_owned(), identity: identity(&there) };
        Ok(Self { listener, file })
    }

    /// The socket, non-blocking, and what removes its file when it is dropped.
    pub fn into_parts(self) -> (net::UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

fn make_room(path: &Path) -> Result<(), SocketError> {
    let refused = |source| SocketError::Refused { path: path.to_owned(), source };
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
    };
    if !there.file_type().is_socket() {
        return Err(SocketError::Occupied(path.to_owned()));
    }
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(refused)
        }
        // Its queue of connections may be full.
        Ok(()) => Err(SocketError::Taken(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SocketError::Taken(path.to_owned())),
        Err(error) => Err(refused(error)),
    }
}

fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

fn listen(path: &Path) -> io::Result<net::UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Before there is a file: it gets these rights as it is made, and nobody comes in between.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn identity(there: &fs::Metadata) -> Identity {
    (there.dev(), there.ino(), there.mtime(), there.mtime_nsec())
}

// === SocketFile ===

impl Drop for SocketFile {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|there| identity(&there) == self.identity) {
            // Somebody may be faster.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_its_users_alone_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("admin.sock");
        let (listener, file) = LocalSocket::bind(&path).expect("a socket").into_parts();
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(net::UnixStream::connect(&path).is_ok());
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_router_left_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("admin.sock");
        let (listener, file) = LocalSocket::bind(&path).expect("a socket").into_parts();
        assert!(matches!(LocalSocket::bind(&path), Err(SocketError::Taken(_))));
        drop(listener);
        let second = LocalSocket::bind(&path).expect("nobody listens");
        drop(file);
        assert!(path.exists(), "it is another one's");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone_and_a_folder_that_is_missing_is_told() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("notes");
        fs::write(&path, "mine").expect("write");
        assert!(matches!(LocalSocket::bind(&path), Err(SocketError::Occupied(_))));
        assert_eq!(fs::read(&path).expect("read"), b"mine");
        let missing = LocalSocket::bind(&folder.path().join("none/admin.sock")).expect_err("no folder");
        assert!(matches!(missing, SocketError::Refused { .. }), "{missing}");
    }
}
