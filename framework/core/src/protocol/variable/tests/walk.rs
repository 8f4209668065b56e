//! Random walks: what is true of all nodes together, whatever happens to letters and views.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;
use std::format;

use super::{
    super::{Action, Config, Event, Number, Operation, Outcome, Ticket, Value, Version},
    scene::{KIND, LAPSED, LEASED, Scene, WAITING, member},
};
use crate::{
    protocol::{
        home::Shard,
        random::Random,
        view::{Change, View},
    },
    wire::name::Name,
};

struct Walk {
    scene: Scene,
    chance: Random,
    names: Vec<Name>,
    /// The newest version of each that anybody was told of, with its value if that was told.
    newest: BTreeMap<Name, (Version, Option<Option<Value>>)>,
    /// What is added to the first name, one each.
    added: Vec<(usize, Ticket)>,
    others: Vec<(usize, Ticket, Name)>,
    /// Of those, the deletions.
    deletions: Vec<(usize, Ticket, Name)>,
    seen: usize,
    views: u32,
}

impl Walk {
    fn new(seed: u64, members: usize, replicas: u8) -> Self {
        let mut chance = Random::new(seed);
        let only = Some(Shard(u16::try_from(chance.below(1024)).unwrap()));
        let chunk_bytes = if chance.below(2) == 0 { 40 } else { 1000 };
        let mut scene = Scene::with(members, replicas, Config { only, chunk_bytes, ..Config::default() });
        let names: Vec<_> = ["sum", "one", "two"].map(|name| Name::new(name).unwrap()).into();
        scene.given(&names[0], 0);
        let (newest, added, others, deletions) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { scene, chance, names, newest, added, others, deletions, seen: 0, views: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.chance.below(bound as u64)).unwrap()
    }

    fn alive(&mut self) -> usize {
        let alive: Vec<_> = (0..self.scene.nodes.len()).filter(|node| !self.scene.nodes[*node].dead).collect();
        alive[self.below(alive.len())]
    }

    fn step(&mut self) {
        match self.below(20) {
            0..10 => self.deliver(),
            10 => self.scene.pass(Duration::from_millis(500)),
            11 | 12 => {
                let (node, name) = (self.alive(), self.below(3));
                self.scene.read(node, &self.names[name].clone());
            }
            13 => {
                let (node, name) = (self.alive(), self.below(3));
                self.scene.forget(node, &self.names[name].clone());
            }
            14 => {
                let (node, name) = (self.alive(), self.names[0].clone());
                let action = Action::Add { number: Number::U64, delta: 1 };
                self.added.push((node, self.scene.act(node, &name, action)));
            }
            15 | 16 => self.write(),
            17 => {
                let node = self.alive();
                let service = [LEASED, LEASED, LAPSED, WAITING][self.below(4)];
                self.scene.allow(node, service);
            }
            18 => self.go_on(),
            _ => {
                // Somebody learns of the view.
                let (node, view) = (self.alive(), self.scene.view.clone());
                self.scene.install(node, &view, LEASED);
            }
        }
        self.look();
    }

    fn deliver(&mut self) {
        if self.scene.mail.is_empty() {
            return;
        }
        let at = self.below(self.scene.mail.len().min(12));
        let letter = self.scene.mail.remove(at).unwrap();
        match self.below(12) {
            0 => {}
            1 => {
                self.scene.mail.push_back(letter.clone());
                self.scene.arrive(letter);
            }
            _ => self.scene.arrive(letter),
        }
    }

    fn write(&mut self) {
        let (node, name) = (self.alive(), 1 + self.below(2));
        let name = self.names[name].clone();
        let value = || [7][..].into();
        let expected = self.newest.get(&name).map_or_else(Version::default, |(version, _)| *version);
        let action = match self.below(6) {
            0 | 1 => Action::Create(value()),
            2 => Action::Delete,
            3 => Action::Replace { expected, value: value() },
            _ => Action::Swap(value()),
        };
        let deletes = action == Action::Delete;
        let ticket = self.scene.operate(node, &name, Operation { kind: KIND, guard: None, action });
        if deletes {
            self.deletions.push((node, ticket, name.clone()));
        }
        self.others.push((node, ticket, name));
    }

    /// The next view, which nobody has installed yet; now and then somebody dies, if another home has all.
    fn go_on(&mut self) {
        let settled = self
            .scene
            .nodes
            .iter()
            .filter(|node| !node.dead)
            .all(|node| node.machine.view().at == self.scene.view.at && node.machine.shards().recovering == 0);
        if self.views == 12 || !(settled || self.below(3) == 0) {
            return;
        }
        self.views += 1;
        let (count, node) = (self.scene.view.seats.len(), self.alive());
        let spare = self.scene.view.replicas > 1 && self.scene.view.candidates().count() > 1;
        let change = match self.below(6) {
            0 if settled && count > 2 && spare => {
                self.scene.nodes[node].dead = true;
                Change::Cut(member(node))
            }
            1 => Change::Retire(member(node)),
            _ => Change::Renew,
        };
        let mut next = self.scene.next(&[change]);
        if self.below(2) == 0 {
            stay(&mut next);
        }
        self.scene.view = next;
    }

    /// D3, and D9 as far as it shows in versions: nobody reads what is older than what anybody was told of.
    fn look(&mut self) {
        let mut told = Vec::new();
        for node in 0..self.scene.nodes.len() {
            for event in self.scene.said(node) {
                if let Event::Published { name, state } = event {
                    told.push((name, state.version, Some(state.value)));
                }
            }
        }
        let tickets = self.added.iter().map(|(_, ticket)| (*ticket, self.names[0].clone()));
        let tickets = tickets.chain(self.others.iter().map(|(_, ticket, name)| (*ticket, name.clone())));
        for (ticket, name) in tickets.collect::<Vec<_>>() {
            if let Some(Ok(answer)) = self.scene.answer(ticket) {
                told.push((name, answer.version, None));
            }
        }
        for (name, version, value) in told {
            let newest = self.newest.entry(name).or_default();
            if version > newest.0 || (version == newest.0 && newest.1.is_none()) {
                *newest = (version, value);
            }
        }
        for node in self.scene.nodes.iter().filter(|node| !node.dead) {
            for (name, state) in node.machine.readable() {
                let Some((version, value)) = self.newest.get(name) else { continue };
                // Whoever has deleted it may be dead before anybody was told.
                let untold = |(node, ticket, it): &(usize, Ticket, Name)| {
                    it == name && self.scene.nodes[*node].dead && self.scene.answer(*ticket).is_none()
                };
                let deleted = value.as_ref().is_none_or(Option::is_none) || self.deletions.iter().any(untold);
                let gone = state.version == Version::default() && deleted;
                assert!(state.version >= *version || gone, "{name}: {state:?} is read after {version:?} {value:?}");
            }
        }
        self.seen += 1;
    }

    /// All is well again: everything ends, and nothing was done twice or not at all.
    fn end(&mut self) {
        let view = self.scene.view.clone();
        self.scene.install_all(&view, LEASED);
        for node in 0..self.scene.nodes.len() {
            if !self.scene.nodes[node].dead {
                self.scene.allow(node, LEASED);
            }
        }
        for _ in 0..6 {
            self.scene.wait(Duration::from_secs(4));
            self.look();
        }
        let alive = |node: usize| !self.scene.nodes[node].dead;
        let open = self.others.iter().filter(|(node, ticket, _)| alive(*node) && self.scene.answer(*ticket).is_none());
        assert_eq!(open.count(), 0);
        let mut sums: Vec<_> = Vec::new();
        let mut maybe = 0;
        for (node, ticket) in self.added.clone() {
            match self.scene.answer(ticket) {
                Some(Ok(answer)) => {
                    let Outcome::Sum(sum) = answer.outcome else { panic!("{answer:?}") };
                    sums.push(sum);
                }
                _ => {
                    assert!(self.scene.nodes[node].dead, "it is not answered");
                    maybe += 1;
                }
            }
        }
        let count = sums.len();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), count, "D8: two got one sum");
        let (reader, name) = (self.alive(), self.names[0].clone());
        self.scene.asks(reader, &name);
        let copy = self.scene.nodes[reader].machine.readable().find(|(it, _)| **it == name).unwrap().1;
        let total: u64 = crate::wire::codec::decode(&copy.value.as_ref().unwrap().bytes).unwrap();
        let total = usize::try_from(total).unwrap();
        assert!((count..=count + maybe).contains(&total), "{count} and perhaps {maybe} make {total}");
    }
}

fn stay(view: &mut View) {
    for seat in &mut view.seats {
        if core::mem::replace(&mut seat.leaving, false) {
            let past = &mut view.past[0];
            if past.went.contains(&seat.member) {
                past.went.retain(|it| *it != seat.member);
            } else {
                past.came.push(seat.member);
            }
        }
    }
}

fn walk(seeds: core::ops::Range<u64>, members: usize, replicas: u8, steps: usize) {
    for seed in seeds {
        let result = std::panic::catch_unwind(|| {
            let mut walk = Walk::new(seed, members, replicas);
            (0..steps).for_each(|_| walk.step());
            walk.end();
        });
        assert!(result.is_ok(), "{}", format!("seed {seed}, {members} members, {replicas} homes"));
    }
}

#[test]
fn d3_d8_nobody_reads_the_old_and_nothing_is_done_twice_among_three() {
    walk(0..150, 3, 2, 400);
}

#[test]
fn d3_d8_nobody_reads_the_old_and_nothing_is_done_twice_among_five() {
    walk(0..80, 5, 3, 600);
}

#[test]
fn d3_d8_nobody_reads_the_old_and_nothing_is_done_twice_with_one_home() {
    walk(0..80, 3, 1, 400);
}
