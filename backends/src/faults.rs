//! Faults on purpose: latency, jitter, errors and stalls, so that there is something to balance around.
//!
//! The draws are pure functions of the options and a seeded generator; only [`Faults::disturb`] and [`Faults::pause`]
//! wait. A fault never happens half way: an injected error has not touched the store.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fastrand::Rng;
use tokio::time::Instant;

use crate::options::FaultOptions;
use crate::problem::Problem;

/// The faults of one replica, from its start on.
#[derive(Debug)]
pub struct Faults {
    options: FaultOptions,
    stall: Option<Stall>,
    rng: Mutex<Rng>,
    started: Instant,
}

impl Faults {
    /// Errors when a stall would last as long as its period.
    pub fn new(options: FaultOptions, started: Instant) -> Result<Self, String> {
        let mut rng = options.seed.map_or_else(Rng::new, Rng::with_seed);
        let stall = Stall::new(&options, &mut rng)?;
        Ok(Self { options, stall, rng: Mutex::new(rng), started })
    }

    /// Middleware for everything but `/healthz`: an error instead of the answer, and latency on top of either.
    pub async fn disturb(State(faults): State<Arc<Self>>, request: Request, next: Next) -> Response {
        let fate = faults.draw();
        let answer = if fate.fails { injected_error() } else { next.run(request).await };
        sleep(fate.latency).await;
        answer
    }

    /// Middleware for everything: while the replica stalls, no request begins and no answer leaves.
    pub async fn pause(State(faults): State<Arc<Self>>, request: Request, next: Next) -> Response {
        faults.wait_for_stall().await;
        let answer = next.run(request).await;
        faults.wait_for_stall().await;
        answer
    }

    async fn wait_for_stall(&self) {
        if let Some(stall) = &self.stall {
            sleep(stall.remaining(self.started.elapsed())).await;
        }
    }

    fn draw(&self) -> Fate {
        Fate::draw(&self.options, &mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn injected_error() -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "injected", "asked for by --error-percent")
        .into_response()
}

/// What happens to one request.
#[derive(Debug, PartialEq)]
struct Fate {
    fails: bool,
    latency: Duration,
}

impl Fate {
    /// Always two draws, so that the sequence under a seed does not depend on the options.
    fn draw(options: &FaultOptions, rng: &mut Rng) -> Self {
        let fails = options.error_percent.covers(rng.f64());
        Self { fails, latency: options.latency + options.jitter.mul_f64(rng.f64()) }
    }
}

/// A pause of all requests, once per period. Where in the period it falls is drawn once, because replicas that are
/// started together would else all stall together.
#[derive(Debug)]
struct Stall {
    every: Duration,
    lasts: Duration,
    offset: Duration,
}

impl Stall {
    fn new(options: &FaultOptions, rng: &mut Rng) -> Result<Option<Self>, String> {
        let (Some(every), Some(lasts)) = (options.stall_every, options.stall_for) else { return Ok(None) };
        if lasts >= every {
            return Err("--stall-for has to be less than --stall-every".to_owned());
        }
        Ok(Some(Self { every, lasts, offset: every.mul_f64(rng.f64()) }))
    }

    /// How much longer the stall takes that is on at `elapsed` after the start; zero when none is.
    fn remaining(&self, elapsed: Duration) -> Duration {
        let into_period = (elapsed + self.offset).as_secs_f64() % self.every.as_secs_f64();
        self.lasts.saturating_sub(Duration::from_secs_f64(into_period))
    }
}

/// Tokio's timer ticks in milliseconds and would turn 250 us into more than 1 ms; waits that short are slept on a
/// blocking thread.
async fn sleep(time: Duration) {
    const PRECISE_BELOW: Duration = Duration::from_millis(2);
    if time.is_zero() {
        return;
    }
    if time >= PRECISE_BELOW {
        return tokio::time::sleep(time).await;
    }
    // The closure cannot panic; a join error means that the runtime is going away, and the wait with it.
    let _ = tokio::task::spawn_blocking(move || thread::sleep(time)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn jittery() -> FaultOptions {
        FaultOptions { latency: 5 * MS, jitter: 3 * MS, ..FaultOptions::default() }
    }

    #[test]
    fn the_same_seed_draws_the_same_fates() {
        let fates = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..100).map(|_| Fate::draw(&jittery(), &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    #[test]
    fn jitter_stays_between_nothing_and_its_bound() {
        let mut rng = Rng::with_seed(1);
        for _ in 0..1000 {
            let latency = Fate::draw(&jittery(), &mut rng).latency;
            assert!((5 * MS..=8 * MS).contains(&latency), "{latency:?}");
        }
    }

    #[test]
    fn a_stall_opens_its_period_and_what_is_left_of_it_shrinks() {
        let stall = Stall { every: 2000 * MS, lasts: 250 * MS, offset: Duration::ZERO };
        assert_eq!(stall.remaining(Duration::ZERO), 250 * MS);
        assert_eq!(stall.remaining(100 * MS).as_millis(), 150);
        assert_eq!(stall.remaining(250 * MS), Duration::ZERO);
        assert_eq!(stall.remaining(1999 * MS), Duration::ZERO);
        assert_eq!(stall.remaining(4000 * MS), 250 * MS);
    }

    #[test]
    fn a_stall_as_long_as_its_period_is_refused() {
        let options = FaultOptions { stall_every: Some(MS), stall_for: Some(MS), ..FaultOptions::default() };
        assert!(Faults::new(options, Instant::now()).is_err());
    }
}
