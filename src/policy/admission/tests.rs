use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::task::Wake;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::config::Priority::{Critical, Normal, Sheddable};
use crate::policy::endpoint::InFlight;

fn bounds(in_flight: u32, waiting: u32) -> Bounds {
    Bounds { in_flight, waiting, wait: Duration::from_secs(1) }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Bell {
    fn at(seat: &Seat) -> Arc<Self> {
        let bell = Arc::new(Self::default());
        seat.wakes(&Waker::from(Arc::clone(&bell)));
        bell
    }

    fn rung(&self) -> usize {
        self.0.load(SeqCst)
    }
}

fn waits(admission: &Admission, seat: &Seat, priority: Priority, came: u64) -> Line<()> {
    assert!(admission.join());
    let mut line = Line::default();
    line.push(priority, came, ());
    admission.tell(seat, &line);
    line
}

#[test]
fn no_more_than_the_limit_are_in_flight_and_no_more_than_may_wait_wait() {
    let admission = Admission::new(bounds(2, 1), Instant::now());
    assert!(admission.enter() && admission.enter() && !admission.enter());
    assert!(admission.join() && !admission.join());
    admission.release();
    assert!(!admission.enter(), "who waits is before who comes");
    assert!(admission.take());
    admission.leave();
    assert_eq!((admission.in_flight(), admission.waiting()), (2, 0));
}

#[test]
fn the_lowest_of_all_limits_counts() {
    let admission = Admission::new(bounds(7, 0), Instant::now());
    assert_eq!(admission.limit(), Some(7));
    admission.adapt(Some(5));
    admission.hold(Some(6), Vec::new());
    assert_eq!(admission.limit(), Some(5));
    admission.adapt(None);
    assert_eq!(admission.limit(), Some(6));
    admission.hold(None, Vec::new());
    admission.bound(Bounds::NONE);
    assert_eq!(admission.limit(), None);
}

#[test]
fn what_comes_back_wakes_the_most_urgent_worker_only() {
    let admission = Admission::new(bounds(1, 9), Instant::now());
    assert!(admission.enter());
    let seats = [(); 3].map(|()| admission.seat());
    let bells = seats.each_ref().map(|seat| Bell::at(seat));
    let _lines = [(Sheddable, 1), (Normal, 9), (Normal, 5)];
    for (seat, (priority, came)) in seats.iter().zip(_lines) {
        waits(&admission, seat, priority, came);
    }
    admission.release();
    assert_eq!(bells.each_ref().map(|bell| bell.rung()), [0, 0, 1]);
    assert!(admission.is_first(&seats[2]) && !admission.is_first(&seats[0]));
}

#[test]
fn who_leaves_while_there_is_room_wakes_the_next() {
    let admission = Admission::new(bounds(1, 9), Instant::now());
    assert!(admission.enter());
    let seats = [(); 2].map(|()| admission.seat());
    let bells = seats.each_ref().map(|seat| Bell::at(seat));
    waits(&admission, &seats[0], Critical, 1);
    waits(&admission, &seats[1], Normal, 1);
    admission.release();
    assert_eq!(bells[0].rung(), 1);
    // The client of the first has gone meanwhile.
    admission.tell(&seats[0], &Line::<()>::default());
    admission.leave();
    admission.pass_on();
    assert_eq!(bells[1].rung(), 1);
}

#[test]
fn the_least_important_of_all_workers_is_asked_to_make_room_once() {
    let admission = Admission::new(bounds(1, 2), Instant::now());
    assert!(admission.enter());
    let seats = [(); 2].map(|()| admission.seat());
    let bells = seats.each_ref().map(|seat| Bell::at(seat));
    waits(&admission, &seats[0], Normal, 1);
    waits(&admission, &seats[1], Sheddable, 2);
    assert!(!admission.displace(Sheddable) && !admission.is_crowded());
    assert!(admission.displace(Normal), "the sheddable one is asked");
    assert!(!admission.displace(Normal), "and makes room for one only");
    assert!(admission.displace(Critical), "the normal one is asked");
    assert!(!admission.displace(Critical) && admission.is_crowded());
    assert_eq!((admission.waiting(), bells.each_ref().map(|bell| bell.rung())), (4, [1, 1]));
    let asked = |seat: &Seat| [Critical, Normal, Sheddable].map(|class| seat.asked(class));
    assert_eq!(seats.each_ref().map(|seat| asked(seat)), [[0, 1, 0], [0, 0, 1]]);
    assert_eq!(seats.each_ref().map(|seat| asked(seat)), [[0; 3]; 2]);
}

#[test]
fn a_limit_that_is_raised_lets_in_who_waits() {
    let admission = Admission::new(bounds(1, 9), Instant::now());
    assert!(admission.enter());
    let seat = admission.seat();
    waits(&admission, &seat, Normal, 1);
    let raise: [&dyn Fn(&Admission); 2] = [&|one| one.bound(bounds(2, 9)), &|one| {
        one.adapt(Some(1));
        one.adapt(None);
    }];
    for raise in raise {
        let bell = Bell::at(&seat);
        raise(&admission);
        assert_eq!(bell.rung(), 1);
    }
}

/// An endpoint with so many requests in flight.
fn holding(count: usize, access: Access) -> (Arc<EndpointState>, Vec<InFlight>) {
    let state = Arc::new(EndpointState::new(Instant::now()));
    state.allow(access);
    let in_flight = (0..count).map(|_| state.begin()).collect();
    (state, in_flight)
}

#[test]
fn what_is_stuck_at_a_closed_endpoint_takes_no_room_from_the_others() {
    let admission = Admission::new(bounds(2, 9), Instant::now());
    let (state, mut stuck) = holding(2, Access::Closed);
    assert!(admission.enter() && admission.enter() && !admission.enter());
    let seat = admission.seat();
    let bell = Bell::at(&seat);
    waits(&admission, &seat, Normal, 1);
    admission.hold(None, vec![Arc::clone(&state)]);
    assert_eq!((admission.limit(), bell.rung()), (Some(4), 1), "who waits is woken");
    assert_eq!(admission.look(Instant::now()).in_flight, 0, "at the others");
    assert!(admission.take() && admission.take() && !admission.take());
    drop(stuck.pop());
    admission.release();
    assert!(!admission.take(), "an end there is no room at the others");
    admission.hold(None, Vec::new());
    assert_eq!(admission.limit(), Some(2));
}

#[test]
fn what_sticks_to_a_drained_endpoint_doubles_the_limit_at_most() {
    let admission = Admission::new(bounds(2, 9), Instant::now());
    let (draining, mut sticks) = holding(1, Access::Draining);
    admission.hold(None, vec![Arc::clone(&draining)]);
    assert_eq!(admission.limit(), Some(3));
    sticks.extend((0..5).map(|_| draining.begin()));
    assert_eq!(admission.limit(), Some(4));
    draining.allow(Access::Closed);
    assert_eq!(admission.limit(), Some(8), "nothing more comes");
}

#[test]
fn a_queue_lasts_when_it_was_not_empty_from_one_look_to_the_next() {
    let now = Instant::now();
    let admission = Admission::new(bounds(0, 9), now);
    let lasting = || admission.look(now).lasting;
    assert!(!lasting());
    assert!(admission.join());
    assert!(!lasting(), "it was empty before");
    assert!(admission.join());
    assert!(lasting());
    admission.leave();
    assert!(lasting());
    admission.leave();
    assert!(admission.join());
    assert!(!lasting(), "it was empty for a moment");
}

#[test]
fn a_queue_stands_when_more_than_half_of_its_places_are_taken() {
    let now = Instant::now();
    let admission = Admission::new(bounds(0, 4), now);
    let standing = || admission.look(now).standing;
    assert!(admission.join() && admission.join() && !standing());
    assert!(!standing(), "half");
    assert!(admission.join() && standing() && admission.is_standing());
    admission.leave();
    assert!(!standing() && !admission.is_standing());
}

#[test]
fn a_queue_stands_when_somebody_has_waited_for_more_than_half_of_the_time() {
    let start = Instant::now();
    let admission = Admission::new(bounds(0, 9), start);
    let seats = [(); 2].map(|()| admission.seat());
    let standing = |millis| admission.look(start + Duration::from_millis(millis)).standing;
    let _old = waits(&admission, &seats[0], Sheddable, 100_000);
    let _young = waits(&admission, &seats[1], Critical, 500_000);
    assert!(!standing(200) && !standing(600));
    assert!(standing(601));
    admission.tell(&seats[0], &Line::<()>::default());
    assert!(!standing(602), "the other has not");
}

#[test]
fn the_refused_are_told_once() {
    let now = Instant::now();
    let admission = Admission::new(Bounds::NONE, now);
    admission.refuse();
    assert_eq!((admission.look(now).refused, admission.look(now).refused), (1, 0));
}

/// One worker as a thread: a line of its own, and a sleep until it is woken.
struct Worker {
    admission: Arc<Admission>,
    seat: Arc<Seat>,
    line: Line<()>,
    rng: fastrand::Rng,
    clock: u64,
}

impl Worker {
    fn new(admission: &Arc<Admission>, seed: u64) -> Self {
        let seat = admission.seat();
        Self {
            admission: Arc::clone(admission),
            seat,
            line: Line::default(),
            rng: fastrand::Rng::with_seed(seed),
            clock: 0,
        }
    }

    fn tell(&self) {
        self.admission.tell(&self.seat, &self.line);
    }

    /// As the line of `proxy::admission` does it. How many got a permit.
    fn serve(&mut self) -> usize {
        let mut served = 0;
        while !self.line.is_empty() && self.admission.is_first(&self.seat) && self.admission.take() {
            self.line.next(false);
            self.tell();
            self.admission.leave();
            served += 1;
        }
        self.admission.pass_on();
        served
    }

    /// Lets `total` requests through, some of which give up. Nobody else looks after it: a wakeup that is lost is a
    /// test that ends here.
    fn run(mut self, total: usize, most: usize, busy: &AtomicUsize) {
        let (waker, woken) = mpsc::sync_channel(1);
        let waker = Waker::from(Arc::new(Doorbell(waker)));
        let mut left = total;
        while left > 0 {
            while !self.line.is_empty() || self.rng.bool() {
                self.clock += self.rng.u64(0..50);
                if left > 0 && self.rng.bool() && self.admission.join() {
                    let priority = [Critical, Normal, Sheddable][self.rng.usize(0..3)];
                    let key = self.line.push(priority, self.clock, ());
                    self.tell();
                    left -= 1;
                    if self.rng.u8(0..4) == 0 {
                        self.line.remove(key);
                        self.tell();
                        self.admission.leave();
                        self.admission.pass_on();
                    }
                }
                self.seat.wakes(&waker);
                let served = self.serve();
                if served == 0 && !self.line.is_empty() {
                    woken.recv_timeout(Duration::from_secs(20)).expect("no wakeup is lost");
                }
                for _ in 0..served {
                    assert!(busy.fetch_add(1, SeqCst) < most);
                    std::hint::spin_loop();
                    busy.fetch_sub(1, SeqCst);
                    self.admission.release();
                }
            }
        }
        self.admission.vacate(&self.seat);
    }
}

struct Doorbell(mpsc::SyncSender<()>);

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        // Full: it rings already.
        let _ = self.0.try_send(());
    }
}

#[test]
fn no_wakeup_is_lost_between_workers_and_no_permit_given_twice() {
    for most in [1, 2, 3] {
        let admission = Arc::new(Admission::new(bounds(most, 64), Instant::now()));
        let busy = AtomicUsize::new(0);
        thread::scope(|scope| {
            for seed in 0..4 {
                let worker = Worker::new(&admission, seed);
                scope.spawn(|| worker.run(5_000, most as usize, &busy));
            }
        });
        assert_eq!((admission.in_flight(), admission.waiting()), (0, 0));
    }
}
