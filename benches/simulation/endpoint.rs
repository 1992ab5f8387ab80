//! An endpoint of the world: what it is meant to do when, and the queue before it.

use std::collections::VecDeque;
use std::time::Duration;

use super::law::Law;

/// Length of a stall, and the shortest and longest time from the end of one to the begin of the next.
const STALL: Duration = Duration::from_millis(250);
const STALL_APART: (f64, f64) = (2.0, 3.0);

/// What a scenario says of one endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub weight: u32,
    /// From when it is in the fleet.
    pub joins: Duration,
    /// What it does from each of these times on; the first is at 0.
    pub phases: Vec<(Duration, Behaviour)>,
    /// Whether it stops for 250 ms every 2 to 3 seconds, as for a garbage collection.
    pub stalls: bool,
}

/// What an endpoint does for a time.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers after a time by this law; at most so many requests at a time where `servers` says so, the others queue.
    Serve { law: Law, servers: Option<usize> },
    /// Refuses connections.
    Refuse,
    /// Answers 500 at once.
    Answer500,
    /// Answers 503 at once.
    Answer503,
    /// Takes requests and never answers. Those it has begun before, it ends.
    Hang,
}

impl Endpoint {
    /// One that serves by `law` with no limit, always.
    pub fn serving(law: Law) -> Self {
        Self {
            weight: 1,
            joins: Duration::ZERO,
            phases: vec![(Duration::ZERO, Behaviour::Serve { law, servers: None })],
            stalls: false,
        }
    }

    /// What it does at `now`.
    pub fn behaviour(&self, now: Duration) -> &Behaviour {
        let begun = self.phases.partition_point(|(from, _)| *from <= now);
        &self.phases[begun.saturating_sub(1)].1
    }
}

/// An endpoint as it runs.
#[derive(Debug)]
pub struct Station {
    pub endpoint: Endpoint,
    /// Times in which nothing progresses, in order.
    stalls: Vec<(Duration, Duration)>,
    /// Requests that are worked on.
    busy: usize,
    queue: VecDeque<usize>,
}

impl Station {
    /// `length` bounds the stalls that are drawn.
    pub fn new(endpoint: Endpoint, length: Duration, rng: &mut fastrand::Rng) -> Self {
        let stalls = if endpoint.stalls { stalls(length, rng) } else { Vec::new() };
        Self { endpoint, stalls, busy: 0, queue: VecDeque::new() }
    }

    /// Begins with a request if a server is free; else it queues, and the answer is `false`.
    pub fn admit(&mut self, id: usize, now: Duration) -> bool {
        let free = self.has_free_server(now);
        if free {
            self.busy += 1;
        } else {
            self.queue.push_back(id);
        }
        free
    }

    /// A request that was worked on is done.
    pub fn leave(&mut self) {
        self.busy -= 1;
    }

    /// The next of the queue, if a server is free. Its client may have given it up: `leave` then.
    pub fn next(&mut self, now: Duration) -> Option<usize> {
        let next = if self.has_free_server(now) { self.queue.pop_front() } else { None };
        self.busy += usize::from(next.is_some());
        next
    }

    /// When a request begun at `now` that needs `service` is done.
    pub fn end_of(&self, now: Duration, service: Duration) -> Duration {
        let (mut at, mut left) = (now, service);
        let first = self.stalls.partition_point(|(_, end)| *end <= now);
        for &(begin, end) in &self.stalls[first..] {
            let until = begin.saturating_sub(at);
            if left <= until && at < begin {
                break;
            }
            left = left.saturating_sub(until);
            at = end;
        }
        at + left
    }

    fn has_free_server(&self, now: Duration) -> bool {
        match self.endpoint.behaviour(now) {
            Behaviour::Serve { servers: Some(servers), .. } => self.busy < *servers,
            _ => true,
        }
    }
}

fn stalls(length: Duration, rng: &mut fastrand::Rng) -> Vec<(Duration, Duration)> {
    let mut stalls = Vec::new();
    let mut at = Duration::from_secs_f64(rng.f64() * STALL_APART.1);
    while at < length {
        stalls.push((at, at + STALL));
        let apart = STALL_APART.0 + rng.f64() * (STALL_APART.1 - STALL_APART.0);
        at += STALL + Duration::from_secs_f64(apart);
    }
    stalls
}
