//! Service: what whoever stands on the membership may do.

use super::time::Time;

/// What the membership allows. It holds for the step with which it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Service {
    /// Messages of the view are sent and taken: the node is not wedged in it.
    pub open: bool,
    /// What those who are excluded from the view were allowed to do has ended.
    pub active: bool,
    /// Until when the node may grant and answer, as far as is known now.
    pub until: Option<Time>,
    /// Until when what is known here may be read, as far as is known now: longer than anything is granted, since what is read
    /// needs no view that is active, and whoever is on its way out still reads.
    pub reads: Option<Time>,
    /// The node is on its way out.
    pub leaving: bool,
}

impl Service {
    /// Whether the node may grant and answer now.
    #[must_use]
    pub fn grants(&self, now: Time) -> bool {
        self.open && self.active && self.until.is_some_and(|until| until > now)
    }

    /// Whether the node may say now what has become of a variable.
    #[must_use]
    pub fn answers(&self, now: Time) -> bool {
        self.open && self.active && self.reads.is_some_and(|reads| reads > now)
    }
}
