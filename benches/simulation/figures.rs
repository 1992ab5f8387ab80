//! What is counted in a run, and how runs with several seeds become one row.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::balance::Ending;
use super::scenario::{Change, Scenario};
use super::series::Picks;

/// Nothing is waited for longer than 10 s; in microseconds.
const LONGEST_US: u64 = 20_000_000;

/// The figures of one run, or of several that were merged.
#[derive(Debug, PartialEq)]
pub struct Figures {
    /// Of the requests that succeeded, in microseconds. What failed is in `errors` alone: an endpoint that fails fast
    /// makes no percentile look better, and one that fails slowly none worse.
    latencies: Histogram<u64>,
    pub errors: u64,
    /// For each seed: requests of each endpoint while shares are of interest.
    pub shares: Vec<Vec<u64>>,
    /// For each seed: from the change for the worse until traffic had left.
    pub left: Vec<Option<Duration>>,
    /// For each seed: from the change for the better until traffic was back.
    pub returned: Vec<Option<Duration>>,
    picks: Picks,
}

impl Figures {
    pub fn new() -> Self {
        Self {
            latencies: Histogram::new_with_bounds(1, LONGEST_US, 3)
                .expect("bounds that hdrhistogram accepts"),
            errors: 0,
            shares: Vec::new(),
            left: Vec::new(),
            returned: Vec::new(),
            picks: Picks::default(),
        }
    }

    pub fn picked(&mut self, endpoint: usize, now: Duration) {
        self.picks.add(endpoint, now);
    }

    pub fn ended(&mut self, latency: Duration, ending: Ending) {
        if ending == Ending::Success {
            self.latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        } else {
            self.errors += 1;
        }
    }

    /// The run is over; reads off the picks what there is to read, and drops them.
    pub fn finish(&mut self, scenario: &Scenario) {
        let picks = std::mem::take(&mut self.picks);
        let (from, to) = scenario.shared();
        self.shares.push(picks.counts(scenario.endpoints.len(), from, to));
        let Some(Change { endpoint, worse, better }) = scenario.change else { return };
        let half = 0.5 / scenario.endpoints.len() as f64;
        if let Some(worse) = worse {
            let end = better.unwrap_or(scenario.length);
            self.left.push(picks.time_until_under(half, endpoint, worse, end));
        }
        if let Some(better) = better {
            self.returned.push(picks.time_until_over(half, endpoint, better, scenario.length));
        }
    }

    /// The figures of several seeds as one; `None` of none.
    pub fn merged(runs: impl IntoIterator<Item = Self>) -> Option<Self> {
        runs.into_iter().reduce(|mut all, run| {
            all.add(run);
            all
        })
    }

    fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies).expect("the same bounds");
        self.errors += other.errors;
        self.shares.extend(other.shares);
        self.left.extend(other.left);
        self.returned.extend(other.returned);
    }

    /// In milliseconds.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }

    pub fn mean_ms(&self) -> f64 {
        self.latencies.mean() / 1000.0
    }

    /// All that arrived after the warm-up.
    pub fn requests(&self) -> u64 {
        self.latencies.len() + self.errors
    }

    /// The smallest and the largest share that an endpoint had with any seed, as a multiple of what its weight says.
    pub fn share_range(&self, scenario: &Scenario) -> (f64, f64) {
        let weights: Vec<f64> =
            scenario.endpoints.iter().map(|endpoint| f64::from(endpoint.weight)).collect();
        let shares = || self.shares.iter().flat_map(|shares| of_fair(shares, &weights));
        (shares().fold(f64::INFINITY, f64::min), shares().fold(0.0, f64::max))
    }
}

fn of_fair(shares: &[u64], weights: &[f64]) -> impl Iterator<Item = f64> {
    let per_weight = shares.iter().sum::<u64>() as f64 / weights.iter().sum::<f64>();
    shares.iter().zip(weights).map(move |(share, weight)| *share as f64 / (per_weight * weight))
}

/// The longest of all seeds; `None` if it never happened with one of them.
pub fn longest(times: &[Option<Duration>]) -> Option<Duration> {
    times.iter().copied().collect::<Option<Vec<_>>>().and_then(|times| times.into_iter().max())
}
