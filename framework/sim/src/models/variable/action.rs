use super::world::State;

/// What can happen to the variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A part of a message arrives, and may arrive again. It is named by its place among all that were sent.
    Deliver {
        /// Which.
        letter: u16,
    },
    /// A node begins the next of its tasks.
    Begin {
        /// Which.
        node: u8,
    },
    /// Nobody at a node wants its copy any more.
    Forget {
        /// Which.
        node: u8,
    },
    /// A node is told that it can perhaps do more than before.
    Proceed {
        /// Who.
        node: u8,
    },
    /// A voter accepts that its view ends.
    Wedge {
        /// Who.
        node: u8,
    },
    /// A node installs a later view.
    Install {
        /// Who.
        node: u8,
        /// The place of the view among all.
        view: u8,
    },
    /// The lease of a node ends.
    Lapse {
        /// Whose.
        node: u8,
    },
    /// A member has its lease back.
    Renew {
        /// Who.
        node: u8,
    },
    /// A node dies.
    Crash {
        /// Which.
        node: u8,
    },
    /// Faults end. The dead are cut, and who was cut has noticed.
    Calm {
        /// What was under way is lost.
        lose: bool,
    },
    /// After faults have ended: everything arrives once, and who waits is woken.
    Round,
}

impl Action {
    /// What it did, for people.
    pub(super) fn describe(&self, before: &State, after: &State) -> String {
        let what = match *self {
            Self::Deliver { letter } => {
                let letter = before.sent.get(usize::from(letter));
                format!("arrives: {}", letter.map_or_else(String::new, |it| it.words()))
            }
            Self::Begin { node } => format!("n{node} begins: {:?}", before.next_task(node)),
            Self::Forget { node } => format!("n{node} forgets its copy"),
            Self::Proceed { node } => format!("n{node} looks again at what it could do"),
            Self::Wedge { node } => format!("n{node} is wedged"),
            Self::Install { node, view } => format!("n{node} installs {}", before.view_words(view)),
            Self::Lapse { node } => format!("the lease of n{node} ends"),
            Self::Renew { node } => format!("n{node} has its lease back"),
            Self::Crash { node } => format!("n{node} dies"),
            Self::Calm { lose: false } => "faults end".to_owned(),
            Self::Calm { lose: true } => "faults end, and all under way is lost".to_owned(),
            Self::Round => "all arrives, who waits is woken".to_owned(),
        };
        let sent: Vec<_> = after.sent.iter().filter(|it| !before.sent.contains(it)).map(|it| it.words()).collect();
        let sent = if sent.is_empty() { String::new() } else { format!("; sent: {}", sent.join(", ")) };
        let now = after.changes(before);
        let now = if now.is_empty() { String::new() } else { format!("; now {}", now.join(", ")) };
        format!("{what}{sent}{now}")
    }
}
