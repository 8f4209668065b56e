use super::world::{Letter, State};

/// What can happen to the catalogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A message arrives. It is named by its place among those under way.
    Deliver {
        /// Which.
        letter: u8,
    },
    /// A message arrives, and will arrive again.
    Repeat {
        /// Which.
        letter: u8,
    },
    /// A message is lost.
    Lose {
        /// Which.
        letter: u8,
    },
    /// A node sets an entry to a value that was never there.
    Set {
        /// Who.
        node: u8,
        /// Which entry.
        key: u8,
    },
    /// A node removes an entry.
    Remove {
        /// Who.
        node: u8,
        /// Which entry.
        key: u8,
    },
    /// A link comes up at both ends; it takes the place of what was left of an earlier one.
    Link {
        /// One end.
        a: u8,
        /// The other end.
        b: u8,
    },
    /// One end notices that its link is down.
    Unlink {
        /// Who notices.
        at: u8,
        /// The other end.
        from: u8,
    },
    /// A node dies, and begins a later life.
    Restart {
        /// Who.
        node: u8,
    },
    /// The clock of a node comes to its deadline.
    Wake {
        /// Whose.
        node: u8,
    },
    /// A node drops its copy of a node that is not linked.
    Forget {
        /// Who.
        at: u8,
        /// Whose copy.
        of: u8,
    },
    /// Faults end. Links that are up at one end alone go down.
    Calm {
        /// What was under way is lost as well.
        lose: bool,
    },
    /// After faults have ended, all who wait are woken.
    Rouse,
    /// After faults have ended, all links come up.
    Join,
}

impl Action {
    /// What it did, for people.
    pub(super) fn describe(&self, before: &State, after: &State) -> String {
        let letter = |letter: u8| before.under_way.get(usize::from(letter)).map_or_else(String::new, |it| it.words());
        let what = match *self {
            Self::Deliver { letter: it } => format!("arrives: {}", letter(it)),
            Self::Repeat { letter: it } => format!("arrives, and once more: {}", letter(it)),
            Self::Lose { letter: it } => format!("is lost: {}", letter(it)),
            Self::Set { node, key } => format!("n{node} sets {}", super::worlds::key_name(key)),
            Self::Remove { node, key } => format!("n{node} removes {}", super::worlds::key_name(key)),
            Self::Link { a, b } => format!("n{a} and n{b} are linked"),
            Self::Unlink { at, from } => format!("n{at} has no link with n{from} any more"),
            Self::Restart { node } => format!("n{node} restarts"),
            Self::Wake { node } => format!("n{node} is woken"),
            Self::Forget { at, of } => format!("n{at} forgets n{of}"),
            Self::Calm { lose: false } => "faults end".to_owned(),
            Self::Calm { lose: true } => "faults end, and all under way is lost".to_owned(),
            Self::Rouse => "all who wait are woken".to_owned(),
            Self::Join => "all are linked".to_owned(),
        };
        let known = |letter: &Letter| before.under_way.iter().any(|it| **it == *letter);
        let sent: Vec<_> = after.under_way.iter().filter(|it| !known(it)).map(|it| it.words()).collect();
        let sent = if sent.is_empty() { String::new() } else { format!("; sent: {}", sent.join(", ")) };
        let copies = after.changed_copies(before);
        let copies = if copies.is_empty() { String::new() } else { format!("; now {}", copies.join(", ")) };
        format!("{what}{sent}{copies}")
    }
}
