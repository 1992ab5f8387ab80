//! How many requests of one upstream are in flight, over all workers, and which of them is next when one ends.
//!
//! A request has a permit from its admission to the end of its response. One that gets none waits in a line of its own
//! worker ([`Line`]), and each such line has a [`Seat`] here, which says how urgent its first is. Workers share no
//! lock: a permit that is given back goes into one counter, and the worker whose first is the most urgent is woken to
//! take it out again.
//!
//! No wakeup is lost. Counter and seats are read and written in one order that all threads agree on (`SeqCst`):
//!
//! - Who waits shows it in its seat, then looks at the counter. Who gives back changes the counter, then looks at the
//!   seats. So one of the two sees the other.
//! - A wakeup may reach a worker whose line has become shorter meanwhile, or one that takes a single permit where two
//!   have come back. So whoever takes a request out of its line, for whatever reason, looks afterwards whether there is
//!   still room and somebody waits, and wakes the next ([`Admission::pass_on`]).
//! - A seat is woken only through the waker that its worker left there before it looked at the counter.
//!
//! Where as many wait as may, a request takes the place of one that is less important, if there is one on any worker. That
//! of another worker is asked for ([`Admission::displace`]) and given up when that worker comes to it, so until then more
//! wait than may: by no more than there are less important ones.
//!
//! What the waiting costs otherwise (limits that were raised) the control thread sees ten times a second.
//!
//! What is stuck at an endpoint that gets nothing more ([`Admission::hold`]) takes no room from the others: the limit
//! is higher by that, counted anew whenever a permit is taken. A request leaves its endpoint before it gives its permit
//! back, and who takes one reads the permits before the endpoints, so that an end is never seen as room at the others.

mod line;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::task::Waker;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use atomic_waker::AtomicWaker;

pub use self::line::{Key, Line, Rank};
pub use self::tally::{BOUNDS_MS, Tally};
use super::availability::Access;
use super::endpoint::EndpointState;
use super::overload::Shares;
use crate::config::Priority;

/// No bound.
const ANY: u32 = u32::MAX;
/// Later than anybody.
const NOBODY: u64 = u64::MAX;

/// What an upstream may have in flight and waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Requests in flight over all workers.
    pub in_flight: u32,
    /// Requests that wait over all workers.
    pub waiting: u32,
    /// How long each of them waits.
    pub wait: Duration,
}

impl Bounds {
    /// None.
    pub const NONE: Self = Self { in_flight: ANY, waiting: 0, wait: Duration::ZERO };
}

/// The admission of one upstream; outlives a reload.
#[derive(Debug)]
#[repr(align(128))]
pub struct Admission {
    in_flight: AtomicU32,
    waiting: AtomicU32,
    /// As configured.
    most_in_flight: AtomicU32,
    most_waiting: AtomicU32,
    /// Microseconds.
    longest_wait: AtomicU64,
    /// What the latency allows.
    adaptive: AtomicU32,
    /// What the endpoints have room for.
    capacity: AtomicU32,
    /// Whether any is in `closed`: else nobody looks there.
    some_closed: AtomicBool,
    /// The endpoints that get nothing more, or only what sticks to them.
    closed: ArcSwap<Vec<Arc<EndpointState>>>,
    /// Since the last look of the control thread nobody waited for a moment.
    emptied: AtomicBool,
    /// At that look.
    standing: AtomicBool,
    /// Requests turned away for want of room since that look.
    refused: AtomicU32,
    /// [`Shares`], packed.
    shares: AtomicU32,
    seats: ArcSwap<Vec<Arc<Seat>>>,
    tally: Tally,
    born: Instant,
}

/// Where one worker's line stands among those of the others.
#[derive(Debug)]
pub struct Seat {
    /// The [`Rank`] of who is next there.
    next: AtomicU64,
    /// When the one came who has waited there the longest; [`NOBODY`] if nobody has.
    oldest: AtomicU64,
    /// How many there are of each class.
    of: [AtomicU32; Priority::ALL.len()],
    /// How many of each class have been asked to make room.
    asked: [AtomicU32; Priority::ALL.len()],
    waker: AtomicWaker,
}

impl Seat {
    /// Whom to wake when there may be room. Left there before the worker looks for it.
    pub fn wakes(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// How many of a class are asked to make room now. Each is told once.
    pub fn asked(&self, class: Priority) -> u32 {
        match self.asked[class as usize].load(SeqCst) {
            0 => 0,
            _ => self.asked[class as usize].swap(0, SeqCst),
        }
    }

    /// Asks one of a class, if not all have been.
    fn ask(&self, class: Priority) -> bool {
        let there = self.of[class as usize].load(SeqCst);
        let more = |asked: u32| (asked < there).then(|| asked + 1);
        self.asked[class as usize].fetch_update(SeqCst, Relaxed, more).is_ok()
    }
}

/// What the control thread sees of an upstream ten times a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Requests in flight now at endpoints that take requests.
    pub in_flight: u32,
    /// Requests that wait now.
    pub waiting: u32,
    /// Whether somebody has waited all the time since the last look.
    pub lasting: bool,
    /// Whether the queue has used up more than half of what it may: of its places, or of the time of who has waited the
    /// longest. Until then everybody in it is still served in time.
    pub standing: bool,
    /// Requests that were turned away since then for want of room.
    pub refused: u32,
}

impl Admission {
    /// Nothing in flight, nobody waits. `now`: nobody comes earlier.
    pub fn new(bounds: Bounds, now: Instant) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            most_in_flight: AtomicU32::new(bounds.in_flight),
            most_waiting: AtomicU32::new(bounds.waiting),
            longest_wait: AtomicU64::new(micros(bounds.wait)),
            adaptive: AtomicU32::new(ANY),
            capacity: AtomicU32::new(ANY),
            some_closed: AtomicBool::new(false),
            closed: ArcSwap::default(),
            emptied: AtomicBool::new(true),
            standing: AtomicBool::new(false),
            refused: AtomicU32::new(0),
            shares: AtomicU32::new(Shares::ALL.pack()),
            seats: ArcSwap::default(),
            tally: Tally::default(),
            born: now,
        }
    }

    /// Other bounds from now on. What is over them ends by itself.
    pub fn bound(&self, bounds: Bounds) {
        self.most_in_flight.store(bounds.in_flight, Relaxed);
        self.most_waiting.store(bounds.waiting, Relaxed);
        self.longest_wait.store(micros(bounds.wait), Relaxed);
        self.wake_all();
    }

    /// What the latency allows; `None` for any number.
    pub fn adapt(&self, limit: Option<u32>) {
        self.adaptive.store(limit.unwrap_or(ANY), Relaxed);
        self.pass_on();
    }

    /// What the endpoints that take requests have room for; `None` for any number. What is in flight at the others,
    /// `closed`, comes on top of every limit: it may be stuck there, and whoever waits for it to end waits for nothing.
    pub fn hold(&self, capacity: Option<u32>, closed: Vec<Arc<EndpointState>>) {
        self.capacity.store(capacity.unwrap_or(ANY), Relaxed);
        let some_closed = !closed.is_empty();
        self.closed.store(Arc::new(closed));
        self.some_closed.store(some_closed, SeqCst);
        self.pass_on();
    }

    /// Requests in flight, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Requests that wait, over all workers.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// How many may be in flight; `None` for any number.
    pub fn limit(&self) -> Option<u32> {
        Some(self.most()).filter(|most| *most != ANY)
    }

    /// Of each class of requests the share that is let in.
    #[inline]
    pub fn shares(&self) -> Shares {
        Shares::unpack(self.shares.load(Relaxed))
    }

    /// Lets in other shares from now on.
    pub fn share(&self, shares: Shares) {
        self.shares.store(shares.pack(), Relaxed);
    }

    /// What became of those that waited.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether the queue has used up more than half of what it may: the last to come is then served first.
    pub fn is_standing(&self) -> bool {
        self.standing.load(Relaxed)
    }

    /// A moment as lines count it.
    pub fn micros(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.born))
    }

    /// Takes a permit if nobody waits for it, to be given back by [`Self::release`].
    #[inline]
    pub fn enter(&self) -> bool {
        self.waiting.load(SeqCst) == 0 && self.take()
    }

    /// Takes a permit, to be given back by [`Self::release`].
    pub fn take(&self) -> bool {
        // The limit after the count, see above.
        let more = |count: u32| (count < self.most()).then(|| count + 1);
        self.in_flight.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    /// Gives a permit back.
    #[inline]
    pub fn release(&self) {
        self.in_flight.fetch_sub(1, SeqCst);
        self.pass_on();
    }

    /// Takes one of the places of those who wait, to be given back by [`Self::leave`].
    pub fn join(&self) -> bool {
        let most = self.most_waiting.load(Relaxed);
        let more = |count: u32| (count < most).then(|| count + 1);
        let before = self.waiting.fetch_update(SeqCst, Relaxed, more);
        if before == Ok(0) {
            self.emptied.store(true, Relaxed);
        }
        before.is_ok()
    }

    /// Takes the place of a less important one that waits on another worker, which is asked to give it up. To be given
    /// back by [`Self::leave`].
    #[cold]
    pub fn displace(&self, priority: Priority) -> bool {
        let seats = self.seats.load();
        let classes = Priority::ALL.into_iter().rev().take_while(|class| *class > priority);
        let mut lesser = classes
            .flat_map(|class| seats.iter().map(move |seat| (seat, class)))
            .filter(|(seat, class)| seat.of[*class as usize].load(SeqCst) > 0)
            .peekable();
        if lesser.peek().is_none() {
            return false;
        }
        // Counted first: who is asked makes room only while too many wait.
        self.waiting.fetch_add(1, SeqCst);
        let asked = lesser.find(|(seat, class)| seat.ask(*class));
        match asked {
            Some((seat, _)) => seat.waker.wake(),
            None => self.leave(),
        }
        asked.is_some()
    }

    /// Whether more wait than may, since some of them have been asked to make room.
    pub fn is_crowded(&self) -> bool {
        self.waiting.load(SeqCst) > self.most_waiting.load(Relaxed)
    }

    /// Gives a place back.
    pub fn leave(&self) {
        if self.waiting.fetch_sub(1, SeqCst) == 1 {
            self.emptied.store(true, Relaxed);
        }
    }

    /// A request was turned away for want of room.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// A place for the line of one worker. Not on the path of a request.
    pub fn seat(&self) -> Arc<Seat> {
        let seat = Arc::new(Seat {
            next: AtomicU64::new(Rank::NOBODY.0),
            oldest: AtomicU64::new(NOBODY),
            of: Default::default(),
            asked: Default::default(),
            waker: AtomicWaker::new(),
        });
        self.seats.rcu(|seats| seats.iter().chain([&seat]).cloned().collect::<Vec<_>>());
        seat
    }

    /// Takes the place away.
    pub fn vacate(&self, seat: &Arc<Seat>) {
        seat.next.store(Rank::NOBODY.0, SeqCst);
        self.seats
            .rcu(|seats| seats.iter().filter(|one| !Arc::ptr_eq(one, seat)).cloned().collect::<Vec<_>>());
        self.pass_on();
    }

    /// Who is next in the line of a seat, who has waited there the longest, and who is there.
    pub fn tell<T>(&self, seat: &Seat, line: &Line<T>) {
        seat.oldest.store(line.oldest().unwrap_or(NOBODY), Relaxed);
        for class in Priority::ALL {
            seat.of[class as usize].store(line.of(class), SeqCst);
        }
        seat.next.store(line.rank(self.is_standing()).0, SeqCst);
    }

    /// Whether nobody elsewhere is more urgent than who is next in the line of a seat. Else that one is woken, if there
    /// is room.
    pub fn is_first(&self, seat: &Seat) -> bool {
        let own = seat.next.load(SeqCst);
        let first = self.seats.load().iter().all(|other| other.next.load(SeqCst) >= own);
        if !first {
            self.pass_on();
        }
        first
    }

    /// Wakes the worker whose first is the most urgent, if there is room for it.
    #[inline]
    pub fn pass_on(&self) {
        if self.waiting.load(SeqCst) > 0 && self.in_flight.load(SeqCst) < self.most() {
            self.wake_next();
        }
    }

    /// What has happened since the last look. Wakes whoever may have been overlooked, too.
    pub fn look(&self, now: Instant) -> Look {
        let waiting = self.waiting.load(SeqCst);
        let lasting = !self.emptied.swap(false, Relaxed) && waiting > 0;
        let standing = lasting && (self.is_half_full(waiting) || self.is_half_late(now));
        self.standing.store(standing, Relaxed);
        self.pass_on();
        let in_flight = self.in_flight().saturating_sub(self.stuck(ANY));
        Look { in_flight, waiting, lasting, standing, refused: self.refused.swap(0, Relaxed) }
    }

    fn is_half_full(&self, waiting: u32) -> bool {
        waiting > self.most_waiting.load(Relaxed) / 2
    }

    fn is_half_late(&self, now: Instant) -> bool {
        let seats = self.seats.load();
        let oldest = seats.iter().map(|seat| seat.oldest.load(Relaxed)).min().unwrap_or(NOBODY);
        self.micros(now).saturating_sub(oldest) > self.longest_wait.load(Relaxed) / 2
    }

    #[cold]
    fn wake_next(&self) {
        let seats = self.seats.load();
        let next = seats.iter().min_by_key(|seat| seat.next.load(SeqCst));
        if let Some(seat) = next.filter(|seat| seat.next.load(SeqCst) != Rank::NOBODY.0) {
            seat.waker.wake();
        }
    }

    fn wake_all(&self) {
        self.seats.load().iter().for_each(|seat| seat.waker.wake());
    }

    fn most(&self) -> u32 {
        let most = self.most_in_flight.load(Relaxed).min(self.adaptive.load(Relaxed));
        let most = most.min(self.capacity.load(Relaxed));
        if self.some_closed.load(Relaxed) { most.saturating_add(self.stuck(most)) } else { most }
    }

    /// What is in flight at endpoints that are not open. Those that are drained still get what sticks to them: that
    /// counts up to `most`, or it would have no bound at all.
    #[cold]
    fn stuck(&self, most: u32) -> u32 {
        let (mut draining, mut closed) = (0_u32, 0_u32);
        for state in self.closed.load().iter() {
            let sum = if state.gives(Access::Draining) { &mut draining } else { &mut closed };
            *sum = sum.saturating_add(state.in_flight());
        }
        closed.saturating_add(draining.min(most))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
