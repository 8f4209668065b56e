use guthi_core::{
    protocol::mutex::{Body, Message, Token},
    wire::{
        codec,
        id::{Incarnation, Member, NodeId},
        limits::CONTROL_FRAME_BYTES_MAX,
    },
};

/// A message that was sent, as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Letter {
    pub(super) from: u8,
    pub(super) to: u8,
    /// The place of its view among all.
    pub(super) view: u8,
    pub(super) kind: Kind,
    bytes: Vec<u8>,
}

/// What must be known of each message in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// A home asks what was brought.
    Question,
    /// The token, passed on so often.
    Token(u64),
    /// Anything else.
    Other,
}

impl Letter {
    pub(super) fn new(from: u8, to: u8, view: u8, message: &Message) -> Self {
        let bytes = codec::encode(message, CONTROL_FRAME_BYTES_MAX).expect("what a machine says fits into a frame");
        let kind = match message.body {
            Body::ReportWanted => Kind::Question,
            Body::Token { pass, .. } => Kind::Token(pass),
            _ => Kind::Other,
        };
        Self { from, to, view, kind, bytes }
    }

    pub(super) fn message(&self) -> Message {
        codec::decode(&self.bytes).expect("a letter holds what was encoded")
    }

    pub(super) fn words(&self) -> String {
        let Self { from, to, view, .. } = self;
        let body = match self.message().body {
            Body::Request { number } => format!("request {number}"),
            Body::Try { number } => format!("try {number}"),
            Body::Busy { number } => format!("busy {number}"),
            Body::Token { pass, token } => format!("token (pass {pass}, {})", token_words(&token)),
            Body::Taken { pass } => format!("taken {pass}"),
            Body::ReportWanted => "report wanted".to_owned(),
            Body::Report(report) => format!("{report:?}"),
        };
        format!("n{from}→n{to} in e{view}: {body}")
    }
}

fn token_words(token: &Token) -> String {
    let died = if token.died { ", died" } else { "" };
    format!("fence {}, served {:?}, queue {:?}{died}", token.fence, token.served, token.queue)
}

pub(in crate::models) const fn member(node: u8) -> Member {
    Member { node: NodeId([node; 32]), incarnation: Incarnation(1) }
}

pub(in crate::models) const fn number(member: Member) -> u8 {
    member.node.0[0]
}
