//! The file of the Unix socket: who may connect, and that nothing is left of it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// There is no login: whoever may open it is trusted with everything.
const OWNER_ONLY: u32 = 0o600;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A socket that this process has bound. Dropping it removes the file, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Listens at `path`, for the user of this process only. A socket that nobody listens at any more is replaced.
pub(super) fn listen(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    if is_stale(path) {
        fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.to_path_buf(), identity: identity(path)? };
    // Before it listens: whatever the umask has let through, nobody else has connected by now.
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), file))
}

/// A socket left behind by a process that was killed. Anything else at that path is not ours to remove, and a socket
/// that refuses us for another reason (a full backlog, permissions) may be in use.
fn is_stale(path: &Path) -> bool {
    let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(refused)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the admin socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(directory: &tempfile::TempDir) -> PathBuf {
        directory.path().join("admin.sock")
    }

    #[test]
    fn only_the_owner_may_connect_and_nothing_is_left_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = at(&directory);
        let (_socket, file) = listen(&path).expect("a socket");
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).expect("it listens");
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_nobody_listens_at_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        drop(UnixListener::bind(at(&directory)).expect("a socket"));
        assert!(at(&directory).exists(), "the standard library leaves it");
        listen(&at(&directory)).expect("a socket");
    }

    #[test]
    fn a_socket_in_use_and_a_file_that_is_none_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let _used = UnixListener::bind(at(&directory)).expect("a socket");
        assert!(listen(&at(&directory)).is_err());
        UnixStream::connect(at(&directory)).expect("the first still listens");
        let file = directory.path().join("file");
        fs::write(&file, "kept").expect("write");
        assert!(listen(&file).is_err());
        assert_eq!(fs::read_to_string(&file).expect("read"), "kept");
    }

    #[test]
    fn an_error_that_is_no_refusal_does_not_make_a_socket_stale() {
        let directory = tempfile::tempdir().expect("a directory");
        let datagrams = Socket::new(Domain::UNIX, Type::DGRAM, None).expect("a socket");
        datagrams.bind(&SockAddr::unix(at(&directory)).expect("an address")).expect("bind");
        assert!(!is_stale(&at(&directory)));
    }

    #[test]
    fn what_has_taken_its_place_is_not_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (socket, file) = listen(&at(&directory)).expect("a socket");
        let aside = directory.path().join("aside.sock");
        fs::rename(at(&directory), &aside).expect("move");
        let (_other, _its_file) = listen(&at(&directory)).expect("another");
        drop((socket, file));
        assert!(at(&directory).exists());
    }
}
