//! A file whose reader waits: for a reload that does not end.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::eventually;

/// A FIFO at a path. Whoever reads it waits until the [`File`] of [`Fifo::wait_for_reader`] is dropped.
pub struct Fifo<'a>(&'a Path);

impl<'a> Fifo<'a> {
    /// Puts one in the place of `path`.
    pub fn replace(path: &'a Path) -> Self {
        let beside = path.with_extension("fifo");
        mknodat(CWD, &beside, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        std::fs::rename(beside, path).expect("rename");
        Self(path)
    }

    /// Its other end, once somebody reads.
    pub fn wait_for_reader(&self) -> File {
        // Without a reader, it is not opened.
        let no_wait = OFlags::NONBLOCK.bits().cast_signed();
        let open = || OpenOptions::new().write(true).custom_flags(no_wait).open(self.0).ok();
        eventually("a reader of the FIFO", open)
    }
}
