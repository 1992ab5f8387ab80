//! The lookup table of consistent hashing: which endpoint a hash belongs to.
//!
//! D. E. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4: every
//! endpoint ranks all slots in an order of its own, and endpoints take turns in claiming the best slot left. Shares are
//! even within a percent or so, and few keys move when an endpoint comes or goes. It knows nothing of load or health.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use twox_hash::XxHash64;

/// Slots in a table: a prime, as every step width must visit all slots, and over 100 times as many as endpoints for
/// even shares (section 5.3 of the paper).
pub(super) const SLOTS: u32 = 65_537;

/// Claimed by nobody.
const FREE: u16 = u16::MAX;

/// Hash to candidate. Cheap to clone: a reload that changes nothing shares the table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    slots: Arc<[u16]>,
    weight: u64,
}

impl Table {
    /// A table over (address, weight). Candidates after the 65,535th get no slot.
    pub(super) fn new(places: &[(SocketAddr, u32)]) -> Self {
        let mut turns: Vec<_> = (0..FREE).zip(places).filter(|(_, (_, weight))| *weight > 0).collect();
        // By address, so that the order in the file does not move a key.
        turns.sort_by_key(|(_, (address, _))| *address);
        let claims = turns.iter().map(|&(owner, &(address, weight))| Claim {
            owner,
            weight,
            preference: Preference::of(address, SLOTS),
        });
        Self {
            slots: populate(claims.collect(), SLOTS).into(),
            weight: places.iter().map(|(_, weight)| u64::from(*weight)).sum(),
        }
    }

    /// The weight of all candidates together.
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    /// Whether both are one table in memory.
    #[cfg(test)]
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.slots, &other.slots)
    }

    /// The candidates to try for `key`, without end: the owner of its slot, then the owners of slots that the key
    /// jumps to. Empty if no candidate has weight.
    ///
    /// Jumps rather than steps to the next slot: neighbours in the table are correlated, and whoever stands next to a
    /// closed endpoint would inherit more than its share (J. Chen, B. Coleman and A. Shrivastava, "Revisiting
    /// Consistent Hashing with Bounded Loads", AAAI 2021).
    pub(super) fn walk(&self, key: u64) -> impl Iterator<Item = usize> {
        let home = usize::try_from(key % u64::from(SLOTS)).unwrap_or_default();
        let mut jumps = fastrand::Rng::with_seed(key);
        let jumps = std::iter::repeat_with(move || jumps.usize(0..SLOTS as usize));
        std::iter::once(home)
            .chain(jumps)
            .map_while(|slot| self.slots.get(slot))
            .map(|&owner| usize::from(owner))
    }
}

/// An endpoint's order of all slots: `offset`, `offset + skip`, `offset + 2 skip`, ..., modulo the slots.
#[derive(Debug, Clone, Copy)]
struct Preference {
    next: u32,
    skip: u32,
}

impl Preference {
    fn of(address: SocketAddr, slots: u32) -> Self {
        let bytes = bytes_of(address);
        let below = |seed, bound: u32| {
            u32::try_from(XxHash64::oneshot(seed, &bytes) % u64::from(bound.max(1))).unwrap_or_default()
        };
        Self { next: below(0, slots), skip: below(1, slots - 1) + 1 }
    }

    fn take(&mut self, slots: u32) -> u32 {
        let slot = self.next;
        self.next = (slot + self.skip) % slots;
        slot
    }
}

fn bytes_of(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

/// One endpoint as it claims slots.
struct Claim {
    owner: u16,
    weight: u32,
    preference: Preference,
}

/// The paper's pseudocode 1, where a claim with half of the greatest weight takes every second turn.
fn populate(mut claims: Vec<Claim>, slots: u32) -> Vec<u16> {
    let mut table = vec![FREE; slots as usize];
    let turn = claims.iter().map(|claim| u64::from(claim.weight)).max().unwrap_or(0);
    if turn == 0 {
        return Vec::new();
    }
    let mut credits = vec![0; claims.len()];
    let mut left = slots;
    loop {
        for (claim, credit) in claims.iter_mut().zip(&mut credits) {
            *credit += u64::from(claim.weight);
            if *credit < turn {
                continue;
            }
            *credit -= turn;
            claim_next(&mut table, claim);
            left -= 1;
            if left == 0 {
                return table;
            }
        }
    }
}

/// Terminates while a slot is free, since a step width below a prime visits every slot.
fn claim_next(table: &mut [u16], claim: &mut Claim) {
    let slots = u32::try_from(table.len()).unwrap_or(u32::MAX);
    let slot = loop {
        let slot = claim.preference.take(slots) as usize;
        if table[slot] == FREE {
            break slot;
        }
    };
    table[slot] = claim.owner;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(weights: &[u32]) -> Vec<(SocketAddr, u32)> {
        (7000..)
            .zip(weights)
            .map(|(port, &weight)| (SocketAddr::from(([10, 0, 0, 1], port)), weight))
            .collect()
    }

    fn shares(table: &Table, count: usize) -> Vec<f64> {
        let mut shares = vec![0.0; count];
        table.slots.iter().for_each(|&owner| shares[usize::from(owner)] += 1.0 / f64::from(SLOTS));
        shares
    }

    /// Table 1 of the paper: permutations 3 0 4 1 5 2 6, 0 2 4 6 1 3 5 and 3 4 5 6 0 1 2 over seven slots.
    #[test]
    fn the_paper_s_worked_example_comes_out() {
        let claim = |owner, next, skip| Claim { owner, weight: 1, preference: Preference { next, skip } };
        let (b0, b1, b2) = (|| claim(0, 3, 4), || claim(1, 0, 2), || claim(2, 3, 1));
        assert_eq!(populate(vec![b0(), b1(), b2()], 7), [1, 0, 1, 0, 2, 2, 0]);
        assert_eq!(populate(vec![b0(), b2()], 7), [0, 0, 0, 0, 2, 2, 2], "after B1 is gone");
    }

    #[test]
    fn shares_follow_weights_within_two_percent() {
        for weights in [vec![1; 10], vec![1, 2, 3, 4], vec![0, 5, 1], vec![1; 100]] {
            let total = f64::from(weights.iter().sum::<u32>());
            for (share, &weight) in shares(&Table::new(&places(&weights)), weights.len()).iter().zip(&weights)
            {
                let want = f64::from(weight) / total;
                assert!((share - want).abs() <= want * 0.02, "{share} for {want}");
            }
        }
    }

    #[test]
    fn removing_one_of_ten_moves_its_own_keys_and_few_others() {
        let all = places(&[1; 10]);
        let before = Table::new(&all);
        let after = Table::new(&all[..9]);
        let moved = before.slots.iter().zip(after.slots.iter()).filter(|(old, new)| old != new).count();
        let share = moved as f64 / f64::from(SLOTS);
        assert!((0.1..0.13).contains(&share), "{share}");
    }

    #[test]
    fn the_order_in_the_file_moves_no_key() {
        let sorted = places(&[1, 2, 3]);
        let reversed: Vec<_> = sorted.iter().rev().copied().collect();
        let (a, b) = (Table::new(&sorted), Table::new(&reversed));
        assert!(a.slots.iter().zip(b.slots.iter()).all(|(&a, &b)| a + b == 2));
    }

    #[test]
    fn a_walk_starts_at_the_key_s_slot_and_is_the_same_every_time() {
        let table = Table::new(&places(&[1; 10]));
        let walk = |key| table.walk(key).take(100).collect::<Vec<_>>();
        assert_eq!(walk(7)[0], usize::from(table.slots[7]));
        assert_eq!(walk(7), walk(7));
        assert_eq!(Table::new(&places(&[0, 0])).walk(7).count(), 0);
    }
}
