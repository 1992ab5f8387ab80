//! Asking in a closed loop, and counting the answers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Outcome;

/// Has one request under way at a time.
pub(crate) trait Caller {
    /// Asks once. Right after it returns the whole answer was here and was the right one.
    async fn call(&mut self) -> Outcome<()>;
}

/// What was answered, and how long each answer took.
pub(crate) struct Tally {
    latencies: Histogram<u64>,
    elapsed: Duration,
}

/// Has all callers ask side by side for `time`. The first that fails ends it.
pub(crate) async fn drive<C: Caller + 'static>(callers: Vec<C>, time: Duration) -> Outcome<Tally> {
    let latencies = Rc::new(RefCell::new(microseconds()));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in callers {
        tasks.spawn_local(call_until(begun + time, caller, Rc::clone(&latencies)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(Tally { latencies: latencies.replace(microseconds()), elapsed: begun.elapsed() })
}

async fn call_until(
    end: Instant,
    mut caller: impl Caller,
    latencies: Rc<RefCell<Histogram<u64>>>,
) -> Outcome<()> {
    let mut now = Instant::now();
    // Once at least, however late its turn comes.
    loop {
        caller.call().await?;
        let answered = Instant::now();
        latencies.borrow_mut().saturating_record(u64::try_from((answered - now).as_micros())?);
        now = answered;
        if now >= end {
            return Ok(());
        }
    }
}

/// Up to a minute, three digits.
fn microseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds in order, and up to 5 digits")
}

impl Tally {
    /// How many requests were answered.
    pub(crate) fn requests(&self) -> u64 {
        self.latencies.len()
    }

    /// What `load.py` reads.
    pub(crate) fn as_json(&self) -> Value {
        json!({
            "requests": self.requests(),
            "seconds": self.elapsed.as_secs_f64(),
            "p50_us": self.latencies.value_at_quantile(0.5),
            "p99_us": self.latencies.value_at_quantile(0.99),
        })
    }
}
