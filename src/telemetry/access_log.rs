//! The access log: one line a request, written by a thread of its own.
//!
//! A worker formats into its own buffer and hands the buffer over; it never waits for a disk or a pipe. When the
//! writer falls behind by more than its queue holds, lines are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::config::{self, LogFormat, LogTarget};

mod line;

pub use line::Entry;

use super::record::Record;

/// Buffers that may wait for the writer, each of about [`BUFFER`] bytes.
const QUEUE: usize = 256;
/// A buffer this long is handed over without waiting for the tick.
const BUFFER: usize = 32 * 1024;

/// What the writer is given.
#[derive(Debug)]
enum Job {
    Write(Vec<u8>),
    /// Says when everything before it has been written.
    Settle(SyncSender<()>),
}

/// An open access log.
#[derive(Debug)]
pub struct AccessLog {
    format: LogFormat,
    sender: SyncSender<Job>,
    dropped: AtomicU64,
}

impl AccessLog {
    /// Opens what the config names and starts its writer. `None` for `off`.
    ///
    /// # Errors
    /// The file that cannot be opened for appending, and why.
    pub fn open(config: &config::AccessLog) -> Result<Option<Arc<Self>>, (PathBuf, io::Error)> {
        let config::AccessLog::On { target, format } = config else { return Ok(None) };
        let output = open(target)?;
        let (sender, receiver) = sync_channel(QUEUE);
        let writer = thread::Builder::new().name("access-log".into());
        let spawned = writer.spawn(move || write_all(&receiver, output));
        spawned.map_err(|error| (PathBuf::from("access-log thread"), error))?;
        Ok(Some(Arc::new(Self { format: *format, sender, dropped: AtomicU64::new(0) })))
    }

    /// Buffers of lines dropped so far because the writer could not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was handed over has been written. Whether that came in time; without it, the process would
    /// end with its last lines still in the queue.
    pub fn settle(&self, within: Duration) -> bool {
        let (done, settled) = sync_channel(1);
        let sender = self.sender.clone();
        // In a thread, since there may be no room in the queue until long after the deadline.
        let asking = thread::Builder::new().spawn(move || sender.send(Job::Settle(done)));
        asking.is_ok() && settled.recv_timeout(within).is_ok()
    }

    fn hand_over(&self, lines: Vec<u8>) {
        if self.sender.try_send(Job::Write(lines)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn open(target: &LogTarget) -> Result<Box<dyn Write + Send>, (PathBuf, io::Error)> {
    Ok(match target {
        LogTarget::Stdout => Box::new(io::stdout()),
        LogTarget::Stderr => Box::new(io::stderr()),
        LogTarget::File(path) => Box::new(open_file(path).map_err(|error| (path.clone(), error))?),
    })
}

/// Refuses a FIFO that nobody reads: opening it would wait for a reader, and the reload with it. One that is read,
/// such as `/dev/stdout` in a container, is a log like any other.
fn open_file(path: &Path) -> io::Result<File> {
    let waits_for_no_reader = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().create(true).append(true).custom_flags(waits_for_no_reader).open(path)?;
    // Its writer may wait: it has a thread to itself.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Runs until the last snapshot and worker that use this log are gone.
fn write_all(receiver: &Receiver<Job>, mut output: Box<dyn Write + Send>) {
    let mut failing = false;
    while let Ok(job) = receiver.recv() {
        let lines = match job {
            Job::Write(lines) => lines,
            Job::Settle(done) => {
                // An error means that nobody waits any more.
                let _ = done.send(());
                continue;
            }
        };
        let written = output.write_all(&lines).and_then(|()| output.flush());
        match written {
            Ok(()) => failing = false,
            // Said once per outage: a full disk must not fill the process log too.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "cannot write the access log");
            }
            Err(_) => {}
        }
    }
}

/// One worker's lines that are not handed over yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    log: Option<Arc<AccessLog>>,
    buffer: Vec<u8>,
}

impl Lines {
    pub(super) fn switch(&mut self, log: Option<&Arc<AccessLog>>) {
        let same = match (&self.log, log) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.flush();
            self.log = log.cloned();
        }
    }

    pub(super) fn add(&mut self, entry: &Entry, record: &Record) {
        let Some(log) = &self.log else { return };
        match log.format {
            LogFormat::Json => line::write_json(&mut self.buffer, entry, record),
            LogFormat::Combined => line::write_combined(&mut self.buffer, entry, record),
        }
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        if let Some(log) = self.log.as_ref().filter(|_| !self.buffer.is_empty()) {
            log.hand_over(std::mem::take(&mut self.buffer));
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn fifo() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        (directory, path)
    }

    #[test]
    fn a_fifo_without_a_reader_is_refused_at_once() {
        let (_directory, path) = fifo();
        let refused = open_file(&path).expect_err("it was opened");
        assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::NXIO.raw_os_error()));
    }

    #[test]
    fn a_fifo_that_is_read_is_written_without_losing_what_it_cannot_hold_at_once() {
        let (_directory, path) = fifo();
        let from =
            OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(&path);
        let mut from = from.expect("a reader");
        let mut file = open_file(&path).expect("open");
        fcntl_setfl(&from, OFlags::empty()).expect("wait for lines");
        let writing = thread::spawn(move || file.write_all(&[b'x'; 1 << 20]));
        let mut read = Vec::new();
        from.read_to_end(&mut read).expect("read");
        assert_eq!(read.len(), 1 << 20);
        writing.join().expect("the writer").expect("all is written");
    }
}
