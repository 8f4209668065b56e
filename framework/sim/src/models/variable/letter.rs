use guthi_core::{
    protocol::variable::{Part, Version},
    wire::{codec, limits::CONTROL_FRAME_BYTES_MAX},
};

/// A part of a message that was sent, as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Letter {
    pub(super) from: u8,
    pub(super) to: u8,
    /// The place of its view among all.
    pub(super) view: u8,
    bytes: Vec<u8>,
}

impl Letter {
    pub(super) fn new(from: u8, to: u8, view: u8, part: &Part) -> Self {
        let bytes = codec::encode(part, CONTROL_FRAME_BYTES_MAX).expect("what a machine says fits into a frame");
        Self { from, to, view, bytes }
    }

    pub(super) fn part(&self) -> Part {
        codec::decode(&self.bytes).expect("a letter holds what was encoded")
    }

    pub(super) fn words(&self) -> String {
        let Self { from, to, view, .. } = self;
        let part = match self.part() {
            Part::Read { nonce, .. } => format!("read {nonce}"),
            Part::Data { nonce, state, .. } => format!("data {nonce} ({:?})", state.map(|it| it.version)),
            Part::Write { number, nonce, settled, .. } => {
                format!("write {number} (copy {nonce:?}, settled {settled})")
            }
            Part::Wrote { number, outcomes, version, copy, .. } => {
                let copy = copy.map(|(nonce, state)| (nonce, state.version));
                format!("wrote {number} ({outcomes:?}, {version}, copy {copy:?})")
            }
            Part::Invalidate { version, .. } => format!("invalidate before {version}"),
            Part::Invalidated { version, .. } => format!("invalidated before {version}"),
            Part::Store { record, .. } => {
                let recent: Vec<_> = record.recent.iter().map(|it| (it.by.node.0[0], it.number)).collect();
                format!("store {} (done {recent:?})", record.state.version)
            }
            Part::Stored { version, .. } => format!("stored {version}"),
            Part::Report(report) => {
                let held = |(_, version): &(_, Version)| *version;
                let shards = report.shards.iter().map(|it| (it.full, it.records.iter().map(held).collect::<Vec<_>>()));
                let copies = report.copies.iter().map(held).collect::<Vec<_>>();
                format!("report {:?}, copies {copies:?}", shards.collect::<Vec<_>>())
            }
            other => format!("{other:?}"),
        };
        format!("n{from}→n{to} in e{view}: {part}")
    }
}

pub(super) use crate::models::mutex::letter::{member, number};
