//! When a request is answered, and with what. No clock and no socket in here: `now` and the seed are arguments, so that
//! each proxy meets the same stalls at the same moments.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Deserialize;

/// What an endpoint is told to be like.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Law {
    service: Service,
    /// Some requests take longer, as behind a lock or a cache that missed.
    tail: Option<Tail>,
    /// Times all of it; a machine that is ten times slower has 10.
    #[serde(default = "one")]
    slow_factor: f64,
    /// Now and then the whole process stands still, as in a garbage collection.
    stall: Option<Stall>,
    /// In place of an answer after a time.
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Service {
    /// The mean.
    ExponentialMs(f64),
    FixedMs(f64),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    /// Of the requests, 0 to 1.
    share: f64,
    extra_ms: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stall {
    for_ms: f64,
    /// From the start of one to the start of the next, drawn evenly between the two.
    every_ms: (f64, f64),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fault {
    /// The request is taken and never answered.
    Hang,
    /// This status, without any work.
    Status(u16),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    At(Instant),
    AtOnce(StatusCode),
    Never,
}

/// A law in force.
pub(crate) struct Behaviour {
    law: Law,
    rng: fastrand::Rng,
    stalls: Option<Stalls>,
}

impl Behaviour {
    pub(crate) fn new(law: Law, seed: u64, now: Instant) -> Self {
        let stalls = law.stall.map(|stall| Stalls::new(stall, seed, now));
        Self { law, rng: fastrand::Rng::with_seed(seed), stalls }
    }

    pub(crate) fn answer(&mut self, now: Instant) -> Answer {
        match self.law.fault {
            Some(Fault::Hang) => Answer::Never,
            Some(Fault::Status(status)) => Answer::AtOnce(status_or_500(status)),
            None => Answer::At(self.end(now)),
        }
    }

    fn end(&mut self, now: Instant) -> Instant {
        let work = self.law.draw(&mut self.rng);
        match &mut self.stalls {
            Some(stalls) => stalls.end(now, work),
            None => now + work,
        }
    }
}

impl Law {
    fn draw(&self, rng: &mut fastrand::Rng) -> Duration {
        let usual = match self.service {
            // The inverse of the distribution function; a zero would have no logarithm.
            Service::ExponentialMs(mean) => -rng.f64().max(f64::MIN_POSITIVE).ln() * mean,
            Service::FixedMs(time) => time,
        };
        let extra = self.tail.filter(|tail| rng.f64() < tail.share).map_or(0.0, |tail| tail.extra_ms);
        milliseconds((usual + extra) * self.slow_factor)
    }
}

/// The timetable of stalls, made as far ahead as it is asked for.
struct Stalls {
    law: Stall,
    rng: fastrand::Rng,
    /// Those that are not over, in order; never empty.
    planned: VecDeque<Range<Instant>>,
}

impl Stalls {
    /// The first comes somewhere within the longest pause, so that two endpoints are not in phase.
    fn new(law: Stall, seed: u64, now: Instant) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let first = now + milliseconds(rng.f64() * law.every_ms.1);
        Self { law, rng, planned: VecDeque::from([first..first + milliseconds(law.for_ms)]) }
    }

    /// When `work` that begins now is done: it makes no progress during a stall.
    fn end(&mut self, now: Instant, work: Duration) -> Instant {
        self.forget(now);
        let mut end = now + work;
        for number in 0.. {
            let stall = self.planned(number);
            if end <= stall.start {
                break;
            }
            end += stall.end - stall.start.max(now);
        }
        end
    }

    fn forget(&mut self, now: Instant) {
        while self.planned(0).end <= now {
            self.planned(1);
            self.planned.pop_front();
        }
    }

    fn planned(&mut self, number: usize) -> Range<Instant> {
        while self.planned.len() <= number {
            let (shortest, longest) = self.law.every_ms;
            let pause = milliseconds(shortest + self.rng.f64() * (longest - shortest));
            let start = self.planned[self.planned.len() - 1].start + pause;
            self.planned.push_back(start..start + milliseconds(self.law.for_ms));
        }
        self.planned[number].clone()
    }
}

fn milliseconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number / 1000.0).unwrap_or_default()
}

fn status_or_500(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn one() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(json: &str) -> Law {
        serde_json::from_str(json).expect("a law")
    }

    fn mean_ms(json: &str) -> f64 {
        let (law, mut rng) = (law(json), fastrand::Rng::with_seed(1));
        let total: Duration = (0..100_000).map(|_| law.draw(&mut rng)).sum();
        total.as_secs_f64() * 1000.0 / 100_000.0
    }

    #[test]
    fn times_have_the_mean_that_the_law_says() {
        assert!((mean_ms(r#"{"service": {"exponential_ms": 4}}"#) - 4.0).abs() < 0.1);
        assert!((mean_ms(r#"{"service": {"exponential_ms": 4}, "slow_factor": 10}"#) - 40.0).abs() < 1.0);
        let heavy = r#"{"service": {"fixed_ms": 2}, "tail": {"share": 0.03, "extra_ms": 80}}"#;
        assert!((mean_ms(heavy) - 4.4).abs() < 0.1);
    }

    #[test]
    fn nothing_is_answered_during_a_stall_and_work_goes_on_after_it() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let stall = Stall { for_ms: 250.0, every_ms: (2000.0, 2000.0) };
        let mut stalls = Stalls {
            law: stall,
            rng: fastrand::Rng::with_seed(1),
            planned: VecDeque::from([at(1000)..at(1250)]),
        };
        let mut end = |begun, work| stalls.end(at(begun), Duration::from_millis(work));
        assert_eq!(end(500, 100), at(600));
        assert_eq!(end(990, 20), at(1260), "begun before the stall, half done");
        assert_eq!(end(1100, 5), at(1255), "begun during it");
        assert_eq!(end(1250, 5), at(1255), "begun after it");
        assert_eq!(end(1250, 4000), at(5750), "two more stalls fall into it");
    }

    #[test]
    fn two_seeds_stall_at_different_times_and_one_seed_at_the_same() {
        let stall = Stall { for_ms: 250.0, every_ms: (2000.0, 3000.0) };
        let now = Instant::now();
        let second = |seed| Stalls::new(stall, seed, now).planned(1).start;
        assert_eq!(second(1), second(1));
        assert_ne!(second(1), second(2));
    }

    #[test]
    fn a_fault_comes_before_any_work() {
        let now = Instant::now();
        let answer = |fault| {
            let json = format!(r#"{{"service": {{"fixed_ms": 2}}, "fault": {fault}}}"#);
            Behaviour::new(law(&json), 1, now).answer(now)
        };
        assert_eq!(answer(r#""hang""#), Answer::Never);
        assert_eq!(answer(r#"{"status": 503}"#), Answer::AtOnce(StatusCode::SERVICE_UNAVAILABLE));
    }
}
