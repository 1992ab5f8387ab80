//! How much a client may ask of one HTTP/2 connection without wanting an answer.
//!
//! A frame costs its sender nothing and its receiver a turn, and a request that is cancelled at once costs an endpoint
//! its work and the client nothing (CVE-2023-44487, CVE-2025-8671). Both are ordinary in small numbers, so each has a
//! bucket: it fills with time and with answers, and a connection that empties it is ended.

use std::time::{Duration, Instant};

/// Control frames at once: what a browser sends for several hundred requests.
const CONTROL_FRAMES: Bucket = Bucket::of(1000, Duration::from_millis(50));
/// What one frame of an answer earns: the client says of each that it has taken it, for the stream and the connection.
const FRAME_EARNS: u32 = 4;
/// Cancelled requests at once: twice the streams that a connection has by default, as of somebody who leaves a page and
/// the next one too.
const CANCELLED: Bucket = Bucket::of(256, Duration::from_millis(100));
/// A request that is cancelled later has been waited for, by a client that gave up: those of slow endpoints do, all at once.
const AT_ONCE: Duration = Duration::from_secs(1);
/// What one answered request earns: whoever lets every second one be answered is no flood.
const ANSWER_EARNS: u32 = 1;

/// What a connection did too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// Frames that ask for nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, unknown ones.
    ControlFrames,
    /// Requests that ended at once, before their answer did.
    CancelledRequests,
}

/// What one connection has left of both.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    control: Level,
    cancelled: Level,
}

impl Allowance {
    /// Of a connection that begins.
    pub fn new(now: Instant) -> Self {
        Self { control: CONTROL_FRAMES.full(now), cancelled: CANCELLED.full(now) }
    }

    /// A control frame has come.
    ///
    /// # Errors
    /// It is one too many.
    pub fn control_frame(&mut self, cost: u32, now: Instant) -> Result<(), Flood> {
        self.control.take(CONTROL_FRAMES, cost, now).then_some(()).ok_or(Flood::ControlFrames)
    }

    /// A frame of an answer has left.
    pub fn answer_frame(&mut self) {
        self.control.add(CONTROL_FRAMES, FRAME_EARNS);
    }

    /// A request has ended without its answer, so long after it came.
    ///
    /// # Errors
    /// It is one too many.
    pub fn cancelled(&mut self, after: Duration, now: Instant) -> Result<(), Flood> {
        if after >= AT_ONCE {
            return Ok(());
        }
        self.cancelled.take(CANCELLED, 1, now).then_some(()).ok_or(Flood::CancelledRequests)
    }

    /// A request has been answered.
    pub fn answered(&mut self) {
        self.cancelled.add(CANCELLED, ANSWER_EARNS);
    }
}

/// How much there may be, and how soon there is one more.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    most: u32,
    every: Duration,
}

impl Bucket {
    const fn of(most: u32, every: Duration) -> Self {
        Self { most, every }
    }

    fn full(self, now: Instant) -> Level {
        Level { left: self.most, since: now }
    }
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy)]
struct Level {
    left: u32,
    since: Instant,
}

impl Level {
    /// Whether there was as much.
    fn take(&mut self, bucket: Bucket, cost: u32, now: Instant) -> bool {
        self.fill(bucket, now);
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    fn add(&mut self, bucket: Bucket, more: u32) {
        self.left = self.left.saturating_add(more).min(bucket.most);
    }

    fn fill(&mut self, bucket: Bucket, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let more = passed.as_nanos() / bucket.every.as_nanos();
        if more > 0 {
            self.add(bucket, u32::try_from(more).unwrap_or(u32::MAX));
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(allowance: &mut Allowance, wanted: usize, now: Instant) -> usize {
        (0..wanted).take_while(|_| allowance.control_frame(1, now).is_ok()).count()
    }

    fn cancelled(allowance: &mut Allowance, wanted: usize, now: Instant) -> usize {
        (0..wanted).take_while(|_| allowance.cancelled(Duration::ZERO, now).is_ok()).count()
    }

    #[test]
    fn so_many_may_come_at_once_and_no_more() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        assert_eq!((control(&mut allowance, 5000, now), cancelled(&mut allowance, 5000, now)), (1000, 256));
        assert_eq!(allowance.control_frame(1, now), Err(Flood::ControlFrames));
        assert_eq!(allowance.cancelled(Duration::ZERO, now), Err(Flood::CancelledRequests));
    }

    #[test]
    fn time_brings_twenty_frames_and_ten_requests_a_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let empty = (control(&mut allowance, 5000, start), cancelled(&mut allowance, 5000, start));
        assert_eq!(empty, (1000, 256));
        let later = start + Duration::from_secs(1);
        assert_eq!((control(&mut allowance, 5000, later), cancelled(&mut allowance, 5000, later)), (20, 10));
    }

    #[test]
    fn who_has_every_second_request_answered_is_no_flood() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        for _ in 0..100_000 {
            assert_eq!(allowance.cancelled(Duration::ZERO, now), Ok(()));
            allowance.answered();
        }
    }

    #[test]
    fn who_gives_up_on_a_slow_endpoint_is_no_flood() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        assert!((0..5000).all(|_| allowance.cancelled(AT_ONCE, now).is_ok()));
    }

    #[test]
    fn a_window_update_for_the_stream_and_the_connection_after_each_frame_is_no_flood() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        for _ in 0..100_000 {
            allowance.answer_frame();
            assert_eq!(
                allowance.control_frame(1, now).and_then(|()| allowance.control_frame(1, now)),
                Ok(())
            );
        }
    }

    #[test]
    fn nothing_is_saved_up_above_the_bucket() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        (0..100_000).for_each(|_| allowance.answer_frame());
        assert_eq!(control(&mut allowance, 5000, now + Duration::from_secs(3600)), 1000);
    }
}
