//! What the processes of a world have beside the network: the files in which each writes how far it came, with a lock that
//! ends with its process, and variables, which are copied between members without a message.
//!
//! The variables are a toy. They stand where the real ones will: at two homes in each view, moving when views change, and
//! known to the other members only a little later. So a membership meets all that their holders may ask of it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use guthi_core::{
    protocol::{
        membership::File,
        view::{At, Lineage, View},
    },
    wire::id::Member,
};

/// The room of one world.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Rc<RefCell<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    processes: BTreeMap<Member, Process>,
    /// Somebody took the blame for a fork.
    forked_by_hand: bool,
}

/// What is seen of a process from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    /// It lives, so the lock on its file is not free.
    pub(super) lives: bool,
    /// The last view of each lineage that its file names.
    pub(super) written: BTreeMap<Lineage, At>,
    /// The view that it is in.
    pub(super) at: Option<At>,
    /// It serves in that view.
    pub(super) unwedged: bool,
    /// The variables of which it has a copy.
    pub(super) copies: BTreeSet<u8>,
}

/// The lock that a process has on its file. It ends with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) room: Room,
    me: Member,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(process) = self.room.0.borrow_mut().processes.get_mut(&self.me) {
            process.lives = false;
            process.copies.clear();
        }
    }
}

impl Room {
    /// A process begins.
    pub(super) fn lock(&self, me: Member) -> Lock {
        self.0.borrow_mut().processes.insert(me, Process { lives: true, ..Process::default() });
        Lock { room: self.clone(), me }
    }

    /// Whether the process of this member runs.
    pub(super) fn lives(&self, member: Member) -> bool {
        self.0.borrow().processes.get(&member).is_some_and(|process| process.lives)
    }

    /// What is seen of a process, if there ever was one.
    pub(super) fn process(&self, member: Member) -> Option<Process> {
        self.0.borrow().processes.get(&member).cloned()
    }

    /// What one look at all files tells.
    pub(super) fn files(&self) -> Vec<File> {
        let inside = self.0.borrow();
        let mut files = Vec::new();
        for (member, process) in &inside.processes {
            let file = |written| File { member: *member, dead: !process.lives, written };
            files.extend(process.written.values().map(|at| file(Some(*at))));
            if process.written.is_empty() {
                files.push(file(None));
            }
        }
        files
    }

    /// Somebody takes the blame for a fork.
    pub(super) fn fork_by_hand(&self) {
        self.0.borrow_mut().forked_by_hand = true;
    }

    /// Whether somebody ever did.
    pub(super) fn was_forked_by_hand(&self) -> bool {
        self.0.borrow().forked_by_hand
    }

    /// Whether somebody else who lives has a copy.
    pub(super) fn is_held_beside(&self, me: Member, variable: u8) -> bool {
        let inside = self.0.borrow();
        inside.processes.iter().any(|(member, process)| *member != me && process.copies.contains(&variable))
    }
}

impl Lock {
    /// Where this process is now.
    pub(super) fn publish(&self, written: &BTreeMap<Lineage, At>, at: At, unwedged: bool) {
        let mut inside = self.room.0.borrow_mut();
        if let Some(process) = inside.processes.get_mut(&self.me) {
            if process.written != *written {
                process.written.clone_from(written);
            }
            process.at = Some(at);
            process.unwedged = unwedged;
        }
    }

    /// The variables of which this process has a copy.
    pub(super) fn copies(&self) -> BTreeSet<u8> {
        self.room.process(self.me).map(|process| process.copies).unwrap_or_default()
    }

    /// A user of this process sets a variable: false if its homes are not all there.
    pub(super) fn set(&self, view: &View, variable: u8) -> bool {
        let homes = homes(view, variable);
        let mut inside = self.room.0.borrow_mut();
        let here = |member: &Member| {
            let process = inside.processes.get(member);
            process.is_some_and(|process| process.lives && process.unwedged && process.at == Some(view.at))
        };
        let all = homes.iter().all(here);
        if all {
            for home in homes {
                inside.processes.entry(home).or_default().copies.insert(variable);
            }
        }
        all
    }

    /// A user removes a variable from the lineage.
    pub(super) fn remove(&self, view: &View, variable: u8) {
        let mut inside = self.room.0.borrow_mut();
        for member in view.members() {
            if let Some(process) = inside.processes.get_mut(&member) {
                process.copies.remove(&variable);
            }
        }
    }

    /// All copies of this process are gone: they were rescued.
    pub(super) fn drop_copies(&self) {
        if let Some(process) = self.room.0.borrow_mut().processes.get_mut(&self.me) {
            process.copies.clear();
        }
    }

    /// Copies what this process is a home of in its view, drops what others are the homes of, and says whether its lineage
    /// holds any variable as far as can be seen.
    pub(super) fn recover(&self, view: &View) -> bool {
        let mut inside = self.room.0.borrow_mut();
        let here = |inside: &Inside, member: Member| {
            let process = inside.processes.get(&member);
            process.filter(|process| process.lives && process.at == Some(view.at)).cloned()
        };
        let peers: BTreeMap<_, _> = view.members().filter_map(|it| Some((it, here(&inside, it)?))).collect();
        let known: BTreeSet<_> = peers.values().flat_map(|process| process.copies.iter().copied()).collect();
        let me = self.me;
        let has = |member: Member, variable| peers.get(&member).is_some_and(|there| there.copies.contains(&variable));
        let Some(own) = inside.processes.get_mut(&me) else { return false };
        for variable in &known {
            let homes = homes(view, *variable);
            if homes.contains(&me) {
                own.copies.insert(*variable);
            } else if homes.iter().all(|home| has(*home, *variable)) {
                own.copies.remove(variable);
            }
        }
        !known.is_empty()
    }
}

/// Where a variable is in a view: two members, or the only one who stays.
fn homes(view: &View, variable: u8) -> Vec<Member> {
    let staying: Vec<_> = view.seats.iter().filter(|seat| !seat.leaving).map(|seat| seat.member).collect();
    let staying = if staying.is_empty() { view.members().collect() } else { staying };
    let first = usize::from(variable) % staying.len();
    let mut homes = vec![staying[first], staying[(first + 1) % staying.len()]];
    homes.dedup();
    homes
}
