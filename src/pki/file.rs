//! The bytes of a file, within bounds.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::fault::{Fault, Part};

/// Bytes of one file: a bundle of all public authorities has about 250 KiB.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Bits of a mode that let those read a key who are neither its owner nor in its group.
const READABLE_BY_ALL: u32 = 0o004;

/// A file's bytes and what the system says of it.
pub(super) struct Contents {
    pub(super) bytes: Vec<u8>,
    metadata: Metadata,
}

impl Contents {
    /// Reads the file whole.
    pub(super) fn read(path: &Path, part: Part) -> Result<Self, Fault> {
        let contents = Self::open(path).map_err(|error| unreadable(path, part, &error))?;
        if contents.bytes.len() as u64 > MOST_BYTES {
            return Err(Fault::new(part, path, "the file is larger than 4 MiB, which none of its kind is"));
        }
        Ok(contents)
    }

    /// Whether every user of the machine may read it.
    pub(super) fn is_readable_by_all(&self) -> bool {
        self.metadata.mode() & READABLE_BY_ALL != 0
    }

    fn open(path: &Path) -> io::Result<Self> {
        // A FIFO would be waited for.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::from(ErrorKind::InvalidInput));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(Self { bytes, metadata })
    }
}

fn unreadable(path: &Path, part: Part, error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::NotFound => Fault::new(part, path, "there is no such file"),
        ErrorKind::PermissionDenied => Fault::new(part, path, "this process may not read the file")
            .hint("look at its owner and mode, and those of its directories"),
        ErrorKind::InvalidInput => Fault::new(part, path, "this is not a file"),
        _ => Fault::new(part, path, format!("cannot be read: {error}")),
    }
}
