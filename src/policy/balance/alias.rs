//! Draws an index in proportion to weight in constant time.
//!
//! The alias method: A. J. Walker, 1977; built in linear time after M. D. Vose, "A linear algorithm for generating
//! random numbers with a given distribution", IEEE Transactions on Software Engineering, 1991. In whole numbers, so
//! that no rounding moves a share.

/// One column per index: a coin decides between the index itself and its alias.
#[derive(Debug)]
pub(super) struct AliasTable {
    columns: Box<[Column]>,
    /// The sum of the weights, which is every column's height.
    total: u64,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    /// How much of the column belongs to its own index.
    own: u64,
    alias: usize,
}

impl AliasTable {
    /// A table over the indices of `weights`. Weight 0 is never drawn.
    pub(super) fn new(weights: &[u32]) -> Self {
        let total = weights.iter().map(|&weight| u64::from(weight)).sum();
        let count = weights.len() as u64;
        // Scaled by their number, the weights fill `count` columns of height `total`.
        let mut columns: Box<[_]> = (weights.iter().enumerate())
            .map(|(index, &weight)| Column { own: u64::from(weight) * count, alias: index })
            .collect();
        level(&mut columns, total);
        Self { columns, total }
    }

    /// An index in proportion to its weight; `None` if every weight is 0.
    #[inline]
    pub(super) fn draw(&self, rng: &mut fastrand::Rng) -> Option<usize> {
        if self.total == 0 {
            return None;
        }
        let index = rng.usize(0..self.columns.len());
        let column = self.columns[index];
        Some(if rng.u64(0..self.total) < column.own { index } else { column.alias })
    }
}

/// Fills every column that is too low from one that is too high, until each has the height `total`.
fn level(columns: &mut [Column], total: u64) {
    let (mut low, mut high): (Vec<_>, Vec<_>) = (0..columns.len()).partition(|&i| columns[i].own < total);
    while let (Some(poor), Some(&rich)) = (low.pop(), high.last()) {
        columns[poor].alias = rich;
        columns[rich].own -= total - columns[poor].own;
        if columns[rich].own < total {
            high.pop();
            low.push(rich);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of the table, in units of `total * count`, that each index owns.
    fn shares(table: &AliasTable) -> Vec<u64> {
        let mut shares = vec![0; table.columns.len()];
        for (index, column) in table.columns.iter().enumerate() {
            let own = column.own.min(table.total);
            shares[index] += own;
            shares[column.alias] += table.total - own;
        }
        shares
    }

    #[test]
    fn every_index_owns_exactly_its_share() {
        for weights in [&[1][..], &[1, 2, 3], &[0, 5, 0, 1], &[1000, 1, 1, 1, 1, 999], &[7; 100]] {
            let count = weights.len() as u64;
            let want: Vec<_> = weights.iter().map(|&weight| u64::from(weight) * count).collect();
            assert_eq!(shares(&AliasTable::new(weights)), want, "{weights:?}");
        }
    }

    #[test]
    fn nothing_is_drawn_where_nothing_has_weight() {
        let mut rng = fastrand::Rng::with_seed(1);
        assert_eq!(AliasTable::new(&[]).draw(&mut rng), None);
        assert_eq!(AliasTable::new(&[0, 0]).draw(&mut rng), None);
    }
}
