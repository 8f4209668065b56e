//! What a survivor tells the homes of a new view, and what an earlier life has left.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use super::{Held, Machine, Part, Report, Version, again::Asking, copies::Copy, machine::Outbox, recovery::Store};
use crate::{
    protocol::{
        home::Shard,
        view::{At, Lineage},
    },
    wire::{id::Member, name::Name},
};

/// What a life has kept of variables when others went on without it: it says nothing any more in that view, so nothing of it
/// changes. A later life offers it to those who lack it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Estate {
    pub(super) of: Member,
    pub(super) lineage: Lineage,
    pub(super) stores: BTreeMap<Shard, Store>,
}

impl Machine {
    /// What this life leaves, once others have gone on without it.
    #[must_use]
    pub fn into_estate(self) -> Option<Estate> {
        let Self { here, stores, .. } = self;
        (!stores.is_empty()).then_some(Estate { of: here.me, lineage: here.view.at.lineage, stores })
    }

    /// The copies of before are those that were at home with the same member: what is at home elsewhere now, or comes from
    /// elsewhere, or may have been changed by those who are gone, is not known to be one.
    pub(super) fn keep_copies(
        &mut self,
        home_before: impl Fn(Shard) -> Option<Member>,
        survives: bool,
        out: &mut Outbox,
    ) {
        for name in self.copies.keys().cloned().collect::<Vec<_>>() {
            let shard = self.here.shard(&name);
            let stays = home_before(shard) == self.here.member(self.here.home(shard));
            let kept = matches!(self.copies.get(&name), Some(Copy::Valid(state)) if state.value.is_some());
            if kept && stays && survives {
                continue;
            }
            let wanted = matches!(self.copies.get(&name), Some(Copy::Pending { .. }));
            self.withdraw(&name, out);
            if wanted {
                let nonce = self.expect(&name);
                self.say_read(name, nonce, 0);
            }
        }
    }

    /// Each survivor tells each member what it has brought for it.
    pub(super) fn prepare_reports(&mut self) {
        let me = self.here.seat();
        self.pieces.clear();
        self.told.clear();
        self.heard.clear();
        self.note_settled(self.here.me, self.here.settled());
        if !self.here.survives(me) {
            return;
        }
        let mut held = BTreeMap::<u16, Vec<Held>>::new();
        for (shard, store) in &self.stores {
            let home = self.here.home(*shard);
            if home != me {
                held.entry(home).or_default().push(held_of(*shard, store));
            }
        }
        let mut copies = BTreeMap::<u16, Vec<(Name, Version)>>::new();
        for (name, copy) in &self.copies {
            let shard = self.here.shard(name);
            let home = self.here.home(shard);
            let Copy::Valid(state) = copy else { continue };
            if home != me {
                copies.entry(home).or_default().push((name.clone(), state.version));
            } else if let Some(homing) = self.homing.get_mut(&shard) {
                homing.note_copy(name.clone(), me, state.version);
            }
        }
        for seat in self.here.others() {
            let held = held.remove(&seat).unwrap_or_default();
            let copies = copies.remove(&seat).unwrap_or_default();
            let pieces = self.in_pieces(held, copies);
            self.pieces.insert((seat, false), pieces);
            self.say_piece(seat, false, 0);
        }
    }

    /// Cuts a report into pieces that are not too large.
    fn in_pieces(&self, held: Vec<Held>, copies: Vec<(Name, Version)>) -> VecDeque<Report> {
        let blank = |chunk| Report {
            chunk,
            last: false,
            settled: self.here.settled(),
            holding: self.holding,
            shards: Vec::new(),
            copies: Vec::new(),
        };
        let (mut pieces, mut piece, mut weight) = (VecDeque::new(), blank(0), 0);
        let mut room = |piece: &mut Report, more: usize| {
            weight += more;
            if weight > self.here.config.chunk_bytes {
                weight = more;
                let next = blank(piece.chunk + 1);
                pieces.push_back(core::mem::replace(piece, next));
            }
        };
        for Held { shard, full, records } in held {
            room(&mut piece, 12);
            piece.shards.push(Held { shard, full, records: Vec::new() });
            for (name, version) in records {
                let before = piece.chunk;
                room(&mut piece, name.len() + 12);
                if piece.chunk != before {
                    piece.shards.push(Held { shard, full, records: Vec::new() });
                }
                if let Some(held) = piece.shards.last_mut() {
                    held.records.push((name, version));
                }
            }
        }
        for (name, version) in copies {
            room(&mut piece, name.len() + 12);
            piece.copies.push((name, version));
        }
        piece.last = true;
        pieces.push_back(piece);
        pieces
    }

    /// Says the next piece of what this life, or an earlier one, has for that member.
    pub(super) fn say_piece(&mut self, seat: u16, estate: bool, level: usize) {
        let piece = self.pieces.get(&(seat, estate)).and_then(|pieces| pieces.front());
        let Some(report) = piece.cloned() else { return };
        let asking = Asking::Report(seat, estate, report.chunk);
        let part = if estate {
            let Some(of) = self.estate.as_ref().map(|estate| estate.of) else { return };
            Part::Offer { of, report }
        } else {
            Part::Report(report)
        };
        self.again.push(self.here.now, level, asking);
        self.here.post(seat, part);
    }

    pub(super) fn is_telling(&self, seat: u16, estate: bool, chunk: u32) -> bool {
        let piece = self.pieces.get(&(seat, estate)).and_then(|pieces| pieces.front());
        piece.is_some_and(|piece| piece.chunk == chunk)
    }

    /// A piece is known there.
    pub(super) fn hear_told(&mut self, from: u16, estate: bool, chunk: u32) -> bool {
        let Some(pieces) = self.pieces.get_mut(&(from, estate)) else { return false };
        if pieces.pop_front_if(|piece| piece.chunk == chunk).is_none() {
            return false;
        }
        if pieces.is_empty() {
            self.pieces.remove(&(from, estate));
        } else {
            self.say_piece(from, estate, 0);
        }
        true
    }

    /// Whether a piece is the next one of that member. If none before it is missing, that is to know that it has come.
    fn is_next(&mut self, from: u16, estate: bool, chunk: u32) -> bool {
        let next = self.heard.entry((from, estate)).or_default();
        let news = chunk == *next;
        if chunk <= *next {
            *next += u32::from(news);
            self.here.post(from, if estate { Part::Offered { chunk } } else { Part::Reported { chunk } });
        }
        news
    }

    pub(super) fn hear_report(&mut self, from: u16, report: Report, out: &mut Outbox) -> bool {
        let news = self.is_next(from, false, report.chunk);
        if news {
            let Report { last, settled, holding, shards, copies, .. } = report;
            if let Some(by) = self.here.member(from) {
                self.note_settled(by, settled);
            }
            self.holding |= holding;
            for held in shards {
                self.note_held(from, held);
            }
            for (name, version) in copies {
                let shard = self.here.shard(&name);
                if let Some(homing) = self.homing.get_mut(&shard) {
                    homing.note_copy(name, from, version);
                }
            }
            if last {
                self.told.insert((from, false));
                self.recover(out);
            }
        }
        news
    }

    // What an earlier life has had.

    /// Offers it to the homes of this view, this node among them.
    pub(super) fn prepare_offers(&mut self) {
        let Some(estate) = self.estate.as_ref().filter(|estate| estate.lineage == self.here.view.at.lineage) else {
            return;
        };
        let mut held = BTreeMap::<u16, Vec<Held>>::new();
        for (shard, store) in &estate.stores {
            held.entry(self.here.home(*shard)).or_default().push(held_of(*shard, store));
        }
        for (seat, held) in held {
            let pieces = self.in_pieces(held, Vec::new());
            self.pieces.insert((seat, true), pieces);
            self.say_piece(seat, true, 0);
        }
    }

    pub(super) fn hear_offer(&mut self, from: u16, of: Member, report: Report, out: &mut Outbox) -> bool {
        // Who offers what another node had does not keep the rules.
        if self.here.member(from).is_none_or(|member| member.node != of.node || member.incarnation <= of.incarnation) {
            return false;
        }
        let news = self.is_next(from, true, report.chunk);
        if news {
            for held in report.shards {
                self.note_offered(of, from, held);
            }
            if report.last {
                self.told.insert((from, true));
                out.reached("variable: an earlier life offers what it has kept");
                self.consider_offers(out);
            }
        }
        news
    }

    /// This node's lineage holds variables: all are to know, since a lineage that does gives way to none that does not.
    pub(super) fn learn_of_holding(&mut self) {
        if !core::mem::replace(&mut self.holding, true) {
            for seat in self.here.others() {
                self.here.post(seat, Part::Holding);
            }
        }
    }

    /// Where it was when others went on without it.
    #[must_use]
    pub fn has_estate_of(&self, at: At) -> bool {
        self.estate.as_ref().is_some_and(|estate| estate.lineage == at.lineage)
    }
}

fn held_of(shard: Shard, store: &Store) -> Held {
    let records = store.records.iter().map(|(name, record)| (name.clone(), record.state.version));
    Held { shard, full: store.full, records: records.collect() }
}
