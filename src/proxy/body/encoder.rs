//! The algorithms, behind one face: bytes go in, and come out when there are enough of them, or when told to.
//!
//! What one response holds is bounded by the windows, which are small beside those of files: a page gains little from more
//! than 256 KiB of past. Measured, for a response of unknown length: gzip 0.3 MiB, zstd 1.2, brotli 1.5; at other
//! levels up to 2.5. One of 2 KiB: 0.25, 0.05 and 0.15.

use std::fmt;
use std::io::{self, Write};
use std::mem;

use brotli::CompressorWriter as Brotli;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder as Zstd;

use crate::config::{Coding, Levels};

/// 256 KiB, in powers of two. RFC 9659 lets every client of zstd expect no more than 8 MiB.
const WINDOW: u8 = 18;
/// Brotli compresses so much at once: 64 KiB, in powers of two.
const BROTLI_BLOCK: u8 = 16;
/// What Brotli writes at once.
const BROTLI_BUFFER: usize = 16 << 10;

/// One response's compressor.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<Brotli<Vec<u8>>>),
    Zstd(Zstd<'static, Vec<u8>>),
}

impl Encoder {
    /// `length`: what is to be compressed, if it is known. Less is held for a short one.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn new(coding: Coding, levels: Levels, length: Option<u64>) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(levels.gzip.into()))),
            Coding::Brotli => Self::Brotli(Box::new(brotli(levels.brotli, length))),
            Coding::Zstd => Self::Zstd(zstd(levels.zstd, length)?),
        })
    }

    /// Takes in `bytes`. Nothing may come of it yet.
    ///
    /// # Errors
    /// The library has no memory.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer().write_all(bytes)
    }

    /// What was taken in can be read by the client from what has come out.
    ///
    /// # Errors
    /// The library has no memory.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    /// What has come out since the last time.
    pub(super) fn take(&mut self) -> Bytes {
        Bytes::from(mem::take(match self {
            Self::Gzip(gzip) => gzip.get_mut(),
            Self::Brotli(brotli) => brotli.get_mut(),
            Self::Zstd(zstd) => zstd.get_mut(),
        }))
    }

    /// The end of the stream, with what has come out since the last time.
    ///
    /// # Errors
    /// The library has no memory, or got another length than it was told.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        Ok(Bytes::from(match self {
            Self::Gzip(gzip) => gzip.finish()?,
            Self::Brotli(brotli) => brotli.into_inner(),
            Self::Zstd(zstd) => zstd.finish()?,
        }))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(gzip) => gzip,
            Self::Brotli(brotli) => &mut **brotli,
            Self::Zstd(zstd) => zstd,
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
        })
    }
}

fn brotli(level: u8, length: Option<u64>) -> Brotli<Vec<u8>> {
    let params = BrotliEncoderParams {
        quality: level.into(),
        lgwin: window(length).max(BROTLI_BLOCK).into(),
        lgblock: BROTLI_BLOCK.into(),
        size_hint: length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0),
        ..BrotliEncoderParams::default()
    };
    Brotli::with_params(Vec::new(), BROTLI_BUFFER, &params)
}

fn zstd(level: u8, length: Option<u64>) -> io::Result<Zstd<'static, Vec<u8>>> {
    let mut zstd = Zstd::new(Vec::new(), level.into())?;
    zstd.set_parameter(CParameter::WindowLog(window(length).into()))?;
    if level > 3 {
        // By themselves, the higher levels take up to 8 MiB.
        zstd.set_parameter(CParameter::HashLog(WINDOW.into()))?;
        zstd.set_parameter(CParameter::ChainLog(WINDOW.into()))?;
    }
    // It needs no more than this to know it, and says it in the head of what it writes.
    zstd.set_pledged_src_size(length)?;
    Ok(zstd)
}

/// The smallest window that holds all of it, in powers of two.
fn window(length: Option<u64>) -> u8 {
    let needed = length.map_or(WINDOW.into(), |length| u64::BITS - length.leading_zeros());
    u8::try_from(needed).unwrap_or(WINDOW).clamp(10, WINDOW)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| b"the quick brown fox "[at * at % 20]).collect()
    }

    fn encoded(coding: Coding, levels: Levels, pieces: &[&[u8]], length: Option<u64>) -> Vec<u8> {
        let mut encoder = Encoder::new(coding, levels, length).expect("memory");
        let mut all = Vec::new();
        for piece in pieces {
            encoder.write(piece).expect("memory");
            all.extend(encoder.take());
        }
        all.extend(encoder.finish().expect("memory"));
        all
    }

    fn decoder(coding: Coding, bytes: &[u8]) -> Box<dyn Read + '_> {
        match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
            Coding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(bytes).expect("memory");
                decoder.window_log_max(WINDOW.into()).expect("a window");
                Box::new(decoder)
            }
        }
    }

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        decoder(coding, bytes).read_to_end(&mut all).expect("what was encoded");
        all
    }

    #[test]
    fn what_goes_in_comes_out_again_at_every_level() {
        let text = text(100_000);
        for (coding, most) in [(Coding::Gzip, 9), (Coding::Brotli, 6), (Coding::Zstd, 9)] {
            for level in 0..=most {
                let levels = Levels { zstd: level.max(1), brotli: level, gzip: level.max(1) };
                let pieces: Vec<&[u8]> = text.chunks(7001).collect();
                let known = encoded(coding, levels, &pieces, Some(100_000));
                let unknown = encoded(coding, levels, &pieces, None);
                assert!(known.len() < text.len() / 2 && unknown.len() < text.len() / 2, "{coding:?} {level}");
                assert!(decoded(coding, &known) == text && decoded(coding, &unknown) == text);
            }
        }
    }

    #[test]
    fn the_shortest_and_the_emptiest_come_out_again() {
        for coding in Coding::ALL {
            for length in [0, 1, 2, 1023, 1024, 1025] {
                let text = text(length);
                for known in [None, Some(length as u64)] {
                    let bytes = encoded(coding, Levels::default(), &[&text], known);
                    assert_eq!(decoded(coding, &bytes), text, "{coding:?} {length}");
                }
            }
        }
    }

    #[test]
    fn what_is_flushed_can_be_read_at_once() {
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(coding, Levels::default(), None).expect("memory");
            let mut sent = Vec::new();
            for (piece, so_far) in [("one", "one"), ("two", "onetwo")] {
                encoder.write(piece.as_bytes()).expect("memory");
                encoder.flush().expect("memory");
                sent.extend(encoder.take());
                let mut read = vec![0; so_far.len()];
                decoder(coding, &sent).read_exact(&mut read).expect("what was flushed");
                assert_eq!(read, so_far.as_bytes(), "{coding:?}");
            }
        }
    }

    #[test]
    fn a_short_response_needs_a_small_window() {
        assert_eq!((window(None), window(Some(0)), window(Some(1024))), (18, 10, 11));
        assert_eq!((window(Some(1 << 18)), window(Some(u64::MAX))), (18, 18));
    }
}
