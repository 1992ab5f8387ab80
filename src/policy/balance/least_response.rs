//! `least_response`: the lowest cost, which is the published factor times the load per weight.
//!
//! The factor says how slow and how faulty an endpoint has been (`policy::score`); the load says how busy it is now.
//! It never measures anything itself.

use std::time::Instant;

use super::open::Open;
use super::random::Random;
use super::reservoir::Reservoir;
use super::{Balancer, Hint};
use crate::policy::endpoint::{Candidate, Ticks};

/// Up to this many candidates are all compared. Two random choices are not enough when half of the endpoints are bad.
const SCAN: usize = 16;
/// Above, the best of this many drawn at random by weight: with half of the endpoints bad, 3 % of the picks see only
/// bad ones.
const CHOICES: usize = 5;
/// Draws in the hope of `CHOICES` open candidates.
const DRAWS: usize = 16;
/// Below this many open candidates found, all are compared.
const LEAST_CHOICES: usize = 3;
/// Where an endpoint of which nothing is known has a request already.
const BUSY_TRIAL: f32 = 64.0;

/// The open candidate with the lowest cost; ties by requests in flight, then at random by weight.
pub(super) fn pick(
    open: &Open<'_, impl Fn(usize) -> bool>,
    random: &Random,
    hint: Hint,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let asked = Asked::new(open, random, hint);
    let sampled = if open.len() > SCAN { sample(open, random, asked, rng) } else { None };
    sampled.or_else(|| scan(open, asked, rng))
}

/// The best of `CHOICES` draws; `None` if too few of the drawn are open.
fn sample(
    open: &Open<'_, impl Fn(usize) -> bool>,
    random: &Random,
    asked: Asked,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let mut found = 0;
    let mut best = Best::default();
    for _ in 0..DRAWS {
        let Some((index, candidate)) = random.draw(open, rng) else { continue };
        let cost = Cost::of(candidate, asked);
        if asked.probes(candidate, cost) {
            return Some(index);
        }
        // They are drawn by weight already.
        best.offer(index, cost, 1, rng);
        found += 1;
        if found == CHOICES {
            break;
        }
    }
    best.kept().filter(|_| found >= LEAST_CHOICES)
}

fn scan(open: &Open<'_, impl Fn(usize) -> bool>, asked: Asked, rng: &mut fastrand::Rng) -> Option<usize> {
    let mut best = Best::default();
    for (index, candidate) in open.iter() {
        let cost = Cost::of(candidate, asked);
        if asked.probes(candidate, cost) {
            return Some(index);
        }
        best.offer(index, cost, candidate.weight, rng);
    }
    best.kept()
}

/// The best so far of those that are idle and of those that are not.
///
/// Which of the two kinds is better is a matter of cost. Among the idle the weight makes no difference to who is the
/// better, only to how often: a small shop, where nearly all are idle, would else send everything to the heaviest.
struct Best {
    /// By slowness.
    idle: Least,
    /// The lowest cost of an idle one.
    idle_cost: f32,
    /// By cost, then by requests in flight.
    busy: Least,
}

impl Default for Best {
    fn default() -> Self {
        Self { idle: Least::default(), idle_cost: f32::INFINITY, busy: Least::default() }
    }
}

impl Best {
    #[inline]
    fn offer(&mut self, index: usize, cost: Cost, weight: u32, rng: &mut fastrand::Rng) {
        if cost.in_flight > 0 {
            self.busy.offer(rank(cost.cost, cost.in_flight), index, weight, rng);
        } else {
            self.idle.offer(rank(cost.slowness, 0), index, weight, rng);
            self.idle_cost = self.idle_cost.min(cost.cost);
        }
    }

    fn kept(&self) -> Option<usize> {
        let best = if self.busy.rank < rank(self.idle_cost, 0) { &self.busy } else { &self.idle };
        best.ties.kept().or(self.busy.ties.kept())
    }
}

/// Orders by the number and then by requests in flight. Numbers of 0 and above are in the order of their bits.
fn rank(number: f32, in_flight: u32) -> u64 {
    (u64::from(number.to_bits()) << 32) | u64::from(in_flight)
}

/// The lowest of a run, one of equals at random by weight.
struct Least {
    rank: u64,
    ties: Reservoir,
}

impl Default for Least {
    fn default() -> Self {
        Self { rank: u64::MAX, ties: Reservoir::default() }
    }
}

impl Least {
    /// Most candidates are not the best, and are done with here.
    #[inline]
    fn offer(&mut self, rank: u64, index: usize, weight: u32, rng: &mut fastrand::Rng) {
        if rank <= self.rank {
            self.accept(rank, index, weight, rng);
        }
    }

    fn accept(&mut self, rank: u64, index: usize, weight: u32, rng: &mut fastrand::Rng) {
        if rank == self.rank {
            self.ties.offer(index, weight, rng);
        } else {
            *self = Self { rank, ties: Reservoir::starting(index, weight) };
        }
    }
}

/// What of a hint counts here.
#[derive(Debug, Clone, Copy)]
struct Asked {
    now: Ticks,
    safe: bool,
    /// What a weight is counted in.
    mean_weight: f32,
}

impl Asked {
    fn new(open: &Open<'_, impl Fn(usize) -> bool>, random: &Random, hint: Hint) -> Self {
        let epoch = open.epoch().unwrap_or(hint.now);
        Self { now: Ticks::between(epoch, hint.now), safe: hint.safe, mean_weight: random.mean_weight() }
    }

    /// Whether this request goes there to see how it does. Never while one is there that will tell.
    #[inline]
    fn probes(self, candidate: &Candidate, cost: Cost) -> bool {
        self.safe && cost.in_flight == 0 && candidate.state.take_probe()
    }
}

#[derive(Debug, Clone, Copy)]
struct Cost {
    /// How slow and faulty it is, whatever its load.
    slowness: f32,
    cost: f32,
    in_flight: u32,
}

impl Cost {
    /// `factor x age x (1 + in_flight) x (1 + penalty)^2 / weight`, with weights in multiples of their mean.
    ///
    /// The age of what waits there is read here and not in the aggregator: in the tenth of a second until the next
    /// score, a stalled endpoint would get one request for each that the busiest of the others has.
    ///
    /// A cold endpoint that has a request already comes after the others: it looks free, and would be flooded before its
    /// first answer says how slow it is. Where all are cold, as after a start, the least in flight still wins.
    /// Each worker sees the others' requests, but two that pick at the same moment may both find it idle.
    #[inline]
    fn of(candidate: &Candidate, asked: Asked) -> Self {
        let state = &candidate.state;
        let in_flight = state.in_flight();
        let trial = if in_flight > 0 && state.is_cold() { BUSY_TRIAL } else { 1.0 };
        let failing = state.penalty() as f32 + 1.0;
        let slowness = state.factor() * state.age(asked.now) * trial * failing * failing;
        let load = (in_flight as f32 + 1.0) * asked.mean_weight / candidate.weight as f32;
        Self { slowness, cost: slowness * load, in_flight }
    }
}

impl Balancer {
    /// What picks at `now` compare, for those who want to see it: lower is picked. Infinite for an endpoint of weight 0.
    pub fn cost(&self, index: usize, now: Instant) -> f32 {
        let candidate = &self.candidates[index];
        let now = Ticks::between(candidate.state.epoch(), now);
        let asked = Asked { now, safe: false, mean_weight: self.random.mean_weight() };
        let cost = Cost::of(candidate, asked).cost;
        if candidate.weight == 0 { f32::INFINITY } else { cost }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;
    use crate::policy::balance::testing::{candidates, hint, load, warm};
    use crate::policy::score::{Outcome, Score};

    /// Picks out of 1000 that go to candidate 0 of `count`, when it has the given factor.
    fn picks_of_first(count: usize, factor: f32) -> usize {
        let candidates = candidates(&vec![1; count]);
        warm(&candidates);
        candidates[0].state.publish(Score { factor, samples: 1, ..Score::default() });
        let (open, random) = (Open::new(&candidates, |_| true), Random::new(&candidates));
        let mut rng = fastrand::Rng::with_seed(5);
        (0..1000).filter(|_| pick(&open, &random, hint(), &mut rng) == Some(0)).count()
    }

    #[test]
    fn the_dearer_endpoint_is_passed_over_while_its_siblings_are_idle() {
        assert_eq!(picks_of_first(4, 1.5), 0);
        assert_eq!(picks_of_first(40, 1.5), 0);
        assert!((200..300).contains(&picks_of_first(4, 1.0)));
    }

    #[test]
    fn the_dearer_endpoint_is_picked_once_its_siblings_are_busy() {
        let candidates = candidates(&[1, 1]);
        warm(&candidates);
        candidates[0].state.publish(Score { factor: 3.0, samples: 1, ..Score::default() });
        let (open, random) = (Open::new(&candidates, |_| true), Random::new(&candidates));
        let mut rng = fastrand::Rng::with_seed(5);
        let _guards = load(&candidates, &[0, 3]);
        assert_eq!(pick(&open, &random, hint(), &mut rng), Some(0));
    }

    #[test]
    fn an_endpoint_that_fails_at_once_does_not_draw_the_traffic_by_being_idle() {
        let candidates = candidates(&[1, 1]);
        warm(&candidates);
        let (open, random) = (Open::new(&candidates, |_| true), Random::new(&candidates));
        let mut rng = fastrand::Rng::with_seed(5);
        let _guards = load(&candidates, &[0, 30]);
        let failed = std::iter::repeat_with(|| pick(&open, &random, hint(), &mut rng))
            .take_while(|picked| *picked == Some(0))
            .take(1000)
            .inspect(|_| candidates[0].state.observe(Outcome::Failure))
            .count();
        assert!(failed < 10, "{failed} requests failed");
    }

    #[test]
    fn a_cold_endpoint_gets_one_request_at_a_time_while_its_siblings_are_warm() {
        let candidates = candidates(&[1, 1, 1]);
        warm(&candidates[1..]);
        let (open, random) = (Open::new(&candidates, |_| true), Random::new(&candidates));
        let mut rng = fastrand::Rng::with_seed(5);
        let _guards = load(&candidates, &[1, 20, 20]);
        assert!((0..100).all(|_| pick(&open, &random, hint(), &mut rng) != Some(0)));
        let only_cold = Open::new(&candidates, |index| index == 0);
        assert_eq!(pick(&only_cold, &random, hint(), &mut rng), Some(0));
    }

    #[test]
    fn a_shunned_endpoint_that_wants_a_probe_gets_one_read_and_never_a_post() {
        let (get, post) = (Hint::new(Instant::now(), None, &Method::GET), Hint { safe: false, ..hint() });
        for count in [4, 40] {
            let candidates = candidates(&vec![1; count]);
            warm(&candidates);
            let shunned = Score { factor: 50.0, samples: 1, probe: true, ..Score::default() };
            candidates[0].state.publish(shunned);
            let (open, random) = (Open::new(&candidates, |_| true), Random::new(&candidates));
            let mut rng = fastrand::Rng::with_seed(5);
            let mut probes =
                |hint| (0..1000).filter(|_| pick(&open, &random, hint, &mut rng) == Some(0)).count();
            assert_eq!((probes(post), probes(get.again())), (0, 0));
            let busy = candidates[0].state.begin();
            assert_eq!(probes(get), 0, "the request there will tell");
            drop(busy);
            assert_eq!(probes(get), 1);
            assert_eq!(probes(get), 0, "it was asked for once");
        }
    }

    #[test]
    fn only_get_and_head_are_safe_to_probe_with() {
        let safe = |method| Hint::new(Instant::now(), None, &method).safe;
        assert!(safe(Method::GET) && safe(Method::HEAD));
        assert!(
            ![Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS]
                .into_iter()
                .any(safe)
        );
    }

    #[test]
    fn what_has_waited_for_long_makes_its_endpoint_dearer_at_the_next_pick() {
        let candidates = candidates(&[1, 1]);
        let score = Score { samples: 1, patience_us: 10_000.0, ..Score::default() };
        candidates.iter().for_each(|candidate| candidate.state.publish(score));
        let mut guards = load(&candidates, &[1, 2]);
        guards[0].wait(candidates[0].state.epoch());
        let (open, random) = (Open::new(&candidates, |_| true), Random::new(&candidates));
        let picked = |after| {
            let now = candidates[0].state.epoch() + Duration::from_millis(after);
            pick(&open, &random, Hint { now, ..hint() }, &mut fastrand::Rng::with_seed(5))
        };
        assert_eq!((picked(5), picked(500)), (Some(0), Some(1)));
    }

    #[test]
    fn a_pool_that_is_all_cold_is_balanced_by_requests_in_flight() {
        let candidates = candidates(&[1, 1, 1]);
        let (open, random) = (Open::new(&candidates, |_| true), Random::new(&candidates));
        let _guards = load(&candidates, &[3, 2, 4]);
        assert_eq!(pick(&open, &random, hint(), &mut fastrand::Rng::with_seed(5)), Some(1));
    }
}
