//! Views: the lists of members that everybody agrees on.

use alloc::{collections::BTreeSet, vec, vec::Vec};
use core::{cmp::Reverse, fmt};

use serde::{Deserialize, Serialize};

use super::random::Random;
use crate::wire::{
    id::{Member, NodeId},
    limits::MEMBERS_MAX,
};

/// A line of views that follow each other; minted when a cluster is born, and when it forks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lineage(pub [u8; 16]);

impl Lineage {
    /// One that nobody else has, and that is lower than those that were born later. A lineage that does not know when it
    /// was born is all chance.
    #[must_use]
    pub fn mint(born: u64, random: &mut Random) -> Self {
        let first = random.next();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&if born == 0 { first } else { born }.to_be_bytes());
        bytes[8..].copy_from_slice(&random.next().to_be_bytes());
        Self(bytes)
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first digits, for people.
impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..3].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The number of a view in its lineage. It rises with each, and is larger still after a node of another lineage came in.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a view.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct At {
    /// Of which line it is.
    pub lineage: Lineage,
    /// Its number there.
    pub epoch: Epoch,
}

impl At {
    /// Whether it is an earlier view of the same line.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.lineage == other.lineage && self.epoch < other.epoch
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.lineage, self.epoch)
    }
}

/// Where a node stands. Each echo, and each answer to one, says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Standing {
    /// The view it has installed.
    pub at: At,
    /// It serves nothing in that view any more.
    pub wedged: bool,
}

/// The members that everybody agrees on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// Its name.
    pub at: At,
    /// Who belongs to it, the oldest first. Never empty.
    pub seats: Vec<Seat>,
    /// Who belonged to an earlier one, the last to go last; so that no word of them that was late brings them back.
    pub gone: Vec<Member>,
    /// How many homes each shard has. The lineage keeps what it was born with.
    pub replicas: u8,
    /// The last views before this one, the latest first; [`View::former`] reads them.
    pub past: Vec<Former>,
}

/// An earlier view, in short: how those who could be home of something there differ from those in the view after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Former {
    /// Its number.
    pub epoch: Epoch,
    /// Those of the view after it that are none of this one.
    pub came: Vec<Member>,
    /// Those of this view that are none of the one after it.
    pub went: Vec<Member>,
}

/// One member's place in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// Who.
    pub member: Member,
    /// Since which epoch it has been a member without a break.
    pub since: Epoch,
    /// It is on its way out: it votes and reports, and is home of nothing.
    pub leaving: bool,
}

/// One difference between a view and the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Change {
    /// None: the same members start anew, since somebody was wedged for nothing.
    Renew,
    /// This member does not answer.
    Cut(Member),
    /// This member is on its way out.
    Retire(Member),
    /// This member has done what it had to do before it goes, and serves no more.
    Part(Member),
    /// This node comes in, from a lineage that came so far.
    Admit(Member, Epoch),
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renew => write!(f, "renew"),
            Self::Cut(member) => write!(f, "cut {:?}", member.node),
            Self::Retire(member) => write!(f, "retire {:?}", member.node),
            Self::Part(member) => write!(f, "part {:?}", member.node),
            Self::Admit(member, _) => write!(f, "admit {:?}", member.node),
        }
    }
}

impl Change {
    /// Whom it is about.
    #[must_use]
    pub const fn member(self) -> Option<Member> {
        match self {
            Self::Renew => None,
            Self::Cut(member) | Self::Retire(member) | Self::Part(member) | Self::Admit(member, _) => Some(member),
        }
    }
}

impl View {
    /// The first view of a line: one member alone.
    #[must_use]
    pub fn born(at: At, founder: Member) -> Self {
        let seat = Seat { member: founder, since: at.epoch, leaving: false };
        Self { at, seats: vec![seat], gone: Vec::new(), replicas: REPLICAS, past: Vec::new() }
    }

    /// The same with so many homes for each shard, from one to [`REPLICAS_MAX`].
    #[must_use]
    pub fn with_replicas(self, replicas: u8) -> Self {
        Self { replicas: replicas.clamp(1, REPLICAS_MAX), ..self }
    }

    /// All members, the oldest first.
    pub fn members(&self) -> impl DoubleEndedIterator<Item = Member> + Clone + '_ {
        self.seats.iter().map(|seat| seat.member)
    }

    /// Who can be home of something: the members that are not on their way out, the oldest first. If all are, which only a
    /// fork leaves behind, it is the oldest of them.
    pub fn candidates(&self) -> impl Iterator<Item = Member> + Clone + '_ {
        let nobody_stays = self.seats.iter().all(|seat| seat.leaving);
        let seats = self.seats.iter().enumerate();
        seats.filter(move |(place, seat)| !seat.leaving || (nobody_stays && *place == 0)).map(|(_, seat)| seat.member)
    }

    /// The last views before this one, the latest first, each with those who were its [`candidates`](Self::candidates), in
    /// ascending order.
    pub fn former(&self) -> impl Iterator<Item = (Epoch, Vec<Member>)> + '_ {
        let mut candidates: BTreeSet<_> = self.candidates().collect();
        self.past.iter().map(move |former| {
            former.came.iter().for_each(|member| _ = candidates.remove(member));
            candidates.extend(&former.went);
            (former.epoch, candidates.iter().copied().collect())
        })
    }

    /// Who votes on the next view: all members up to [`VOTERS_MAX`], beyond that the oldest.
    pub fn voters(&self) -> impl ExactSizeIterator<Item = Member> + Clone + '_ {
        self.seats.iter().take(VOTERS_MAX).map(|seat| seat.member)
    }

    /// How many voters are older than this one, if it is one.
    #[must_use]
    pub fn rank(&self, voter: Member) -> Option<usize> {
        self.voters().position(|other| other == voter)
    }

    /// Whether these voters are enough: more than half of all, or exactly half with the oldest among them. So any two
    /// quorums share a voter (dynamic linear voting, Jajodia and Mutchler 1990).
    #[must_use]
    pub fn is_quorum(&self, has: impl Fn(Member) -> bool) -> bool {
        let all = self.voters().len();
        let yes = self.voters().filter(|voter| has(*voter)).count();
        2 * yes > all || (2 * yes == all && self.voters().next().is_some_and(has))
    }

    /// The place of this life of a node.
    #[must_use]
    pub fn seat(&self, member: Member) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.member == member)
    }

    /// Whether this life of a node is a member.
    #[must_use]
    pub fn has(&self, member: Member) -> bool {
        self.seat(member).is_some()
    }

    /// The life of a node that is a member.
    #[must_use]
    pub fn life(&self, node: NodeId) -> Option<Member> {
        self.members().find(|member| member.node == node)
    }

    /// The members of this view that are not of that one, or not without a break.
    pub fn missing_in<'a>(&'a self, next: &'a Self) -> impl Iterator<Item = Member> + 'a {
        let stays = |seat: &Seat| next.seat(seat.member).is_some_and(|later| later.since == seat.since);
        self.seats.iter().filter(move |seat| !stays(seat)).map(|seat| seat.member)
    }

    /// Whether this life of a node, or a later one, was a member and is out.
    #[must_use]
    pub fn outlived(&self, member: Member) -> bool {
        let mut lives = self.gone.iter().filter(|gone| gone.node == member.node);
        !self.has(member) && lives.any(|gone| gone.incarnation >= member.incarnation)
    }

    /// Whether this life of a node may come in: no life of it is a member, and none is known that is as late.
    #[must_use]
    pub fn admits(&self, member: Member) -> bool {
        self.life(member.node).is_none() && !self.outlived(member)
    }

    /// The view after these changes. What makes no sense in this view changes nothing: a cut of a stranger, a second
    /// admission, the retirement of the last who would stay. At most as many come in as stay, so that those who stay are a
    /// quorum of the next view, by the tie; so nobody who comes in and dies can stop those who were there.
    #[must_use]
    pub fn successor(&self, changes: &[Change]) -> Self {
        let mut next = self.members_after(changes);
        next.past.clone_from(&self.past);
        next.remember(self);
        next
    }

    /// The same without a past, for who asks only what becomes of the members.
    pub(super) fn members_after(&self, changes: &[Change]) -> Self {
        let at = At { epoch: self.at.epoch.next(), ..self.at };
        let (seats, gone) = (self.seats.clone(), self.gone.clone());
        let mut next = Self { at, seats, gone, replicas: self.replicas, past: Vec::new() };
        for change in changes {
            match *change {
                Change::Cut(member) | Change::Part(member) => next.drop(member),
                Change::Retire(member) => next.retire(member),
                Change::Renew | Change::Admit(..) => {}
            }
        }
        // If all who would have stayed are cut, one of those who are leaving has to stay: else nobody is home of anything.
        if next.seats.iter().all(|seat| seat.leaving) {
            next.seats[0].leaving = false;
        }
        let mut room = next.seats.len();
        for change in changes {
            let Change::Admit(member, epoch) = *change else { continue };
            if room == 0 || !next.admits(member) || next.seats.len() == MEMBERS_MAX {
                continue;
            }
            room -= 1;
            next.at.epoch = next.at.epoch.max(epoch.next());
            next.seats.push(Seat { member, since: Epoch(0), leaving: false });
        }
        let since = next.at.epoch;
        next.seats.iter_mut().filter(|seat| seat.since == Epoch(0)).for_each(|seat| seat.since = since);
        next.remember(self);
        next
    }

    /// The view of exactly these members, in a line of their own.
    #[must_use]
    pub fn fork(&self, lineage: Lineage, members: &[Member]) -> Self {
        let mut next = self.clone();
        next.at = At { lineage, epoch: self.at.epoch.next() };
        self.members().filter(|member| !members.contains(member)).for_each(|member| next.drop(member));
        next.remember(self);
        next
    }

    /// Whether it could have come from somebody who keeps the rules, as far as it shows by itself.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let unique = |seat: &Seat| self.seats.iter().filter(|other| other.member.node == seat.member.node).count() == 1;
        let sized = (1..=MEMBERS_MAX).contains(&self.seats.len()) && self.gone.len() <= GONE_MAX;
        let replicated = (1..=REPLICAS_MAX).contains(&self.replicas);
        let seated = || self.seats.iter().all(|seat| seat.since <= self.at.epoch && unique(seat));
        sized && replicated && seated() && self.has_sound_past()
    }

    fn has_sound_past(&self) -> bool {
        let bounded = |former: &Former| former.came.len().max(former.went.len()) <= MEMBERS_MAX;
        let epochs = self.past.iter().map(|former| former.epoch);
        let falling = core::iter::once(self.at.epoch).chain(epochs.clone()).zip(epochs).all(|(later, it)| it < later);
        let sized = falling && self.past.len() <= PAST_MAX && self.past.iter().all(bounded);
        sized && self.former().all(|(_, candidates)| (1..=MEMBERS_MAX).contains(&candidates.len()))
    }

    /// Puts the view before this one first among the earlier ones.
    fn remember(&mut self, before: &Self) {
        let (earlier, later): (BTreeSet<_>, BTreeSet<_>) = (before.candidates().collect(), self.candidates().collect());
        let came = later.difference(&earlier).copied().collect();
        let went = earlier.difference(&later).copied().collect();
        self.past.truncate(PAST_MAX - 1);
        self.past.insert(0, Former { epoch: before.at.epoch, came, went });
    }

    fn drop(&mut self, member: Member) {
        if self.seats.len() > 1 && self.has(member) {
            self.seats.retain(|seat| seat.member != member);
            if self.gone.len() == GONE_MAX {
                self.gone.remove(0);
            }
            self.gone.push(member);
        }
    }

    fn retire(&mut self, member: Member) {
        let staying = self.seats.iter().filter(|seat| !seat.leaving).count();
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.member == member)
            && staying > 1
        {
            seat.leaving = true;
        }
    }
}

/// What decides, when two lineages meet, which one gives way: the lower. It is a total order of lineages, since no term
/// looks at the other one, so there is no circle of three of which each gives way to the next. Each term is known to every member,
/// sooner or later: else a lineage would give way in the one and stay in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rank {
    /// It holds variables.
    pub holds: bool,
    /// It has a quorum here and now.
    pub quorum: bool,
    /// How many belong to it.
    pub members: u32,
    /// How far it came.
    pub epoch: Epoch,
    /// The lower one is the higher in rank.
    pub lineage: Reverse<Lineage>,
}

/// The most members that vote on a view.
pub const VOTERS_MAX: usize = 7;
/// So many homes each shard has, unless somebody asks for another number.
pub const REPLICAS: u8 = 2;
/// The most homes of a shard.
pub const REPLICAS_MAX: u8 = 8;
/// So many earlier views are remembered.
pub const PAST_MAX: usize = 64;
/// So many that were members are remembered.
const GONE_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::wire::id::Incarnation;

    fn member(node: u8, life: u64) -> Member {
        Member { node: NodeId([node; 32]), incarnation: Incarnation(life) }
    }

    fn view(members: u8) -> View {
        let born = View::born(At { lineage: Lineage([1; 16]), epoch: Epoch(1) }, member(0, 1));
        (1..members).fold(born, |view, node| view.successor(&[Change::Admit(member(node, 1), Epoch(1))]))
    }

    fn change() -> impl Strategy<Value = Change> {
        (0..5_u8, 0..9_u8, 1..4_u64).prop_map(|(kind, node, life)| match kind {
            0 => Change::Renew,
            1 => Change::Cut(member(node, life)),
            2 => Change::Retire(member(node, life)),
            3 => Change::Part(member(node, life)),
            _ => Change::Admit(member(node, life), Epoch(life)),
        })
    }

    #[test]
    fn any_two_quorums_share_a_voter() {
        for members in 1..=9 {
            let view = view(members);
            let voters: Vec<_> = view.voters().collect();
            let in_set =
                |set: u32, voter| voters.iter().position(|it| *it == voter).is_some_and(|it| set >> it & 1 == 1);
            let all = 1_u32 << voters.len();
            let quorums: Vec<_> = (0..all).filter(|set| view.is_quorum(|voter| in_set(*set, voter))).collect();
            assert!(quorums.iter().all(|one| quorums.iter().all(|other| one & other != 0)), "{members} members");
            assert!(quorums.contains(&(all - 1)));
        }
    }

    /// H25: one member that takes in three that die would have lost its quorum for ever.
    #[test]
    fn h25_no_more_come_in_than_stay() {
        let joiners: Vec<_> = (1..5).map(|node| Change::Admit(member(node, 1), Epoch(1))).collect();
        let next = view(1).successor(&joiners);
        assert_eq!(next.members().collect::<Vec<_>>(), [member(0, 1), member(1, 1)]);
        assert!(next.is_quorum(|voter| voter == member(0, 1)));
    }

    /// H20: a late word of a joiner that was cut since.
    #[test]
    fn h20_no_life_comes_in_twice() {
        let admit = Change::Admit(member(1, 1), Epoch(1));
        let cut = view(2).successor(&[Change::Cut(member(1, 1))]);
        assert_eq!(cut.successor(&[admit]).members().count(), 1);
        let later = cut.successor(&[Change::Admit(member(1, 2), Epoch(1))]);
        assert_eq!(later.seat(member(1, 2)).unwrap().since, later.at.epoch);
    }

    #[test]
    fn a_later_life_comes_in_once_the_earlier_one_is_cut_and_is_the_youngest() {
        let admit = Change::Admit(member(0, 2), Epoch(1));
        assert_eq!(view(3).successor(&[admit]).members().count(), 3);
        let next = view(3).successor(&[admit, Change::Cut(member(0, 1))]);
        assert_eq!(next.members().collect::<Vec<_>>(), [member(1, 1), member(2, 1), member(0, 2)]);
    }

    #[test]
    fn the_epoch_is_beyond_that_of_whoever_comes_in() {
        let next = view(1).successor(&[Change::Admit(member(1, 1), Epoch(40))]);
        assert_eq!(next.at.epoch, Epoch(41));
        assert_eq!(next.seat(member(1, 1)).unwrap().since, Epoch(41));
    }

    #[test]
    fn somebody_always_stays() {
        let all = [0, 1, 2].map(|node| Change::Retire(member(node, 1)));
        assert_eq!(view(3).successor(&all).seats.iter().filter(|seat| seat.leaving).count(), 2);
        let all = [0, 1, 2].map(|node| Change::Part(member(node, 1)));
        assert_eq!(view(3).successor(&all).members().count(), 1);
    }

    #[test]
    fn one_who_was_leaving_and_has_to_stay_was_no_candidate_before() {
        let [a, b, c] = [0, 1, 2].map(|node| member(node, 1));
        let retired = view(3).successor(&[Change::Retire(a), Change::Retire(b)]);
        let next = retired.successor(&[Change::Cut(c)]);
        assert_eq!(next.candidates().collect::<Vec<_>>(), [a]);
        assert_eq!(next.past[0], Former { epoch: retired.at.epoch, came: vec![a], went: vec![c] });
        let former: Vec<_> = next.former().map(|(_, candidates)| candidates).take(2).collect();
        assert_eq!(former, [vec![c], vec![a, b, c]]);
    }

    #[test]
    fn a_fork_of_those_who_are_leaving_has_a_candidate() {
        let [a, b, c] = [0, 1, 2].map(|node| member(node, 1));
        let fork = view(3).successor(&[Change::Retire(b), Change::Retire(c)]).fork(Lineage([2; 16]), &[b, c]);
        assert_eq!(fork.candidates().collect::<Vec<_>>(), [b]);
        assert_eq!(fork.former().next().unwrap().1, [a]);
        assert!(fork.is_sound());
    }

    #[test]
    fn replicas_are_kept_and_bounded() {
        let view = view(2).with_replicas(3);
        assert_eq!(view.successor(&[Change::Cut(member(1, 1))]).replicas, 3);
        assert_eq!(view.fork(Lineage([2; 16]), &[member(1, 1)]).replicas, 3);
        assert_eq!([0, 9].map(|replicas| view.clone().with_replicas(replicas).replicas), [1, REPLICAS_MAX]);
        for replicas in [0, REPLICAS_MAX + 1] {
            assert!(!View { replicas, ..view.clone() }.is_sound());
        }
    }

    #[test]
    fn a_past_that_cannot_have_been_is_not_sound() {
        let sound = view(3);
        let with = |change: &dyn Fn(&mut Vec<Former>)| {
            let mut view = sound.clone();
            change(&mut view.past);
            view.is_sound()
        };
        let many = |len: u64| (0..len).map(|life| member(9, life)).collect::<Vec<_>>();
        assert!(with(&|_| ()));
        assert!(!with(&|past| past[0].epoch = sound.at.epoch));
        assert!(!with(&|past| past.reverse()));
        assert!(!with(&|past| past[1].came = many(MEMBERS_MAX as u64 + 1)));
        assert!(!with(&|past| past[0].went = many(MEMBERS_MAX as u64)), "more than a view has members");
        assert!(!with(&|past| past[1].came = vec![member(0, 1), member(1, 1)]), "a view of nobody");
        let former = |epoch| Former { epoch: Epoch(epoch), came: Vec::new(), went: Vec::new() };
        let long = |len| {
            let at = At { epoch: Epoch(100), ..sound.at };
            View { at, past: (0..len).map(|age| former(99 - age)).collect(), ..sound.clone() }
        };
        assert!(long(PAST_MAX as u64).is_sound() && !long(PAST_MAX as u64 + 1).is_sound());
    }

    proptest! {
        #[test]
        fn the_past_is_what_was(
            changes in collection::vec(collection::vec(change(), 0..6), 0..80),
            forks in collection::btree_set(0..80_usize, 0..4),
        ) {
            let born = View::born(At { lineage: Lineage([1; 16]), epoch: Epoch(1) }, member(0, 1));
            let mut views = vec![born];
            for (step, changes) in changes.iter().enumerate() {
                let last = &views[views.len() - 1];
                let next = if forks.contains(&step) {
                    let kept: Vec<_> = last.members().skip(last.seats.len() / 2).collect();
                    last.fork(Lineage([step as u8; 16]), &kept)
                } else {
                    last.successor(changes)
                };
                views.push(next);
            }
            let last = views.pop().unwrap();
            prop_assert!(last.is_sound());
            let were = views.iter().rev().take(PAST_MAX).map(|view| {
                let mut candidates: Vec<_> = view.candidates().collect();
                candidates.sort_unstable();
                (view.at.epoch, candidates)
            });
            prop_assert!(last.former().eq(were));
        }

        #[test]
        fn whatever_is_decided_a_view_stays_sound(
            changes in collection::vec(collection::vec(change(), 0..6), 0..20),
        ) {
            let mut view = view(3);
            for changes in changes {
                let next = view.successor(&changes);
                prop_assert!(next.is_sound());
                prop_assert!(next.at.epoch > view.at.epoch);
                prop_assert!(next.seats.is_sorted_by_key(|seat| seat.since));
                let staying = next.seats.iter().filter(|seat| view.seat(seat.member).is_some()).count();
                prop_assert!(staying >= next.seats.len() - staying);
                view = next;
            }
        }
    }
}
