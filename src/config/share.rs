//! A share of requests.

/// Part of a hundred, in steps of a hundredth: `5`, `0.5`, `0.05`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// Every one.
    pub const ALL: Self = Self(10_000);

    /// So many of ten thousand; `None` for more than all.
    pub fn of_ten_thousand(count: u16) -> Option<Self> {
        (count <= Self::ALL.0).then_some(Self(count))
    }

    /// How many of ten thousand.
    pub fn per_ten_thousand(self) -> u16 {
        self.0
    }

    /// Whether it is of none.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}
