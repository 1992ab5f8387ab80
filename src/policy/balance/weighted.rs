//! `weighted`: smooth weighted round robin, nginx's (`ngx_http_upstream_get_peer`, by Maxim Dounin, 2012).
//!
//! A heavy candidate's turns are spread out instead of following each other: weights 5, 1, 1 give a a b a c a a.

use super::open::Open;

/// Gives every open candidate its weight as credit, picks the richest (the first of equals) and takes the whole
/// round's credit from it. `credits` has one entry per candidate.
pub(super) fn pick(open: &Open<'_, impl Fn(usize) -> bool>, credits: &mut [i64]) -> Option<usize> {
    let mut round = 0;
    let mut richest: Option<(usize, i64)> = None;
    for (index, candidate) in open.iter() {
        let weight = i64::from(candidate.weight);
        let Some(credit) = credits.get_mut(index) else { continue };
        *credit = credit.saturating_add(weight);
        round += weight;
        if richest.is_none_or(|(_, most)| *credit > most) {
            richest = Some((index, *credit));
        }
    }
    let (index, _) = richest?;
    credits[index] -= round;
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::balance::testing::candidates;

    #[test]
    fn nginx_s_published_sequence_comes_out() {
        let candidates = candidates(&[5, 1, 1]);
        let open = Open::new(&candidates, |_| true);
        let mut credits = [0; 3];
        let turns: String =
            (0..7).filter_map(|_| pick(&open, &mut credits)).map(|index| ["a", "b", "c"][index]).collect();
        assert_eq!(turns, "aabacaa");
        assert_eq!(credits, [0; 3], "a whole round leaves no credit");
    }
}
