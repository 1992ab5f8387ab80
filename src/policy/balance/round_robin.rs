//! `round_robin`: the open candidates in turn. Weights are ignored, save that 0 drains.

use super::open::Open;

/// The next open candidate at or after `position`, which then moves past it.
///
/// Moving past the one picked, rather than by one, keeps the turn even: otherwise whoever stands after a closed
/// candidate would get its share on top.
pub(super) fn pick(open: &Open<'_, impl Fn(usize) -> bool>, position: &mut usize) -> Option<usize> {
    let start = (*position).min(open.len());
    let next = (start..open.len()).chain(0..start).find(|&index| open.get(index).is_some())?;
    *position = next + 1;
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::balance::testing::candidates;

    fn turns(closed: usize, count: usize) -> Vec<Option<usize>> {
        let candidates = candidates(&[1; 4]);
        let open = Open::new(&candidates, |index| index != closed);
        let mut position = 0;
        (0..count).map(|_| pick(&open, &mut position)).collect()
    }

    #[test]
    fn candidates_take_plain_turns() {
        assert_eq!(turns(9, 6), [0, 1, 2, 3, 0, 1].map(Some));
    }

    #[test]
    fn the_neighbour_of_a_closed_candidate_gets_no_second_turn() {
        assert_eq!(turns(1, 6), [0, 2, 3, 0, 2, 3].map(Some));
    }
}
