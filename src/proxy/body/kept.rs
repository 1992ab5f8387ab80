//! A request body that goes out again.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http_body::Frame;

use super::Progress;

/// A whole body in memory. Cloning the bytes costs nothing.
#[derive(Debug)]
pub struct Kept {
    bytes: Option<Bytes>,
    progress: Rc<Progress>,
}

impl Kept {
    /// Tells `progress` when it leaves. Not that of an earlier try, whose connection may still be at it.
    pub fn new(bytes: Bytes, progress: Rc<Progress>) -> Self {
        progress.whole.set(true);
        Self { bytes: Some(bytes), progress }
    }

    /// All of it, as long as it has not left.
    pub(super) fn bytes(&self) -> Option<Bytes> {
        self.bytes.clone()
    }

    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        let bytes = self.bytes.take()?;
        let now = Some(Instant::now());
        self.progress.bytes.set(bytes.len() as u64);
        self.progress.moved.set(now);
        self.progress.finished.set(now);
        Some(Frame::data(bytes))
    }
}
