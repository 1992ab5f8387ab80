//! How many sockets to endpoints the process may have open at once.
//!
//! One client that speaks HTTP/2 may have hundreds of requests under way, each of them on a socket of its own to an
//! endpoint that speaks HTTP/1. They must not take the last files that the process may open: accepting, the admin API and
//! reading the config need some.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// Those of this process, whose open files are bounded as a whole.
static ENDPOINTS: Sockets = Sockets::unbounded();

/// From here on no more than `most` sockets to endpoints are opened.
pub fn bound(most: u64) {
    ENDPOINTS.most.store(most, Ordering::Relaxed);
}

/// A place for one more.
///
/// # Errors
/// As the operating system has it when it has no file left.
pub(super) fn place() -> io::Result<Place> {
    ENDPOINTS.place()
}

#[derive(Debug)]
struct Sockets {
    open: AtomicU64,
    most: AtomicU64,
}

impl Sockets {
    const fn unbounded() -> Self {
        Self { open: AtomicU64::new(0), most: AtomicU64::new(u64::MAX) }
    }

    fn place(&'static self) -> io::Result<Place> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        // Given back where there is none.
        let place = Place(self);
        if open < self.most.load(Ordering::Relaxed) { Ok(place) } else { Err(Errno::MFILE.into()) }
    }
}

/// The place of one socket, for as long as it is open.
#[derive(Debug)]
pub(in crate::net) struct Place(&'static Sockets);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::connect::is_out_of_sockets;

    #[test]
    fn there_are_as_many_places_as_are_bounded_to_and_each_is_given_back() {
        static SOCKETS: Sockets = Sockets::unbounded();
        SOCKETS.most.store(2, Ordering::Relaxed);
        let first = SOCKETS.place().expect("a place");
        let _second = SOCKETS.place().expect("a place");
        for _ in 0..3 {
            assert!(is_out_of_sockets(&SOCKETS.place().expect_err("full")));
        }
        drop(first);
        assert!(SOCKETS.place().is_ok());
    }
}
