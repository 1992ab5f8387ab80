//! `consistent_hash`: the same key goes to the same endpoint, unless that one is closed or would be overloaded.
//!
//! Bounded loads after V. Mirrokni, M. Thorup and M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA
//! 2018: nobody takes more than 1.25 times its share of what is in flight, and a key that finds its endpoint full is
//! passed on along its own walk through the table.

use std::ops::ControlFlow;

use twox_hash::XxHash64;

use super::maglev::Table;
use super::open::Open;
use super::reservoir::Reservoir;
use crate::policy::endpoint::Candidate;

/// The paper's c = 1.25, as a ratio of whole numbers: lower is more even, higher moves fewer keys.
const BOUND: (u64, u64) = (5, 4);
/// Slots to try before giving up on the table. While a hundredth of the slots belong to endpoints that can take the
/// request, one walk in `e^41` gives up.
const WALK: usize = 4096;

/// XXH64 with seed 0 of the bytes that a request sticks by.
pub fn hash_key(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

/// Fewer requests in flight than this are within every bound: the two or six that one browser has at once are to stay
/// together, and so few load nobody.
const FREE: u64 = 8;

/// The first open candidate below its bound along the walk of `key`; `None` if and only if none is open.
pub(super) fn pick(
    open: &Open<'_, impl Fn(usize) -> bool>,
    table: &Table,
    key: u64,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let owner = table.walk(key).next().and_then(|index| Some((index, open.get(index)?)));
    // The weight of all, open or not, overstates what is needed; most picks end here, before all are counted.
    let enough = owner.map_or(u64::MAX, |(_, candidate)| needed(candidate, table.weight()));
    let ControlFlow::Continue(load) = Load::up_to(open, enough) else {
        return owner.map(|(index, _)| index);
    };
    let along = || table.walk(key).take(WALK);
    along()
        .find(|&index| open.get(index).is_some_and(|candidate| load.leaves_room_at(candidate)))
        .or_else(|| with_room(open, &load, rng))
        .or_else(|| along().find(|&index| open.get(index).is_some()))
        .or_else(|| any(open, rng))
}

/// What the open candidates carry together.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    in_flight: u64,
    weight: u64,
}

impl Load {
    /// Counts all, or breaks off once `enough` requests in flight are found.
    fn up_to(open: &Open<'_, impl Fn(usize) -> bool>, enough: u64) -> ControlFlow<(), Self> {
        open.iter().try_fold(Self::default(), |sum, (_, candidate)| {
            let in_flight = sum.in_flight + u64::from(candidate.state.in_flight());
            let weight = sum.weight + u64::from(candidate.weight);
            if in_flight >= enough {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(Self { in_flight, weight })
            }
        })
    }

    fn leaves_room_at(&self, candidate: &Candidate) -> bool {
        self.in_flight >= needed(candidate, self.weight)
    }
}

/// How many requests must be in flight in all for `candidate`, of a pool of `weight`, to take one more within its bound
/// of `ceil(c x (in_flight + 1) x its weight / weight)`.
fn needed(candidate: &Candidate, weight: u64) -> u64 {
    let own = u64::from(candidate.state.in_flight());
    if own < FREE {
        return 0;
    }
    let (numerator, denominator) = (BOUND.1 * weight, BOUND.0 * u64::from(candidate.weight));
    own.saturating_mul(numerator) / denominator.max(1)
}

/// For an endpoint so light that the table has hardly a slot for it.
fn with_room(open: &Open<'_, impl Fn(usize) -> bool>, load: &Load, rng: &mut fastrand::Rng) -> Option<usize> {
    keep(open.iter().filter(|(_, candidate)| load.leaves_room_at(candidate)), rng)
}

/// For loads that other workers change during the walk.
fn any(open: &Open<'_, impl Fn(usize) -> bool>, rng: &mut fastrand::Rng) -> Option<usize> {
    keep(open.iter(), rng)
}

fn keep<'a>(
    candidates: impl Iterator<Item = (usize, &'a Candidate)>,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let mut reservoir = Reservoir::default();
    candidates.for_each(|(index, candidate)| reservoir.offer(index, candidate.weight, rng));
    reservoir.kept()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::balance::testing::{candidates, load};

    fn table_of(candidates: &[Candidate]) -> Table {
        let places: Vec<_> = candidates.iter().map(|c| (c.address, c.weight)).collect();
        Table::new(&places)
    }

    /// The reference implementation's sanity checks (xxHash, `sanity_test.c`), seed 0, and two texts.
    #[test]
    fn hashes_are_the_published_xxh64_ones() {
        let mut generator = 2_654_435_761_u64;
        let buffer: Vec<u8> = std::iter::repeat_with(|| {
            let byte = generator.to_be_bytes()[0];
            generator = generator.wrapping_mul(11_400_714_785_074_694_797);
            byte
        })
        .take(222)
        .collect();
        for (length, hash) in [
            (0, 0xEF46_DB37_51D8_E999),
            (1, 0xE934_A84A_DB05_2768),
            (4, 0x9136_A0DC_A574_57EE),
            (14, 0x8282_DCC4_994E_35C8),
            (222, 0xB641_AE8C_B691_C174),
        ] {
            assert_eq!(hash_key(&buffer[..length]), hash, "{length} bytes");
        }
        assert_eq!(hash_key(b"a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(hash_key(b"abc"), 0x44BC_2CF5_AD77_0999);
    }

    #[test]
    fn a_key_stays_with_its_endpoint() {
        let candidates = candidates(&[1; 5]);
        let (open, table) = (Open::new(&candidates, |_| true), table_of(&candidates));
        let mut rng = fastrand::Rng::with_seed(1);
        for key in 0..1000 {
            let first = pick(&open, &table, key, &mut rng);
            assert!((0..3).all(|_| pick(&open, &table, key, &mut rng) == first));
        }
    }

    #[test]
    fn a_closed_endpoint_moves_its_own_keys_only() {
        let candidates = candidates(&[1; 5]);
        let table = table_of(&candidates);
        let (all, four) = (Open::new(&candidates, |_| true), Open::new(&candidates, |index| index != 2));
        let mut rng = fastrand::Rng::with_seed(1);
        for key in (0..u64::MAX).step_by(1 << 54) {
            let before = pick(&all, &table, key, &mut rng);
            let after = pick(&four, &table, key, &mut rng);
            assert!(before == after || before == Some(2));
        }
    }

    #[test]
    fn one_hot_key_loads_nobody_beyond_its_bound() {
        let candidates = candidates(&[1; 4]);
        let (open, table) = (Open::new(&candidates, |_| true), table_of(&candidates));
        let mut rng = fastrand::Rng::with_seed(1);
        let mut guards = Vec::new();
        for sent in 1..=400_u32 {
            let index = pick(&open, &table, 42, &mut rng).expect("all are open");
            guards.push(candidates[index].state.begin());
            let most = candidates.iter().map(|candidate| candidate.state.in_flight()).max().unwrap_or(0);
            assert!(most <= (sent * 5).div_ceil(16).max(8), "{most} of {sent}");
        }
    }

    #[test]
    fn an_endpoint_without_a_slot_is_found_when_it_is_the_only_one_open() {
        let candidates = candidates(&[1_000_000_000, 1]);
        let _guards = load(&candidates, &[0, 5]);
        let open = Open::new(&candidates, |index| index == 1);
        let picked = pick(&open, &table_of(&candidates), 42, &mut fastrand::Rng::with_seed(1));
        assert_eq!(picked, Some(1));
    }
}
