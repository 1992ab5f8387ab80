//! How long an endpoint works on a request, as a distribution.
//!
//! A draw depends only on the law and on the request's own random numbers, so that a request which is heavy under one
//! strategy is as heavy under another (common random numbers): what then differs is the strategy's doing.

use std::time::Duration;

/// A distribution of service times.
#[derive(Debug, Clone)]
pub enum Law {
    Exponential {
        mean_ms: f64,
    },
    /// Always about the same: uniform within 10 % of the mean.
    Steady {
        mean_ms: f64,
    },
    /// Steady, and a share of the requests takes `extra_ms` more.
    HeavyTail {
        mean_ms: f64,
        share: f64,
        extra_ms: f64,
    },
    LogNormal {
        median_ms: f64,
        sigma: f64,
    },
    /// One law for each route.
    ByRoute(Vec<Law>),
}

impl Law {
    /// Exponential with this mean.
    pub fn exponential(mean_ms: f64) -> Self {
        Self::Exponential { mean_ms }
    }

    /// The time for one request.
    pub fn draw(&self, route: u16, rng: &mut fastrand::Rng) -> Duration {
        Duration::from_secs_f64(self.draw_ms(route, rng) / 1000.0)
    }

    fn draw_ms(&self, route: u16, rng: &mut fastrand::Rng) -> f64 {
        match self {
            Self::Exponential { mean_ms } => exponential(*mean_ms, rng),
            Self::Steady { mean_ms } => steady(*mean_ms, rng),
            Self::HeavyTail { mean_ms, share, extra_ms } => {
                let extra = if rng.f64() < *share { *extra_ms } else { 0.0 };
                steady(*mean_ms, rng) + extra
            }
            Self::LogNormal { median_ms, sigma } => median_ms * (sigma * normal(rng)).exp(),
            Self::ByRoute(laws) => laws[usize::from(route) % laws.len()].draw_ms(route, rng),
        }
    }
}

fn steady(mean: f64, rng: &mut fastrand::Rng) -> f64 {
    mean * (0.9 + 0.2 * rng.f64())
}

/// By inversion; in the unit of the mean.
pub fn exponential(mean: f64, rng: &mut fastrand::Rng) -> f64 {
    -(1.0 - rng.f64()).ln() * mean
}

/// Standard normal (Box and Muller 1958).
fn normal(rng: &mut fastrand::Rng) -> f64 {
    let radius = exponential(2.0, rng).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}
