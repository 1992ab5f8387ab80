//! `routes[].priority` and `routes[].slo`: data only. What follows from them is decided by `policy::overload`.

/// What goes last and what goes first when an upstream has more to do than it can; in order of importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Never turned away for the load, save by the bounds of the queue itself: checkout.
    Critical,
    /// Turned away when nothing sheddable is left.
    #[default]
    Normal,
    /// Turned away first: what a customer can do without, or a robot asks for.
    Sheddable,
}

impl Priority {
    /// All of them, the most important first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Normal, Self::Sheddable];

    /// The word used for it in the config and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Sheddable => "sheddable",
        }
    }
}
