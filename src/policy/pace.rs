//! Whether a request body comes fast enough: a client that sends a byte now and then holds an endpoint for as long as
//! it likes, and no idle timeout sees it.
//!
//! Only the time spent waiting for the client counts, so that an endpoint which takes its time makes nobody slow. The
//! rate is a mean over stretches of `body_grace`, one after another: what was sent quickly pays for no trickle behind it.
//! It is judged when bytes come, and [`Pace::patience`] says when it would be too late for more, so that one who sends
//! nothing is cut off as well.

use std::time::{Duration, Instant};

use crate::config::BodyPace;

/// Seconds that one stretch may pay for: longer than anything is waited for.
const PAID_MOST: f64 = 1e9;

/// The pace of one body.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    wanted: Option<BodyPace>,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// A body that has not begun. `None`: any pace will do.
    pub fn new(wanted: Option<BodyPace>) -> Self {
        Self { wanted, waited: Duration::ZERO, bytes: 0 }
    }

    /// So many bytes have come, which were waited for since then, if at all. Whether that is fast enough.
    pub fn keeps(&mut self, bytes: u64, waited_since: Option<Instant>, now: Instant) -> bool {
        let Some(wanted) = self.wanted else { return true };
        self.bytes = self.bytes.saturating_add(bytes);
        self.waited += waited_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if self.waited < wanted.grace {
            return true;
        }
        let due = self.waited.as_secs_f64() * wanted.rate.get() as f64;
        let keeps = self.bytes as f64 >= due;
        *self = Self::new(self.wanted);
        keeps
    }

    /// How long the client may be waited for from here on before it is too slow, if nothing more comes. `None`: for ever.
    pub fn patience(&self) -> Option<Duration> {
        let wanted = self.wanted?;
        let paid = Duration::from_secs_f64((self.bytes as f64 / wanted.rate.get() as f64).min(PAID_MOST));
        Some(wanted.grace.max(paid).saturating_sub(self.waited))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A hundred bytes a second, over ten seconds.
    fn pace() -> Pace {
        let rate = NonZeroU64::new(100).expect("not zero");
        Pace::new(Some(BodyPace { rate, grace: SECOND * 10 }))
    }

    /// How many pieces of `bytes` come, one every `every`, before the client is too slow; `most` if it never is.
    fn pieces(pace: &mut Pace, bytes: u64, every: Duration, most: u32) -> u32 {
        let start = Instant::now();
        let piece = |number: u32| (start + every * number, start + every * (number + 1));
        let keeps = |number: &u32| {
            let (since, now) = piece(*number);
            pace.keeps(bytes, Some(since), now)
        };
        (0..most).take_while(keeps).count().try_into().expect("few")
    }

    #[test]
    fn a_trickle_ends_with_the_grace() {
        assert_eq!(pieces(&mut pace(), 1, SECOND, 100), 9);
        assert_eq!(pieces(&mut pace(), 99, SECOND, 100), 9);
        assert_eq!(pieces(&mut pace(), 1, SECOND * 60, 100), 0);
    }

    #[test]
    fn whoever_keeps_the_rate_goes_on() {
        assert_eq!(pieces(&mut pace(), 100, SECOND, 1000), 1000);
        assert_eq!(pieces(&mut pace(), 1000, SECOND * 10, 100), 100, "in bursts too");
    }

    #[test]
    fn what_came_quickly_pays_for_one_stretch_only() {
        let mut pace = pace();
        let now = Instant::now();
        assert!(pace.keeps(1_000_000_000, None, now));
        assert_eq!(pieces(&mut pace, 1, SECOND, 100), 19);
    }

    #[test]
    fn time_that_was_not_spent_waiting_for_the_client_does_not_count() {
        let (mut pace, start) = (pace(), Instant::now());
        assert!((0..100).all(|minute| pace.keeps(1, None, start + SECOND * 60 * minute)));
    }

    #[test]
    fn who_sends_nothing_is_waited_for_until_the_grace_or_what_was_sent_is_used_up() {
        let (mut pace, now) = (pace(), Instant::now());
        assert_eq!(pace.patience(), Some(SECOND * 10));
        assert!(pace.keeps(1, Some(now), now + SECOND * 4));
        assert_eq!(pace.patience(), Some(SECOND * 6));
        assert!(pace.keeps(2999, Some(now), now + SECOND * 4));
        assert_eq!(pace.patience(), Some(SECOND * 22), "thirty seconds, less eight");
        assert!(pace.keeps(u64::MAX, Some(now), now + SECOND));
        assert!(pace.patience().is_some_and(|patience| patience > SECOND * 86_400));
        assert!(pace.keeps(0, Some(now), now + SECOND));
        assert_eq!(pace.patience(), Some(SECOND * 10), "the next stretch");
        assert_eq!(Pace::new(None).patience(), None);
    }

    #[test]
    fn without_a_rate_nobody_is_too_slow() {
        assert_eq!(pieces(&mut Pace::new(None), 0, SECOND * 3600, 100), 100);
    }
}
