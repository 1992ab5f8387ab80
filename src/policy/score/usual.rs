//! What is usual for a route: the running median of its latencies, over all endpoints.
//!
//! Endpoints are compared by multiples of it, so that one which happens to get the heavy pages is not taken for a slow
//! one. It is a common scale and nothing more: an error of it meets every endpoint alike.

use std::collections::HashMap;

/// The median moves by this share at most with each sample, once it has seen a hundred.
const STEP: f64 = 0.01;

/// Samples of which the median is taken exactly.
const FIRST: u32 = 16;

/// Medians by route; routes are numbered by the caller.
#[derive(Debug, Default)]
pub(super) struct Usual {
    routes: HashMap<u32, Median>,
    typical: Option<f64>,
}

impl Usual {
    /// Counts a latency in microseconds of a route and answers what is usual there.
    pub(super) fn learn(&mut self, route: u32, latency_us: f64) -> f64 {
        let usual = self.routes.entry(route).or_default().learn(latency_us);
        let typical = self.typical.get_or_insert(usual);
        *typical += (usual - *typical) * STEP;
        usual
    }

    /// What is usual for a route; `None` while nothing is known.
    pub(super) fn of(&self, route: u32) -> Option<f64> {
        self.routes.get(&route).map(|median| median.value_us)
    }

    /// What is usual for a request of any route, in microseconds; `None` while nothing is known.
    pub(super) fn typical_us(&self) -> Option<f64> {
        self.typical
    }

    /// Forgets the routes that are not wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn(u32) -> bool) {
        self.routes.retain(|route, _| wanted(*route));
    }
}

/// A median that follows its samples in steps: up where a sample is above it, down where it is below.
///
/// Stochastic approximation (H. Robbins, S. Monro, "A stochastic approximation method", 1951) of the logarithm, so that
/// microseconds and minutes are followed alike.
#[derive(Debug, Default)]
struct Median {
    value_us: f64,
    samples: u32,
    /// The first samples in order. Their exact median is the start: a first step from a sample that happens to be
    /// short would make every other look long.
    first: Vec<f64>,
}

impl Median {
    fn learn(&mut self, latency_us: f64) -> f64 {
        self.samples = self.samples.saturating_add(1);
        if self.samples <= FIRST {
            self.begin(latency_us.max(1.0));
        } else {
            let step = f64::from(self.samples).recip().max(STEP);
            self.value_us *= (step * (latency_us - self.value_us).signum()).exp();
        }
        self.value_us
    }

    fn begin(&mut self, latency_us: f64) {
        let at = self.first.partition_point(|other| *other < latency_us);
        self.first.insert(at, latency_us);
        let middle = self.first.len() / 2;
        self.value_us = f64::midpoint(self.first[middle], self.first[(self.first.len() - 1) / 2]);
        if self.samples == FIRST {
            self.first = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_each_route_is_found_and_followed() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut usual = Usual::default();
        let mut feed = |usual: &mut Usual, mean_ms: f64| {
            for _ in 0..2000 {
                usual.learn(1, -rng.f64().max(1e-9).ln() * mean_ms * 1000.0);
                usual.learn(2, 50_000.0 + rng.f64());
            }
        };
        let near = |got: Option<f64>, want: f64| got.is_some_and(|got| (got / want - 1.0).abs() < 0.25);
        feed(&mut usual, 10.0);
        assert!(near(usual.of(1), 6931.0) && near(usual.of(2), 50_000.0), "{usual:?}");
        feed(&mut usual, 200.0);
        assert!(near(usual.of(1), 138_629.0), "{usual:?}");
        assert!(near(usual.typical_us(), 94_000.0), "{usual:?}");
    }

    #[test]
    fn a_route_that_is_gone_is_forgotten() {
        let mut usual = Usual::default();
        usual.learn(1, 1000.0);
        usual.learn(2, 1000.0);
        usual.retain(|route| route == 2);
        assert_eq!((usual.of(1), usual.of(2)), (None, Some(1000.0)));
    }
}
