//! A number for each key, shared by all workers without a lock, in a table that never grows.
//!
//! The table is cut into sets of seven; a key's hash names its set. A number that lies in the past is as good as none, so
//! its place is free for another key, and nothing has to be cleaned up. Keys are told apart by their whole hash of 64
//! bits: that any two of 65,536 fall together has a probability of 1 in 8,000,000,000, and nobody can work towards it,
//! since the hash is seeded.
//!
//! Where all seven of a set are in use (two keys in a hundred while there are as many as asked for), a new key takes the
//! place of the one that has used least, and takes over what that has used. So a flood of keys does not get around the
//! limit, nobody is shut out for longer than the least busy of the seven, and a set never lets more through than seven
//! keys may.
//!
//! A new key is entered by one worker at a time: `entering` is odd meanwhile. Requests of keys that are in the table take
//! no notice of it. A worker that finds it odd looks again; if the other has been stopped in the middle, which takes it a
//! few nanoseconds, for longer than [`PATIENCE`], the request is judged by
//! what the table says and goes uncounted, rather than wait.

use std::hint::spin_loop;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::Refused;

/// Keys of a set: with what counts the entries, as many as fill two cache lines.
const WAYS: usize = 7;

/// Keys that a set is planned for, so that few sets are full while the table is.
const PLANNED: u32 = 4;

/// How often a worker looks again. A few microseconds.
const PATIENCE: usize = 500;

/// Stands for the number of a place that is given to another key.
const TAKEN: u64 = u64::MAX;

/// The table.
#[derive(Debug)]
pub(super) struct Keys {
    sets: Box<[Set]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Set {
    entering: AtomicU64,
    hashes: [AtomicU64; WAYS],
    numbers: [AtomicU64; WAYS],
}

impl Keys {
    pub(super) fn with_room_for(keys: u32) -> Self {
        Self { sets: (0..keys.div_ceil(PLANNED)).map(|_| Set::default()).collect() }
    }

    /// Whether a key has a place, or finds one that nobody uses.
    pub(super) fn have_room_for(&self, hash: u64, now: u64) -> bool {
        let set = self.set(hash);
        set.find(hash).is_some() || set.least().is_some_and(|(_, number)| number <= now)
    }

    /// The number of a key; of one that is not there, the one it would begin with.
    pub(super) fn read(&self, hash: u64, now: u64) -> u64 {
        let set = self.set(hash);
        match set.find(hash) {
            Some((_, number)) => number,
            None => set.least().map_or(now, |(_, number)| number),
        }
    }

    /// Replaces the number of a key by what `ask` makes of it, unless it refuses. A new number is larger than the one
    /// before it and than `now`.
    pub(super) fn update(
        &self,
        hash: u64,
        now: u64,
        ask: impl Fn(u64) -> Result<u64, Refused>,
    ) -> Result<u64, Refused> {
        let set = self.set(hash);
        for _ in 0..PATIENCE {
            let entering = set.entering.load(Acquire);
            let done = match set.find(hash) {
                Some(found) => set.replace(found, &ask),
                None => set.enter(hash, entering, &ask),
            };
            if let Some(done) = done {
                return done;
            }
            spin_loop();
        }
        ask(self.read(hash, now))
    }

    /// How many numbers are later.
    pub(super) fn later_than(&self, now: u64) -> usize {
        let is_later = |number: &AtomicU64| (now + 1..TAKEN).contains(&number.load(Relaxed));
        self.sets.iter().map(|set| set.numbers.iter().filter(|number| is_later(number)).count()).sum()
    }

    fn set(&self, hash: u64) -> &Set {
        // The upper half of a product is below its factor.
        let index = (u128::from(hash) * self.sets.len() as u128) >> 64;
        &self.sets[usize::try_from(index).expect("below the length")]
    }
}

impl Set {
    /// The place and the number of a key. The number is read first: what gives a place to another key changes it before
    /// the hash, and no number comes back, so that whoever replaces this very number replaces this key's.
    fn find(&self, hash: u64) -> Option<(usize, u64)> {
        let numbers = self.numbers.iter().map(|number| number.load(Acquire)).enumerate();
        let mut found = numbers.filter(|(_, number)| !matches!(*number, 0 | TAKEN));
        found.find(|(place, _)| self.hashes[*place].load(Acquire) == hash)
    }

    fn replace(
        &self,
        (place, number): (usize, u64),
        ask: impl Fn(u64) -> Result<u64, Refused>,
    ) -> Option<Result<u64, Refused>> {
        let next = match ask(number) {
            Ok(next) => next,
            refused => return Some(refused),
        };
        self.numbers[place].compare_exchange(number, next, AcqRel, Relaxed).ok().map(|_| Ok(next))
    }

    /// Enters a key that was not there when `entering` was read. `None` if somebody else has entered one since.
    fn enter(
        &self,
        hash: u64,
        entering: u64,
        ask: impl Fn(u64) -> Result<u64, Refused>,
    ) -> Option<Result<u64, Refused>> {
        let is_free = entering.is_multiple_of(2);
        if !is_free || self.entering.compare_exchange(entering, entering + 1, AcqRel, Relaxed).is_err() {
            return None;
        }
        let entered = self.take_least(hash, ask);
        self.entering.store(entering + 2, Release);
        entered
    }

    fn take_least(
        &self,
        hash: u64,
        ask: impl Fn(u64) -> Result<u64, Refused>,
    ) -> Option<Result<u64, Refused>> {
        let (place, number) = self.least()?;
        let next = match ask(number) {
            Ok(next) => next,
            refused => return Some(refused),
        };
        // Its owner may have asked just now.
        self.numbers[place].compare_exchange(number, TAKEN, AcqRel, Relaxed).ok()?;
        self.hashes[place].store(hash, Release);
        self.numbers[place].store(next, Release);
        Some(Ok(next))
    }

    fn least(&self) -> Option<(usize, u64)> {
        let numbers = self.numbers.iter().map(|number| number.load(Acquire)).enumerate();
        numbers.filter(|(_, number)| *number != TAKEN).min_by_key(|(_, number)| *number)
    }
}

/// What a set takes of memory; a test holds it to what the manual says.
#[cfg(test)]
pub(super) const SET_BYTES: usize = size_of::<Set>();
