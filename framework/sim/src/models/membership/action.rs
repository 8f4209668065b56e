use super::world::State;

/// What can happen to the memberships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A message arrives, and may arrive again. It is named by its place among all that were ever sent.
    Deliver {
        /// Which.
        letter: u16,
    },
    /// A voter begins an attempt, whether it has a reason or not.
    Propose {
        /// Who.
        node: u8,
        /// What comes next.
        what: What,
    },
    /// An echo is asked for and answered, at once.
    Lease {
        /// Who counts as a member from now on.
        holder: u8,
        /// Who says so.
        grantor: u8,
    },
    /// A node is told the view of somebody who is ahead.
    Tell {
        /// Who is behind.
        node: u8,
        /// Who is ahead.
        by: u8,
    },
    /// A member wants to leave.
    Leave {
        /// Who.
        node: u8,
    },
    /// Time goes on, everywhere.
    Tick,
    /// A node writes a variable.
    Write {
        /// Who.
        node: u8,
    },
    /// A node learns that its lineage holds variables.
    Know {
        /// Who.
        node: u8,
    },
    /// A leaving member hands its piece of the variables over.
    Shift {
        /// Whose piece.
        from: u8,
        /// To whom.
        to: u8,
    },
    /// Faults end, and what is under way is lost.
    Calm,
    /// After faults have ended, time goes on, and everything arrives.
    Round,
    /// A node that is alone hears of another lineage, and that it is the higher one.
    Greet {
        /// Who.
        node: u8,
        /// Who says so.
        by: u8,
    },
    /// A process dies.
    Kill {
        /// Which.
        node: u8,
    },
    /// A node looks at the files of all processes.
    Look {
        /// Who.
        node: u8,
    },
}

/// What a voter may propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The same members.
    Renew,
    /// Without this node.
    Cut(u8),
    /// This node is on its way out.
    Retire(u8),
    /// Without this node, which serves no more.
    Part(u8),
    /// With this node.
    Admit(u8),
}

impl Action {
    /// What it did, for people.
    pub(super) fn describe(&self, before: &State, after: &State) -> String {
        let what = match *self {
            Self::Deliver { letter } => {
                let letter = before.sent.get(usize::from(letter));
                format!("arrives: {}", letter.map_or_else(String::new, |it| it.words()))
            }
            Self::Propose { node, what } => format!("n{node} proposes {what:?}"),
            Self::Lease { holder, grantor } => format!("n{grantor} answers the echo of n{holder}"),
            Self::Tell { node, by } => format!("n{by} tells n{node} its view"),
            Self::Leave { node } => format!("n{node} wants to leave"),
            Self::Write { node } => format!("n{node} writes"),
            Self::Know { node } => format!("n{node} learns that something is written"),
            Self::Shift { from, to } => format!("n{from} hands its piece to n{to}"),
            Self::Calm => "faults end".to_owned(),
            Self::Round => "time goes on, and all arrives".to_owned(),
            Self::Tick => "time goes on".to_owned(),
            Self::Greet { node, by } => format!("n{node} hears of the lineage of n{by}"),
            Self::Kill { node } => format!("n{node} is killed"),
            Self::Look { node } => format!("n{node} looks at the files"),
        };
        let sent: Vec<_> = after.sent.iter().filter(|it| !before.sent.contains(it)).map(|it| it.words()).collect();
        let sent = if sent.is_empty() { String::new() } else { format!("; sent: {}", sent.join(", ")) };
        let now = after.changes(before);
        let now = if now.is_empty() { String::new() } else { format!("; now {}", now.join(", ")) };
        format!("{what}{sent}{now}")
    }
}
