//! Bytes that were read from a stream by one reader and are for the next.

use bytes::Bytes;
use tokio::io::ReadBuf;

/// They come before what is still in the stream.
#[derive(Debug, Default)]
pub struct Ahead(Bytes);

impl Ahead {
    /// None holds no memory: the empty rest of a buffer would hold all of it.
    pub fn new(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Bytes::new() } else { bytes })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first of them.
    pub fn first(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Moves as many as there is room for. Whether there were any.
    pub fn read_into(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let count = self.0.len().min(buf.remaining());
        buf.put_slice(&self.0.split_to(count));
        *self = Self::new(std::mem::take(&mut self.0));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_ahead_comes_in_order_and_once() {
        let mut ahead = Ahead::new(Bytes::from_static(b"hello"));
        let mut scratch = [0; 3];
        let mut read = |ahead: &mut Ahead| {
            let mut buf = ReadBuf::new(&mut scratch);
            let any = ahead.read_into(&mut buf);
            any.then(|| buf.filled().to_vec())
        };
        assert_eq!(read(&mut ahead), Some(b"hel".to_vec()));
        assert_eq!(ahead.first(), Some(b'l'));
        assert_eq!(read(&mut ahead), Some(b"lo".to_vec()));
        assert_eq!((read(&mut ahead), ahead.len()), (None, 0));
    }
}
