//! Picks the endpoint for a request: one strategy over one upstream's candidates.
//!
//! To add a strategy: a variant of `config::Strategy`, a module below, an arm in `Rule::new` and one in
//! `Balancer::pick`; the laws in `balance/laws.rs` then hold it to what every strategy must do. A pick never
//! allocates, never locks, and never blocks on another worker.

mod account;
mod alias;
mod consistent_hash;
mod least_connections;
mod least_response;
mod maglev;
mod open;
mod p2c;
mod random;
mod reservoir;
mod round_robin;
mod weighted;

use std::time::Instant;

use http::Method;

pub use self::consistent_hash::hash_key;
use self::maglev::Table;
use self::open::Open;
use self::random::Random;
use self::weighted::Schedule;
use super::endpoint::Candidate;
use crate::config::Strategy;

/// One upstream's strategy and candidates. Immutable; lives in the snapshot and is shared by all workers.
#[derive(Debug)]
pub struct Balancer {
    candidates: Vec<Candidate>,
    random: Random,
    rule: Rule,
}

/// What a balancer may know of a request.
#[derive(Debug, Clone, Copy)]
pub struct Hint {
    /// When it came.
    pub now: Instant,
    /// The hash of what it sticks by; without one, `consistent_hash` balances at random by weight.
    pub key: Option<u64>,
    /// Whether it changes nothing (GET, HEAD), so that it may be sent to see how an endpoint does.
    pub safe: bool,
}

impl Hint {
    /// Of a request with this method that came at `now`.
    pub fn new(now: Instant, key: Option<u64>, method: &Method) -> Self {
        Self { now, key, safe: matches!(*method, Method::GET | Method::HEAD) }
    }

    /// The same request once an endpoint has failed it: it has waited enough to be no probe.
    pub fn again(self) -> Self {
        Self { safe: false, ..self }
    }
}

/// `Strategy` with what it precomputes.
#[derive(Debug)]
enum Rule {
    RoundRobin,
    Weighted(Schedule),
    Random,
    LeastConnections,
    P2c,
    LeastResponse,
    ConsistentHash(Table),
}

impl Balancer {
    /// A balancer over `candidates`; picks are indices into them.
    pub fn new(strategy: &Strategy, candidates: Vec<Candidate>) -> Self {
        Self::build(strategy, candidates, None)
    }

    /// As `new`, for a reload: what `previous` precomputed is shared where it is the same.
    pub fn renew(previous: &Self, strategy: &Strategy, candidates: Vec<Candidate>) -> Self {
        Self::build(strategy, candidates, Some(previous))
    }

    /// The candidates, in the order given.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// A worker's own place in this balancer's turns. It starts at random, since workers that all began with the first
    /// endpoint would meet there after every reload.
    pub fn cursor(&self, rng: &mut fastrand::Rng) -> Cursor {
        let turns = match &self.rule {
            Rule::Weighted(schedule) => schedule.len(),
            _ => self.candidates.len(),
        };
        Cursor { position: rng.usize(0..turns.max(1)) }
    }

    /// The candidate for a request; `None` if and only if none with a weight above 0 is eligible. One in its slow start is
    /// passed over by the share of picks that it does not have yet, unless there is no other.
    pub fn pick(
        &self,
        cursor: &mut Cursor,
        hint: Hint,
        eligible: impl Fn(usize) -> bool,
        rng: &mut fastrand::Rng,
    ) -> Option<usize> {
        // A key has its place from the start.
        let least_ramp = if matches!(self.rule, Rule::ConsistentHash(_)) { 0.0 } else { rng.f32() };
        let picked =
            self.pick_open(&Open::ramped(&self.candidates, &eligible, least_ramp), cursor, hint, rng);
        picked.or_else(|| self.pick_open(&Open::new(&self.candidates, &eligible), cursor, hint, rng))
    }

    fn pick_open(
        &self,
        open: &Open<'_, impl Fn(usize) -> bool>,
        cursor: &mut Cursor,
        hint: Hint,
        rng: &mut fastrand::Rng,
    ) -> Option<usize> {
        match &self.rule {
            Rule::RoundRobin => round_robin::pick(open, &mut cursor.position),
            Rule::Weighted(schedule) => schedule.pick(open, &mut cursor.position),
            Rule::Random => self.random.pick(open, rng),
            Rule::LeastConnections => least_connections::pick(open, &self.random, rng),
            Rule::P2c => p2c::pick(open, &self.random, rng),
            Rule::LeastResponse => least_response::pick(open, &self.random, hint, rng),
            Rule::ConsistentHash(table) => match hint.key {
                Some(key) => consistent_hash::pick(open, table, key, rng),
                None => self.random.pick(open, rng),
            },
        }
    }

    fn build(strategy: &Strategy, candidates: Vec<Candidate>, previous: Option<&Self>) -> Self {
        Self {
            random: Random::new(&candidates),
            rule: Rule::new(strategy, &candidates, previous),
            candidates,
        }
    }
}

impl Rule {
    fn new(strategy: &Strategy, candidates: &[Candidate], previous: Option<&Balancer>) -> Self {
        match strategy {
            Strategy::RoundRobin => Self::RoundRobin,
            Strategy::Weighted => Self::Weighted(Schedule::new(candidates)),
            Strategy::Random => Self::Random,
            Strategy::LeastConnections => Self::LeastConnections,
            Strategy::P2c => Self::P2c,
            Strategy::LeastResponse => Self::LeastResponse,
            Strategy::ConsistentHash(_) => Self::ConsistentHash(table(candidates, previous)),
        }
    }
}

/// The table of `previous` where it was made for the same candidates in the same order.
fn table(candidates: &[Candidate], previous: Option<&Balancer>) -> Table {
    let places = |candidates: &[Candidate]| -> Vec<_> {
        candidates.iter().map(|candidate| (candidate.address, candidate.weight)).collect()
    };
    match previous {
        Some(Balancer { rule: Rule::ConsistentHash(table), candidates: old, .. })
            if places(old) == places(candidates) =>
        {
            table.clone()
        }
        _ => Table::new(&places(candidates)),
    }
}

/// A worker's place in the turns of `round_robin` and `weighted`. Of no use to another balancer, and of no harm.
#[derive(Debug, Clone)]
pub struct Cursor {
    position: usize,
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod testing;
