//! How often a key may ask: the generic cell rate algorithm, GCRA (ITU-T I.371, annex A, its virtual scheduling form; B.
//! Leach, "Rate limiting, cells, and GCRA", 2015).
//!
//! Of each key one number is kept, the theoretical arrival time (TAT): when it would be back to nothing used if it sent
//! nothing more. A request moves it on by `1 / rate`, and is refused where it lies more than `burst - 1` of these ahead.
//! So in any stretch of time no more than `burst + rate x time` pass, there is no window at whose border twice as much
//! would pass, and a key that has been quiet needs no number at all. A request that is refused costs its key nothing.
//!
//! Keys that clients make up (of a header, of a cookie) may fill the table. Then one that has no number is counted by its
//! client's address, in a smaller table beside: the flood shuts out new keys of the addresses that it comes from, and of
//! no others. It gets through what the table has room for, and as much for each of its addresses as for a key.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

mod keys;
#[cfg(test)]
mod tests;

use super::network::client_network;
use crate::config::RateLimit;
use keys::Keys;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// A client's address.
    Client(IpAddr),
    /// The value of a header or a cookie.
    Value(&'a [u8]),
}

impl Key<'_> {
    /// The client at this address: itself, or its /64.
    pub fn client(address: IpAddr) -> Self {
        Self::Client(client_network(address))
    }
}

/// How a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests that it could send now.
    pub remaining: u32,
    /// Until when it is back to a whole burst.
    pub reset: Duration,
    /// How long it has to wait for the request that was asked about; `None` if that may go.
    pub wait: Option<Duration>,
}

/// One limit and the keys that have used some of it, for all workers.
#[derive(Debug)]
pub struct Limit {
    config: RateLimit,
    cells: Cells,
    keys: Keys,
    /// Addresses of clients whose keys found no room. `None` where the keys are addresses.
    newcomers: Option<Keys>,
    crowded: AtomicU64,
    /// Seeded, so that nobody can choose a key that falls in with another's.
    hasher: RandomState,
    born: Instant,
}

impl Limit {
    /// Nobody has used any of it. `now`: nothing is asked of it earlier.
    pub fn new(config: RateLimit, hasher: RandomState, now: Instant) -> Self {
        let keys = Keys::with_room_for(config.max_keys);
        let newcomers = Some(config.newcomers()).filter(|count| *count > 0).map(Keys::with_room_for);
        let (cells, crowded) = (Cells::new(&config), AtomicU64::new(0));
        Self { cells, keys, newcomers, crowded, hasher, born: now, config }
    }

    /// As configured.
    pub fn config(&self) -> &RateLimit {
        &self.config
    }

    /// Whether a request of this key, from this client, may go; if so, it counts.
    pub fn take(&self, key: Key<'_>, client: IpAddr, now: Instant) -> Standing {
        let now = self.since_birth(now);
        let place = self.place(key, client, now);
        if !place.own {
            self.crowded.fetch_add(1, Relaxed);
        }
        let verdict = place.keys.update(place.hash, now, |tat| self.cells.ask(tat, now));
        self.cells.standing(verdict, now)
    }

    /// Whether it might, without counting it.
    pub fn peek(&self, key: Key<'_>, client: IpAddr, now: Instant) -> Standing {
        let now = self.since_birth(now);
        let place = self.place(key, client, now);
        let tat = place.keys.read(place.hash, now);
        let verdict = self.cells.ask(tat, now).map(|_| tat);
        self.cells.standing(verdict, now)
    }

    /// Keys that have used some of it and are not back to a whole burst.
    pub fn keys_in_use(&self, now: Instant) -> usize {
        let now = self.since_birth(now);
        let newcomers = self.newcomers.as_ref().map_or(0, |newcomers| newcomers.later_than(now));
        self.keys.later_than(now) + newcomers
    }

    /// Requests so far whose key found no room: counted by the client's address, or, where that is the key, with another.
    pub fn crowded(&self) -> u64 {
        self.crowded.load(Relaxed)
    }

    fn place(&self, key: Key<'_>, client: IpAddr, now: u64) -> Place<'_> {
        let hash = self.hasher.hash_one(key);
        let own = self.keys.have_room_for(hash, now);
        match &self.newcomers {
            Some(newcomers) if !own => {
                Place { keys: newcomers, hash: self.hasher.hash_one(Key::client(client)), own }
            }
            Some(_) | None => Place { keys: &self.keys, hash, own },
        }
    }

    fn since_birth(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_nanos()).unwrap_or(u64::MAX / 2)
    }
}

/// Where a request is counted.
struct Place<'a> {
    keys: &'a Keys,
    hash: u64,
    /// As its own key.
    own: bool,
}

/// The TAT of a refused request, which stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refused(u64);

/// The arithmetic, in nanoseconds since the limit was made.
#[derive(Debug, Clone, Copy)]
struct Cells {
    /// What a request moves a TAT on by.
    interval: u64,
    /// How far ahead a TAT may lie for another request to go.
    tolerance: u64,
}

impl Cells {
    fn new(config: &RateLimit) -> Self {
        let interval = u64::try_from(config.rate.interval().as_nanos()).unwrap_or(u64::MAX);
        // At most an hour a million times: a fifth of what fits.
        Self { interval, tolerance: interval.saturating_mul(u64::from(config.burst.get()) - 1) }
    }

    /// The next TAT, if a request may go at `now`.
    fn ask(&self, tat: u64, now: u64) -> Result<u64, Refused> {
        match tat > now.saturating_add(self.tolerance) {
            true => Err(Refused(tat)),
            false => Ok(tat.max(now).saturating_add(self.interval)),
        }
    }

    fn standing(&self, verdict: Result<u64, Refused>, now: u64) -> Standing {
        let (tat, refused) = match verdict {
            Ok(tat) => (tat.max(now), false),
            Err(Refused(tat)) => (tat, true),
        };
        let latest = now.saturating_add(self.tolerance);
        let more = latest.checked_sub(tat).map_or(0, |room| room / self.interval + 1);
        Standing {
            remaining: u32::try_from(more).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(tat - now),
            wait: refused.then(|| Duration::from_nanos(tat.saturating_sub(latest))),
        }
    }
}
