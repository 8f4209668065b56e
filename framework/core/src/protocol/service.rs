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
    /// The node is on its way out.
    pub leaving: bool,
}

impl Service {
    /// Whether the node may grant and answer now.
    #[must_use]
    pub fn grants(&self, now: Time) -> bool {
        self.open && self.active && self.until.is_some_and(|until| until > now)
    }
}
