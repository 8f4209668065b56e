use std::fmt::Write as _;

use guthi_core::{
    protocol::{
        membership::{Ballot, Message},
        view::{At, Change, Lineage, View},
    },
    wire::{
        codec,
        id::{Incarnation, Member, NodeId},
        limits::CONTROL_FRAME_BYTES_MAX,
    },
};

/// A message that was sent, as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Letter {
    pub(super) from: Member,
    pub(super) to: Member,
    bytes: Vec<u8>,
}

impl Letter {
    pub(super) fn new(from: Member, to: Member, message: &Message) -> Self {
        let bytes = codec::encode(message, CONTROL_FRAME_BYTES_MAX).expect("what a machine says fits into a frame");
        Self { from, to, bytes }
    }

    pub(super) fn message(&self) -> Message {
        codec::decode(&self.bytes).expect("a letter holds what was encoded")
    }

    /// Of the view that it is about.
    pub(super) fn lineage(&self) -> Option<Lineage> {
        match self.message() {
            Message::Prepare { at, .. }
            | Message::Promise { at, .. }
            | Message::Accept { at, .. }
            | Message::Accepted { at, .. }
            | Message::Refused { at, .. }
            | Message::Decided { at, .. }
            | Message::Fork { at, .. }
            | Message::Forked { at, .. } => Some(at.lineage),
            Message::View { view, .. } => Some(view.at.lineage),
            _ => None,
        }
    }

    pub(super) fn words(&self) -> String {
        let message = self.message();
        let about = match &message {
            Message::Hello { rank, open } => format!(" {rank:?} open: {open}"),
            Message::Join { into, .. } => format!(" {into:?}"),
            Message::Leave { at, parted } => format!(" {at:?} parted: {parted}"),
            Message::WouldYou { at, changes, .. } | Message::Would { at, changes, .. } => {
                format!(" {at:?} {}", changes_words(changes))
            }
            Message::Prepare { at, ballot } => format!(" {at:?} {}", ballot_words(*ballot)),
            Message::Promise { at, ballot, accepted } => {
                let accepted = accepted.as_ref().map(|(ballot, changes)| {
                    format!(", accepted {} {}", ballot_words(*ballot), changes_words(changes))
                });
                format!(" {at:?} {}{}", ballot_words(*ballot), accepted.unwrap_or_default())
            }
            Message::Accept { at, ballot, changes } => {
                format!(" {at:?} {} {}", ballot_words(*ballot), changes_words(changes))
            }
            Message::Accepted { at, ballot, wait } => format!(" {at:?} {} wait {wait:?}", ballot_words(*ballot)),
            Message::Refused { at, promised } => format!(" {at:?} {}", ballot_words(*promised)),
            Message::Decided { at, changes, wait } => format!(" {at:?} {} wait {wait:?}", changes_words(changes)),
            Message::View { view, wait } => format!(" {} wait {wait:?}", view_words(view)),
            Message::ViewWanted { at } => format!(" {at:?}"),
            Message::Fork { at, members, .. } => format!(" {at:?} {}", members_words(members.iter().copied())),
            Message::Forked { at, into, wait } => format!(" {at:?} {into:?} wait {wait:?}"),
        };
        format!("{}→{} {}{about}", name(self.from), name(self.to), message.name())
    }
}

fn ballot_words(ballot: Ballot) -> String {
    format!("{}.{}", ballot.round, name(ballot.proposer))
}

fn changes_words(changes: &[Change]) -> String {
    let mut words = String::from("[");
    for change in changes {
        let kind = match change {
            Change::Renew => "renew",
            Change::Cut(_) => "cut",
            Change::Retire(_) => "retire",
            Change::Part(_) => "part",
            Change::Admit(..) => "admit",
        };
        let whom = change.member().map_or_else(String::new, |member| format!(" {}", name(member)));
        let _ = write!(words, "{kind}{whom} ");
    }
    words.truncate(words.trim_end().len());
    words + "]"
}

/// A view, as "lineage/epoch {members}".
pub(super) fn view_words(view: &View) -> String {
    format!("{} {}", at_words(view.at), members_words(view.members()))
}

pub(super) fn at_words(at: At) -> String {
    format!("{at:?}")
}

fn members_words(members: impl Iterator<Item = Member>) -> String {
    let members: Vec<_> = members.map(name).collect();
    format!("{{{}}}", members.join(" "))
}

pub(super) fn name(member: Member) -> String {
    format!("n{}", number(member))
}

/// The first life of a node.
pub(super) const fn member(node: u8) -> Member {
    Member { node: NodeId([node; 32]), incarnation: Incarnation(1) }
}

pub(super) const fn number(member: Member) -> u8 {
    member.node.0[0]
}
