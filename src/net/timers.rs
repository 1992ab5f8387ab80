//! Coarse deadlines for one worker: every wait on a socket has one, and none costs a system timer.
//!
//! A request sets and clears two or three deadlines that almost never pass. A timer wheel charges each of them a
//! registration; here a deadline is a number in a slab, and one sweep per [`TICK`] wakes those that have passed. So a
//! deadline fires up to two [`TICK`]s late, never early.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

/// How often a worker sweeps.
pub const TICK: Duration = Duration::from_millis(100);

/// The deadlines of one worker.
#[derive(Debug)]
pub struct Timers {
    entries: RefCell<Slab<Entry>>,
    now: Cell<Instant>,
}

#[derive(Debug)]
struct Entry {
    deadline: Option<Instant>,
    fired: bool,
    waker: Option<Waker>,
}

impl Timers {
    /// No deadlines yet.
    pub fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self { entries: RefCell::new(Slab::new()), now: Cell::new(now) })
    }

    /// The time of the last sweep or [`Timers::observe`]: at most one [`TICK`] old.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// Takes note of a clock reading that somebody paid for anyway.
    pub fn observe(&self, now: Instant) {
        self.now.set(now);
    }

    /// A deadline that is not set.
    pub fn timer(self: &Rc<Self>) -> Timer {
        let key = self.entries.borrow_mut().insert(Entry { deadline: None, fired: false, waker: None });
        Timer { timers: Rc::clone(self), key }
    }

    /// Fires what has passed and wakes who waits for it.
    pub fn sweep(&self, now: Instant) {
        self.observe(now);
        for waker in self.expire(now) {
            waker.wake();
        }
    }

    fn expire(&self, now: Instant) -> Vec<Waker> {
        let mut entries = self.entries.borrow_mut();
        let passed = entries.iter_mut().filter(|(_, entry)| entry.deadline.is_some_and(|at| at <= now));
        passed.filter_map(|(_, entry)| entry.fire()).collect()
    }
}

impl Entry {
    fn fire(&mut self) -> Option<Waker> {
        self.deadline = None;
        self.fired = true;
        self.waker.take()
    }
}

/// One deadline; dropping it forgets it.
#[derive(Debug)]
pub struct Timer {
    timers: Rc<Timers>,
    key: usize,
}

impl Timer {
    /// (Re)starts the deadline from now.
    pub fn set(&self, after: Duration) {
        // The time at hand may be a tick old.
        self.set_at(self.timers.now() + after + TICK);
    }

    /// (Re)starts the deadline at a point in time.
    pub fn set_at(&self, deadline: Instant) {
        let mut entries = self.timers.entries.borrow_mut();
        let entry = &mut entries[self.key];
        entry.deadline = Some(deadline);
        entry.fired = false;
    }

    /// Forgets the deadline; it will not fire.
    pub fn clear(&self) {
        let mut entries = self.timers.entries.borrow_mut();
        let entry = &mut entries[self.key];
        entry.deadline = None;
        entry.fired = false;
    }

    /// Whether the deadline has passed, without waiting for it.
    pub fn fired(&self) -> bool {
        self.timers.entries.borrow()[self.key].fired
    }

    /// Ready once the deadline has passed; else wakes `cx` when it does.
    pub fn poll_fired(&self, cx: &Context<'_>) -> Poll<()> {
        let mut entries = self.timers.entries.borrow_mut();
        let entry = &mut entries[self.key];
        if entry.fired {
            return Poll::Ready(());
        }
        match &mut entry.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.timers.entries.borrow_mut().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(timer: &Timer) -> Poll<()> {
        timer.poll_fired(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_deadline_fires_at_the_first_sweep_after_it_and_not_before() {
        let start = Instant::now();
        let timers = Timers::new(start);
        let timer = timers.timer();
        timer.set(Duration::from_millis(150));
        timers.sweep(start + Duration::from_millis(249));
        assert!(poll(&timer).is_pending());
        timers.sweep(start + Duration::from_millis(250));
        assert!(poll(&timer).is_ready());
    }

    #[test]
    fn a_deadline_that_is_set_again_or_cleared_does_not_fire() {
        let start = Instant::now();
        let timers = Timers::new(start);
        let (moved, cleared) = (timers.timer(), timers.timer());
        moved.set(TICK);
        moved.set(TICK * 5);
        cleared.set(TICK);
        cleared.clear();
        timers.sweep(start + TICK * 2);
        assert!(!moved.fired() && !cleared.fired());
    }

    #[test]
    fn a_dropped_timer_leaves_nothing_behind() {
        let timers = Timers::new(Instant::now());
        drop(timers.timer());
        assert!(timers.entries.borrow().is_empty());
    }
}
