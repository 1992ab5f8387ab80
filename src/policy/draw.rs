//! Which of the requests of a route something is done to, and which of its upstreams gets one.

use crate::config::Share;

/// Whether this request is one of that share.
pub fn is_hit(share: Share, rng: &mut fastrand::Rng) -> bool {
    rng.u16(..Share::ALL.per_ten_thousand()) < share.per_ten_thousand()
}

/// Parts by weight.
#[derive(Debug, Clone)]
pub struct Weights {
    /// The sum of the weights up to and with each.
    until: Vec<u32>,
}

impl Weights {
    /// In the order given; their sum fits.
    pub fn new(weights: impl Iterator<Item = u32>) -> Self {
        let add = |sum: &mut u32, weight| {
            *sum = sum.saturating_add(weight);
            Some(*sum)
        };
        Self { until: weights.scan(0, add).collect() }
    }

    /// One at random by weight. Where all weights are 0, the first.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> usize {
        let whole = self.until.last().copied().unwrap_or(0);
        let drawn = if whole == 0 { return 0 } else { rng.u32(..whole) };
        self.until.partition_point(|until| *until <= drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(count: u16) -> Share {
        Share::of_ten_thousand(count).expect("a share")
    }

    #[test]
    fn a_share_of_the_requests_is_hit() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut hits = |count| (0..100_000).filter(|_| is_hit(share(count), &mut rng)).count();
        assert_eq!((hits(0), hits(10_000)), (0, 100_000));
        // Five standard deviations.
        let (five, twentieth) = (hits(500), hits(5));
        assert!((4_655..=5_345).contains(&five), "{five}");
        assert!((15..=86).contains(&twentieth), "{twentieth}");
    }

    #[test]
    fn each_is_drawn_by_its_weight_and_weight_zero_never() {
        let mut rng = fastrand::Rng::with_seed(2);
        let weights = Weights::new([0, 90, 0, 10, 0].into_iter());
        let mut counts = [0; 5];
        (0..100_000).for_each(|_| counts[weights.draw(&mut rng)] += 1);
        assert_eq!([counts[0], counts[2], counts[4]], [0; 3]);
        assert!((9_525..=10_475).contains(&counts[3]), "{counts:?}");
        assert_eq!(Weights::new([0, 0].into_iter()).draw(&mut rng), 0);
    }
}
