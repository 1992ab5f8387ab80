//! How many connections each client has, over all workers, without a lock and in a table that never grows.
//!
//! The table is cut into sets of eight places, a cache line; a client's hash names its set. A place is one word: the rest
//! of the hash and a count, and is free when the count is 0. Two clients in one set are told apart by 40 bits, so that
//! among 10,000 clients any two are taken for one with a probability of 1 in 100,000,000 (and nobody can work
//! towards it, since the hash is seeded). Two workers may count one client in two places; what counts is the sum of both.
//!
//! Where a set is full (of one client in ten thousand while as many are connected as the table was made for), a client
//! is not counted: the listener's own bound holds for it.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::network::client_network;

/// Places of a set.
const WAYS: usize = 8;

/// Clients that a set is planned for.
const PLANNED: usize = 2;

/// Sets of the largest table: 4 MiB.
const MOST_SETS: usize = 1 << 16;

/// The bits of a place that count.
const COUNT: u64 = (1 << 24) - 1;

/// The connections of each client.
#[derive(Debug)]
pub struct Clients {
    sets: Box<[Set]>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// One connection of a client. Counts while it lives.
#[derive(Debug)]
#[must_use = "the connection counts only while this lives"]
pub struct Counted {
    clients: Arc<Clients>,
    /// Where; nowhere if there was no room.
    place: Option<(usize, usize)>,
}

/// The client has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl Clients {
    /// No connections yet, and room for that many clients.
    pub fn with_room_for(clients: usize, hasher: RandomState) -> Self {
        let sets = clients.div_ceil(PLANNED).clamp(1, MOST_SETS);
        Self { sets: (0..sets).map(|_| Set::default()).collect(), hasher }
    }

    /// Counts a connection in, unless the client has `most` already.
    ///
    /// # Errors
    /// It has.
    pub fn admit(self: &Arc<Self>, client: IpAddr, most: usize) -> Result<Counted, TooMany> {
        let hash = self.hasher.hash_one(client_network(client));
        let set = self.index(hash);
        let name = hash & !COUNT;
        let place = self.sets[set].count_in(name).map(|place| (set, place));
        let counted = Counted { clients: Arc::clone(self), place };
        // Counted first, so that of two that come at once one sees the other. Dropping it counts it out again.
        match self.sets[set].connections(name) > most as u64 {
            true => Err(TooMany),
            false => Ok(counted),
        }
    }

    fn index(&self, hash: u64) -> usize {
        // By the bits that do not tell the clients of a set apart.
        let index = ((hash & COUNT) * self.sets.len() as u64) >> COUNT.count_ones();
        usize::try_from(index).expect("below the length")
    }
}

impl Set {
    /// Adds one to the client's place, or gives it one. `None` if there is none.
    fn count_in(&self, name: u64) -> Option<usize> {
        let own = |(_, place): &(usize, &AtomicU64)| {
            place.fetch_update(Relaxed, Relaxed, |word| more(word, name)).is_ok()
        };
        let take = |(_, place): &(usize, &AtomicU64)| {
            place.fetch_update(Relaxed, Relaxed, |word| first(word, name)).is_ok()
        };
        let places = || self.0.iter().enumerate();
        places().find(own).or_else(|| places().find(take)).map(|(place, _)| place)
    }

    fn connections(&self, name: u64) -> u64 {
        let words = self.0.iter().map(|place| place.load(Relaxed));
        words.filter(|word| word & !COUNT == name).map(|word| word & COUNT).sum()
    }
}

fn more(word: u64, name: u64) -> Option<u64> {
    let is_own = word & !COUNT == name && (1..COUNT).contains(&(word & COUNT));
    is_own.then_some(word + 1)
}

fn first(word: u64, name: u64) -> Option<u64> {
    (word & COUNT == 0).then_some(name | 1)
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some((set, place)) = self.place {
            self.clients.sets[set].0[place].fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn clients(room: usize) -> Arc<Clients> {
        Arc::new(Clients::with_room_for(room, RandomState::new()))
    }

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_client_has_as_many_as_it_may_and_gets_their_places_back() {
        let clients = clients(100);
        let admit = |number| clients.admit(address(number), 2);
        let (one, two) = (admit(1), admit(1));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(admit(1).err(), Some(TooMany));
        assert!(admit(2).is_ok(), "another client has its own");
        drop(one);
        let three = admit(1);
        assert!(three.is_ok());
        assert_eq!(admit(1).err(), Some(TooMany));
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let clients = clients(100);
        let admit = |text: &str| clients.admit(text.parse().expect("an address"), 1);
        let one = admit("2001:db8::1");
        assert_eq!(admit("2001:db8::ffff").err(), Some(TooMany));
        assert!(admit("2001:db8:0:1::1").is_ok());
        drop(one);
    }

    #[test]
    fn nothing_is_left_behind() {
        let clients = clients(1000);
        let held: Vec<_> = (0..5000).map(|number| clients.admit(address(number % 1000), 3)).collect();
        drop(held);
        assert!(clients.sets.iter().flat_map(|set| &set.0).all(|place| place.load(Relaxed) & COUNT == 0));
    }

    #[test]
    fn as_many_clients_as_there_is_room_for_are_counted() {
        let clients = clients(10_000);
        let held: Vec<_> = (0..10_000).map(|number| clients.admit(address(number), 1)).collect();
        let uncounted = held.iter().flatten().filter(|counted| counted.place.is_none()).count();
        assert!(held.iter().all(Result::is_ok));
        assert!(uncounted < 20, "{uncounted}");
        let again = (0..10_000).filter(|number| clients.admit(address(*number), 1).is_ok()).count();
        assert_eq!(again, uncounted);
    }

    #[test]
    fn workers_that_meet_never_let_more_in_than_allowed() {
        let clients = clients(100);
        for _ in 0..200 {
            let held: Vec<_> = std::thread::scope(|scope| {
                let admit = || (0..5).map(|_| clients.admit(address(1), 7)).collect::<Vec<_>>();
                let workers = [(); 4].map(|()| scope.spawn(admit));
                workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
            });
            let admitted = held.iter().flatten().count();
            assert!((1..=7).contains(&admitted), "{admitted}");
        }
    }
}
