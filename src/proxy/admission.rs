//! The step between a request's route and its endpoint, for upstreams that bound what they have in flight: let it in,
//! let it wait, or turn it away.
//!
//! A worker has a line for each such upstream. Whoever stands in it has sent nothing. While it is not empty, one task
//! attends to it: the one that is woken when a permit comes back somewhere (`policy::admission` says why none of these
//! wakeups is lost). A request that leaves the line in any way, its client gone among them, gives back what it had by
//! being dropped.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::{HeaderValue, header};
use hyper::body::Incoming;
use tokio::task::spawn_local;

use super::answer::Refusal;
use super::body::RequestBody;
use super::exchange::Exchange;
use super::handle::Service;
use super::received::Outgoing;
use super::send::request_body;
use super::told::Told;
use crate::config::Priority;
use crate::net::timers::Timer;
use crate::policy::admission::{Admission, Key, Line, Seat};
use crate::policy::overload::Shares;
use crate::policy::reason::{Reason, Sent};
use crate::snapshot::Route;

/// A client that is turned away for the load is told to come again after so many seconds, at random, so that those of
/// one moment do not come back together.
const COME_AGAIN: std::ops::RangeInclusive<u8> = 1..=3;

/// One worker's line before one upstream.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Admission>,
    seat: Arc<Seat>,
    line: RefCell<Line<Rc<Slot>>>,
    attended: Cell<bool>,
    /// How long a request waits at most; `None` where none does.
    timeout: Cell<Option<Duration>>,
}

/// A request's share of what its upstream may have in flight, given back when it is dropped.
#[derive(Debug)]
pub struct Permit(Rc<Queue>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.shared.release();
    }
}

/// An upstream has no room for what does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// A request's place in the line.
#[derive(Debug)]
pub struct Place {
    queue: Rc<Queue>,
    slot: Rc<Slot>,
    key: Key,
    since: Instant,
}

/// What the line and the request in it share.
#[derive(Debug, Default)]
struct Slot {
    end: RefCell<Option<Result<Permit, Reason>>>,
    waker: RefCell<Option<Waker>>,
}

/// The body of a request on its way in.
#[derive(Debug)]
pub enum Arriving {
    /// Nothing of it has been asked for.
    Unread(Incoming),
    /// As the endpoint is to get it.
    Read(RequestBody),
}

impl Arriving {
    /// As the endpoint is to get it.
    pub async fn read(
        self,
        service: &Service,
        exchange: &mut Exchange,
        outgoing: &Outgoing,
        route: &Route,
    ) -> RequestBody {
        match self {
            Self::Unread(incoming) => request_body(service, exchange, outgoing, route, incoming).await,
            Self::Read(body) => body,
        }
    }
}

/// Lets a request in at once where nothing bounds its upstream or there is room, and else when its turn has come.
///
/// # Errors
/// It is turned away for the load, or its time is over.
pub async fn pass(
    queue: Option<&Rc<Queue>>,
    service: &Service,
    exchange: &mut Exchange,
    outgoing: &Outgoing,
    route: &Route,
    incoming: Incoming,
) -> Result<Arriving, Refusal> {
    let body = Arriving::Unread(incoming);
    let Some(queue) = queue else { return Ok(body) };
    match enter(queue, service, exchange, route.priority)? {
        None => Ok(body),
        // Boxed, as it is rare: the future of every request would be as large.
        Some(place) => Box::pin(wait(place, service, exchange, outgoing, route, body)).await,
    }
}

/// Lets a request in, or gives it a place to wait at.
///
/// # Errors
/// It is turned away for the load.
#[inline]
fn enter(
    queue: &Rc<Queue>,
    service: &Service,
    exchange: &mut Exchange,
    priority: Priority,
) -> Result<Option<Place>, Reason> {
    let share = queue.shared.shares().of(priority);
    if share < 1.0 && service.worker.rng.borrow_mut().f32() >= share {
        return Err(Reason::Overloaded);
    }
    if !queue.shared.enter() {
        return queue.join(priority).map(Some);
    }
    exchange.admitted(Permit(Rc::clone(queue)), Duration::ZERO);
    Ok(None)
}

/// Lets in what may be dropped, as a sheddable request, where it would not have to wait.
///
/// # Errors
/// There is no room for it.
pub fn enter_or_drop(queue: &Rc<Queue>, rng: &mut fastrand::Rng) -> Result<Permit, Busy> {
    let share = queue.shared.shares().of(Priority::Sheddable);
    let is_let_in = (share >= 1.0 || rng.f32() < share) && queue.shared.enter();
    if is_let_in { Ok(Permit(Rc::clone(queue))) } else { Err(Busy) }
}

/// Waits until the request is let in. What has come of its body is read first: behind an unread body nobody sees that
/// the client goes away.
///
/// # Errors
/// It is turned away for the load, or its time is over.
async fn wait(
    place: Place,
    service: &Service,
    exchange: &mut Exchange,
    outgoing: &Outgoing,
    route: &Route,
    body: Arriving,
) -> Result<Arriving, Refusal> {
    let body = body.read(service, exchange, outgoing, route).await;
    let (most, late) = place.patience(exchange.left());
    let timer = service.worker.timers.timer();
    timer.set_at(place.since + most);
    let ended = poll_fn(|cx| place.poll(cx, &timer, late)).await;
    let waited = place.since.elapsed();
    drop(place);
    match ended {
        Ok(permit) => exchange.admitted(permit, waited),
        Err(reason) => {
            exchange.waited(waited);
            return Err(Refusal::with_sent(reason, Sent::None));
        }
    }
    Ok(Arriving::Read(body))
}

/// Tells a client that was turned away for the load when to come again.
pub fn tell_when(reason: Reason, rng: &mut fastrand::Rng, told: &mut Told) {
    if reason.is_load() {
        told.set(header::RETRY_AFTER, HeaderValue::from(u16::from(rng.u8(COME_AGAIN))));
    }
}

impl Queue {
    /// A line that nobody stands in.
    pub fn new(shared: &Arc<Admission>, timeout: Option<Duration>) -> Rc<Self> {
        Rc::new(Self {
            seat: shared.seat(),
            shared: Arc::clone(shared),
            line: RefCell::default(),
            attended: Cell::new(false),
            timeout: Cell::new(timeout),
        })
    }

    /// Whether it is a line before this upstream.
    pub fn is_of(&self, shared: &Arc<Admission>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    /// How long whoever comes from now on waits at most.
    pub fn wait_for(&self, timeout: Option<Duration>) {
        self.timeout.set(timeout);
    }

    /// A permit for a second copy of a request that has one. `None` while anybody waits or is turned away for the load:
    /// there is nothing to spare then.
    pub fn enter_beside(self: &Rc<Self>) -> Option<Permit> {
        let spare = self.shared.shares() == Shares::ALL;
        (spare && self.shared.enter()).then(|| Permit(Rc::clone(self)))
    }

    #[cold]
    fn join(self: &Rc<Self>, priority: Priority) -> Result<Place, Reason> {
        if !self.shared.join() && !self.make_room(priority) && !self.shared.displace(priority) {
            self.shared.refuse();
            return Err(if self.timeout.get().is_some() { Reason::QueueFull } else { Reason::UpstreamFull });
        }
        let (slot, since) = (Rc::new(Slot::default()), Instant::now());
        let key = self.line.borrow_mut().push(priority, self.shared.micros(since), Rc::clone(&slot));
        self.tell();
        self.attend();
        self.serve();
        Ok(Place { queue: Rc::clone(self), slot, key, since })
    }

    /// Takes the place of one who is less important, of those who wait here.
    fn make_room(&self, priority: Priority) -> bool {
        let evicted = self.line.borrow_mut().evict(priority, self.shared.is_standing());
        if let Some(slot) = &evicted {
            self.shared.refuse();
            slot.end(Err(Reason::QueueFull));
        }
        evicted.is_some()
    }

    /// Takes out whom a more important request on another worker has displaced, while too many wait.
    fn give_up_places(&self) {
        for (class, above) in
            [(Priority::Sheddable, Priority::Normal), (Priority::Normal, Priority::Critical)]
        {
            let asked = self.seat.asked(class);
            for _ in 0..asked {
                if self.shared.is_crowded() && self.make_room(above) {
                    self.left();
                }
            }
        }
    }

    fn attend(self: &Rc<Self>) {
        if !self.attended.replace(true) {
            spawn_local(Rc::clone(self).attended());
        }
    }

    /// Lets in whoever there is room for, whenever there may be, until nobody waits here.
    async fn attended(self: Rc<Self>) {
        poll_fn(|cx| {
            // First: a permit that comes back after the look wakes this.
            self.seat.wakes(cx.waker());
            self.give_up_places();
            self.serve();
            if self.line.borrow().is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.attended.set(false);
    }

    fn serve(self: &Rc<Self>) {
        while !self.line.borrow().is_empty() && self.shared.is_first(&self.seat) && self.shared.take() {
            let permit = Permit(Rc::clone(self));
            let next = self.line.borrow_mut().next(self.shared.is_standing());
            self.left();
            if let Some(slot) = next {
                slot.end(Ok(permit));
            }
        }
        self.shared.pass_on();
    }

    /// One has gone out of the line.
    fn left(&self) {
        self.tell();
        self.shared.leave();
    }

    fn tell(&self) {
        self.shared.tell(&self.seat, &self.line.borrow());
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.vacate(&self.seat);
    }
}

impl Place {
    /// How long to wait, and what it is when that is over. `left`: what the route allows for the whole.
    fn patience(&self, left: Option<Duration>) -> (Duration, Reason) {
        let most = self.queue.timeout.get().unwrap_or_default();
        match left {
            Some(left) if left < most => (left, Reason::RequestTimeout),
            _ => (most, Reason::QueueTimeout),
        }
    }

    fn poll(&self, cx: &Context<'_>, timer: &Timer, late: Reason) -> Poll<Result<Permit, Reason>> {
        if let Some(end) = self.slot.end.borrow_mut().take() {
            return Poll::Ready(end);
        }
        if timer.poll_fired(cx).is_ready() {
            return Poll::Ready(Err(late));
        }
        self.slot.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.shared.tally().add(self.since.elapsed());
        let waits = self.queue.line.borrow_mut().remove(self.key).is_some();
        if waits {
            self.queue.left();
            self.queue.shared.pass_on();
        }
    }
}

impl Slot {
    fn end(&self, end: Result<Permit, Reason>) {
        self.end.replace(Some(end));
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::admission::Bounds;

    #[test]
    fn a_second_copy_has_a_permit_of_its_own_and_none_while_anybody_waits_or_is_shed() {
        let bounds = Bounds { in_flight: 1, waiting: 1, wait: Duration::from_secs(1) };
        let shared = Arc::new(Admission::new(bounds, Instant::now()));
        let queue = Queue::new(&shared, None);
        let permit = queue.enter_beside();
        assert_eq!((permit.is_some(), queue.enter_beside().is_some(), shared.in_flight()), (true, false, 1));
        drop(permit);
        assert_eq!(shared.in_flight(), 0);
        shared.share(Shares { sheddable: 0.66, ..Shares::ALL });
        assert!(queue.enter_beside().is_none(), "the load is too much as it is");
        shared.share(Shares::ALL);
        assert!(shared.join() && queue.enter_beside().is_none(), "who waits is before it");
        shared.leave();
        assert!(queue.enter_beside().is_some());
    }
}
