//! What comes out of a check.

/// What is known of the operations on one object. Indices are those of the slice that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// There is an order; this is one. What is pending and not in it took no effect.
    Linearizable {
        /// The operations, one after another.
        order: Vec<usize>,
    },
    /// There is none.
    NotLinearizable(Conflict),
    /// The budget was spent before an answer was found. This counts as a failure.
    OutOfBudget {
        /// How many steps were made.
        steps: u64,
    },
}

/// Where a history ceases to be linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The first operation at whose end no order is left.
    pub misfit: usize,
    /// An order for all that ended before, perhaps with some of what ends later.
    pub prefix: Vec<usize>,
    /// The operations that contradict each other: as few as were found, with the misfit.
    pub core: Vec<usize>,
    /// Why, in words.
    pub reason: String,
}

impl Verdict {
    /// Whether the history is known to be linearizable.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Linearizable { .. })
    }

    /// The conflict, if there is one.
    #[must_use]
    pub const fn conflict(&self) -> Option<&Conflict> {
        match self {
            Self::NotLinearizable(conflict) => Some(conflict),
            Self::Linearizable { .. } | Self::OutOfBudget { .. } => None,
        }
    }
}
