//! Who of one worker waits for a permit of one upstream, and in which order they get it.
//!
//! The more important first. Among equals the first to come while the line is calm. When many have waited for long, the
//! last to come: it is the one whose client still waits, and to serve the oldest first would make everybody
//! wait the longest (adaptive LIFO with CoDel's sign of a standing queue: B. Maurer, "Fail at Scale", ACM Queue 13(8),
//! 2015; K. Nichols, V. Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012).

use std::collections::BTreeMap;

use crate::config::Priority;

/// The bits of a [`Rank`] below the class.
const AGE_BITS: u32 = 62;
const AGE: u64 = (1 << AGE_BITS) - 1;

/// How urgent a request is: the lower the sooner. Comparable over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub(super) u64);

impl Rank {
    /// Of a line that nobody stands in.
    pub const NOBODY: Self = Self(u64::MAX);

    fn new(priority: Priority, came: u64, last_first: bool) -> Self {
        let age = if last_first { AGE - 1 - (came & AGE).min(AGE - 1) } else { came & AGE };
        Self(((priority as u64) << AGE_BITS) | age)
    }
}

/// A place in a line, by which it is found again.
pub type Key = (Priority, u64);

/// Those who wait, each with a `T`.
#[derive(Debug)]
pub struct Line<T> {
    places: BTreeMap<Key, T>,
    last: u64,
    /// How many there are of each class.
    of: [u32; Priority::ALL.len()],
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), last: 0, of: [0; Priority::ALL.len()] }
    }
}

impl<T> Line<T> {
    /// Puts one at the end. `now` in microseconds since whenever, the same for all workers.
    pub fn push(&mut self, priority: Priority, now: u64, who: T) -> Key {
        // No two have come at the same time, and none before another that came before it.
        self.last = now.max(self.last + 1);
        let key = (priority, self.last);
        self.places.insert(key, who);
        self.of[priority as usize] += 1;
        key
    }

    /// Takes one out, wherever it stands.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let removed = self.places.remove(&key)?;
        self.of[key.0 as usize] -= 1;
        Some(removed)
    }

    /// Takes out who is next.
    pub fn next(&mut self, last_first: bool) -> Option<T> {
        let key = self.next_key(last_first)?;
        self.remove(key)
    }

    /// How urgent the next is.
    pub fn rank(&self, last_first: bool) -> Rank {
        let next = self.next_key(last_first);
        next.map_or(Rank::NOBODY, |(priority, came)| Rank::new(priority, came, last_first))
    }

    /// When the one came who has waited the longest, of whatever class.
    pub fn oldest(&self) -> Option<u64> {
        let first = |of: Priority| self.places.range((of, 0)..=(of, u64::MAX)).next();
        Priority::ALL.into_iter().filter_map(first).map(|(&(_, came), _)| came).min()
    }

    /// Takes out the one who is last, if it is less important than `priority`.
    pub fn evict(&mut self, priority: Priority, last_first: bool) -> Option<T> {
        let (worst, _) = *self.places.last_key_value()?.0;
        if worst <= priority {
            return None;
        }
        let mut class = self.places.range((worst, 0)..=(worst, u64::MAX));
        let key = if last_first { class.next() } else { class.next_back() }.map(|(key, _)| *key)?;
        self.remove(key)
    }

    /// How many of this class wait.
    pub fn of(&self, priority: Priority) -> u32 {
        self.of[priority as usize]
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn next_key(&self, last_first: bool) -> Option<Key> {
        let (best, came) = *self.places.first_key_value()?.0;
        if !last_first {
            return Some((best, came));
        }
        self.places.range((best, 0)..=(best, u64::MAX)).next_back().map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::Priority::{Critical, Normal, Sheddable};
    use super::*;

    fn line(of: &[(Priority, &'static str)]) -> Line<&'static str> {
        let mut line = Line::default();
        for (now, (priority, who)) in of.iter().enumerate() {
            line.push(*priority, now as u64 / 2, *who);
        }
        line
    }

    fn order(mut line: Line<&'static str>, last_first: bool) -> Vec<&'static str> {
        std::iter::from_fn(|| line.next(last_first)).collect()
    }

    const MIXED: [(Priority, &str); 6] = [
        (Normal, "n1"),
        (Sheddable, "s1"),
        (Normal, "n2"),
        (Critical, "c1"),
        (Critical, "c2"),
        (Sheddable, "s2"),
    ];

    #[test]
    fn the_first_to_come_is_the_first_served_while_the_line_is_calm() {
        assert_eq!(order(line(&MIXED), false), ["c1", "c2", "n1", "n2", "s1", "s2"]);
    }

    #[test]
    fn the_last_to_come_is_the_first_served_when_the_line_stands() {
        assert_eq!(order(line(&MIXED), true), ["c2", "c1", "n2", "n1", "s2", "s1"]);
    }

    #[test]
    fn who_leaves_is_served_no_more() {
        let mut line = Line::default();
        let (first, _) = (line.push(Normal, 5, "a"), line.push(Normal, 5, "b"));
        assert_eq!((line.remove(first), line.remove(first)), (Some("a"), None));
        assert_eq!((line.of(Normal), line.of(Critical)), (1, 0));
        assert_eq!((line.next(false), line.next(false), line.is_empty()), (Some("b"), None, true));
    }

    #[test]
    fn the_oldest_is_found_in_whichever_class_it_waits() {
        let mut line = line(&[(Sheddable, "s"), (Normal, "n")]);
        line.push(Critical, 7, "c");
        assert_eq!(line.oldest(), Some(1));
        assert_eq!(std::iter::from_fn(|| line.next(false).map(|_| line.oldest())).last(), Some(None));
    }

    #[test]
    fn only_the_less_important_make_room_and_the_one_that_would_be_served_last_goes_first() {
        let mut calm = line(&MIXED);
        assert_eq!(calm.evict(Sheddable, false), None);
        let went: Vec<_> = std::iter::from_fn(|| calm.evict(Critical, false)).collect();
        assert_eq!(went, ["s2", "s1", "n2", "n1"]);
        let mut standing = line(&MIXED);
        let went: Vec<_> = std::iter::from_fn(|| standing.evict(Normal, true)).collect();
        assert_eq!(went, ["s1", "s2"]);
    }

    #[test]
    fn lines_of_two_workers_compare_as_one_line_would_order_them() {
        let rank = |priority, came, last_first| {
            let mut line = Line::default();
            line.push(priority, came, ());
            line.rank(last_first)
        };
        assert!(rank(Normal, 5, false) < rank(Normal, 6, false));
        assert!(rank(Normal, 6, true) < rank(Normal, 5, true));
        for last_first in [false, true] {
            assert!(rank(Critical, 9, last_first) < rank(Normal, 5, last_first));
            assert!(rank(Normal, 9, last_first) < rank(Sheddable, 5, last_first));
            assert!(rank(Sheddable, u64::MAX, last_first) < Rank::NOBODY);
        }
        assert_eq!(Line::<()>::default().rank(false), Rank::NOBODY);
    }
}
