//! What all nodes of a world have asked for, and were told.

use std::collections::{BTreeMap, BTreeSet};

use guthi_core::{
    protocol::{
        home::Shard,
        membership::Installed,
        mutex::Fence,
        time::Time,
        variable::{Guard, Ticket, Version},
        view::{At, Epoch, Lineage},
    },
    wire::{id::Member, name::Name},
};

use super::host::{SUM_BITS, Said, VariableHost, is_bulk};
use crate::{
    history::{self, Answer, Call, Client, Expected, Moment, Operation, Reply, Verdict},
    scenario::Violation,
    world::{World, short},
};

/// What all nodes of a world have asked for, and were told.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: BTreeMap<(Member, Ticket), Open>,
    ended: BTreeMap<(Lineage, Name), Vec<Ended>>,
    /// In which views shards were begun anew: that is another life of their variables.
    resets: BTreeMap<(Lineage, Shard), Vec<Epoch>>,
    /// The newest version that anybody was told of.
    known: BTreeMap<(Lineage, Name), Version>,
    /// The same of those that are made once and never removed.
    kept: BTreeMap<(Lineage, Shard), BTreeMap<Name, Version>>,
    /// The highest fence with which somebody has written, and was told.
    fences: BTreeMap<(Lineage, Name), Fence>,
    /// When all was well.
    sound: BTreeMap<Lineage, Sound>,
    /// Who was cut since.
    cut: BTreeMap<Lineage, BTreeSet<Member>>,
    clients: u64,
    events: u64,
}

/// Something without an answer.
#[derive(Clone, Debug)]
struct Open {
    client: Client,
    name: Name,
    call: Call,
    start: Moment,
    /// The views in which its node has stood since, by the first of each lineage.
    since: Vec<At>,
    guard: Option<Guard>,
    /// The highest fence in the lineage of its guard before it began.
    below: Option<Fence>,
}

/// Something with an answer.
#[derive(Clone, Debug)]
struct Ended {
    client: Client,
    call: Call,
    start: Moment,
    reply: Reply,
    end: Moment,
    began: Epoch,
    ended: Epoch,
}

/// A view in which all shards were served.
#[derive(Clone, Copy, Debug)]
struct Sound {
    epoch: Epoch,
    /// So few could be home of anything in it, or in a view after it.
    candidates: usize,
}

type Checked = Result<(), Violation>;

/// So long a search for an order may be.
const STEPS_MAX: u64 = 60_000_000;

impl Ledger {
    /// What a task has asked for or was told; how long it took, once it is over.
    pub(super) fn hear(&mut self, now: Time, member: Member, at: At, said: Said) -> Result<Option<Time>, Violation> {
        match said {
            Said::Asked { ticket, name, call, guard } => {
                self.clients += 1;
                let below = guard.as_ref().and_then(|guard| self.fences.get(&(guard.lineage, name.clone())).copied());
                let (client, start) = (Client(self.clients), self.moment(now));
                let open = Open { client, name, call, start, since: vec![at], guard, below };
                self.open.insert((member, ticket), open);
                Ok(None)
            }
            Said::Told { ticket, reply, version } => {
                let Some(open) = self.open.remove(&(member, ticket)) else { return Ok(None) };
                self.know(at, &open.name, version);
                let began = Time::from_nanos(open.start.time);
                self.told(now, member, at, open, reply).map(|()| Some(began))
            }
            Said::Unknown { ticket } => {
                // It stays open for ever, under a number that nobody uses.
                let open = self.open.remove(&(member, ticket));
                if let Some(open) = open.filter(|open| open.call != Call::Get) {
                    self.open.insert((member, Ticket(u64::MAX - ticket.0)), open);
                }
                Ok(None)
            }
            Said::Nothing { ticket } => {
                self.open.remove(&(member, ticket));
                Ok(None)
            }
        }
    }

    fn told(&mut self, now: Time, member: Member, at: At, open: Open, reply: Reply) -> Checked {
        let Open { client, name, call, start, since, guard, below } = open;
        let end = self.moment(now);
        let began = since.iter().find(|it| it.lineage == at.lineage).map_or(at.epoch, |it| it.epoch);
        let object = (at.lineage, name.clone());
        if let Some(guard) = guard.filter(|_| reply.answer == Answer::Done || reply.answer == Answer::Stored(true)) {
            let (who, fence) = (short(member.node), guard.binding.fence);
            if guard.lineage != at.lineage {
                let what = format!("D10: {who} writes {name} in {at:?} under a guard of {:?}", guard.lineage);
                return Err(Violation::new(what));
            }
            if below.is_some_and(|below| below > fence) {
                let what = format!("D10: {who} writes {name} with {fence}, and it was written with {below:?} before");
                return Err(Violation::new(what));
            }
            let known = self.fences.entry(object.clone()).or_insert(fence);
            *known = fence.max(*known);
        }
        let ended = Ended { client, call, start, reply, end, began, ended: at.epoch };
        self.ended.entry(object).or_default().push(ended);
        Ok(())
    }

    /// Somebody was told of this version, in this view.
    pub(super) fn know(&mut self, at: At, name: &Name, version: Version) {
        let known = self.known.entry((at.lineage, name.clone())).or_default();
        *known = version.max(*known);
        let shard = Shard::of(name);
        if is_bulk(name) && self.life(at.lineage, shard, at.epoch) == self.life(at.lineage, shard, Epoch(u64::MAX)) {
            let kept = self.kept.entry((at.lineage, shard)).or_default().entry(name.clone()).or_default();
            *kept = version.max(*kept);
        }
    }

    /// The newest version of a variable that anybody was told of.
    pub(super) fn newest(&self, lineage: Lineage, name: &Name) -> Version {
        self.known.get(&(lineage, name.clone())).copied().unwrap_or_default()
    }

    /// What was made in a shard, and may not be lost.
    pub(super) fn kept(&self, lineage: Lineage, shard: Shard) -> impl Iterator<Item = (&Name, Version)> {
        self.kept.get(&(lineage, shard)).into_iter().flatten().map(|(name, version)| (name, *version))
    }

    /// A shard has been begun anew.
    pub(super) fn reset(&mut self, at: At, shard: Shard) {
        self.resets.entry((at.lineage, shard)).or_default().push(at.epoch);
        self.kept.remove(&(at.lineage, shard));
        self.fences.retain(|(lineage, name), _| *lineage != at.lineage || Shard::of(name) != shard);
    }

    /// How often a shard had been begun anew by then.
    fn life(&self, lineage: Lineage, shard: Shard, by: Epoch) -> usize {
        let resets = self.resets.get(&(lineage, shard)).map_or(&[][..], Vec::as_slice);
        resets.iter().filter(|epoch| **epoch <= by).count()
    }

    /// A node is in a later view.
    pub(super) fn enter(&mut self, member: Member, installed: &Installed, candidates: usize) {
        self.cut.entry(installed.at.lineage).or_default().extend(&installed.unheard);
        if let Some(sound) = self.sound.get_mut(&installed.at.lineage).filter(|it| it.epoch < installed.at.epoch) {
            sound.candidates = candidates.min(sound.candidates);
        }
        if installed.at.lineage != installed.before.lineage {
            let tickets = (member, Ticket(0))..=(member, Ticket(u64::MAX / 2));
            self.open.range_mut(tickets).for_each(|(_, open)| open.since.push(installed.at));
        }
    }

    /// All shards are served: from here on crashes are counted.
    pub(super) fn settle(&mut self, at: At, candidates: usize) {
        let sound = self.sound.entry(at.lineage).or_insert(Sound { epoch: at.epoch, candidates });
        if sound.epoch <= at.epoch {
            *sound = Sound { epoch: at.epoch, candidates };
            self.cut.remove(&at.lineage);
        }
    }

    /// D5: how many are gone since all was well, if they were too few for anything to be lost.
    pub(super) fn too_few_gone(&self, lineage: Lineage, replicas: u8) -> Option<usize> {
        let candidates = self.sound.get(&lineage).map_or(1, |sound| sound.candidates);
        let gone = self.cut.get(&lineage).map_or(0, BTreeSet::len);
        (gone < candidates.min(replicas.into())).then_some(gone)
    }

    /// D9: all that was asked and told has an order.
    pub(super) fn check(&self, world: &mut World<VariableHost>) -> Checked {
        let objects = self.ended.keys().collect::<BTreeSet<_>>();
        for (lineage, name) in objects {
            let shard = Shard::of(name);
            for life in 0..=self.life(*lineage, shard, Epoch(u64::MAX)) {
                self.check_object(world, *lineage, name, life)?;
            }
        }
        Ok(())
    }

    fn check_object(&self, world: &mut World<VariableHost>, lineage: Lineage, name: &Name, life: usize) -> Checked {
        let life_at = |epoch: Epoch| self.life(lineage, Shard::of(name), epoch);
        let mut operations = Vec::new();
        for it in self.ended.get(&(lineage, name.clone())).into_iter().flatten() {
            // A version says in which life of the shard it was done, however late that was told; in an earlier one it may have
            // been done as well, and be forgotten with that.
            let done = it.reply.version.filter(|version| version.epoch > 0).map(|version| Epoch(version.epoch));
            let (first, last) = (life_at(it.began), life_at(done.unwrap_or(it.ended)));
            let outcome = (life == last).then_some((it.reply, it.end));
            if (first..=last).contains(&life) && (outcome.is_some() || it.call != Call::Get) {
                operations.push(Operation { client: it.client, op: it.call, start: it.start, outcome });
            }
        }
        for open in self.open.values().filter(|open| open.name == *name && open.call != Call::Get) {
            if open.since.iter().any(|at| at.lineage == lineage && life_at(at.epoch) <= life) {
                operations.push(Operation { client: open.client, op: open.call, start: open.start, outcome: None });
            }
        }
        operations.sort_by_key(|operation| operation.start);
        leave_out_the_unseen(&mut operations);
        let model = history::Variable::default();
        match history::search(&model, &operations, STEPS_MAX) {
            Verdict::Linearizable { .. } => Ok(()),
            Verdict::NotLinearizable(conflict) => {
                let picture = history::picture(&model, &operations, &conflict.core, conflict.misfit);
                world.note(|| format!("{}\n{picture}", conflict.reason));
                Err(Violation::new(format!("D9: {name} in {lineage:?} is not linearizable: {}", conflict.reason)))
            }
            Verdict::OutOfBudget { steps } => {
                let count = operations.len();
                let pending = operations.iter().filter(|operation| operation.is_pending()).count();
                let what = format!("{count} operations, {pending} without an answer");
                let open = operations.iter().filter(|operation| operation.is_pending()).map(|it| it.op);
                world.note(|| format!("without an answer: {:?}", open.collect::<Vec<_>>()));
                Err(Violation::new(format!("D9: nobody knows of {name} after {steps} steps, {what}")))
            }
        }
    }

    const fn moment(&mut self, now: Time) -> Moment {
        self.events += 1;
        Moment { time: now.as_nanos(), position: self.events }
    }
}

/// What nobody has an answer of, and nobody has seen, can only have kept others from comparing: without both of them a history
/// has an order if it had one with them, and an order is found sooner. What makes a variable, or removes it, or adds to it stays.
fn leave_out_the_unseen(operations: &mut Vec<Operation<Call, Reply>>) {
    let base = |value: i64| value >> SUM_BITS;
    let seen = operations.iter().flat_map(|it| {
        let told = match it.ret().map(|reply| reply.answer) {
            Some(Answer::Value(value)) => value,
            _ => None,
        };
        let compared = match it.op {
            Call::CompareAndSet { expected: Expected::Value(value), .. } => value,
            _ => None,
        };
        [told, compared].into_iter().flatten().map(base)
    });
    let seen = seen.collect::<BTreeSet<_>>();
    let before = operations.len();
    operations.retain(|it| {
        let writes = match it.op {
            Call::Set(new) | Call::Swap(new) => Some(new),
            Call::CompareAndSet { expected: Expected::Value(Some(_)), new } => Some(new),
            _ => None,
        };
        !(it.is_pending() && writes.is_some_and(|new| !seen.contains(&base(new))))
    });
    if operations.len() < before {
        operations.retain(|it| {
            let refused = it.ret().is_some_and(|reply| reply.answer == Answer::Stored(false));
            !(refused && matches!(it.op, Call::CompareAndSet { expected: Expected::Value(Some(_)), .. }))
        });
    }
}
