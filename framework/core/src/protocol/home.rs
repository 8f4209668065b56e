//! Homes: which member keeps what has no other place.
//!
//! A name belongs to one of [`SHARDS`] shards, and the members of a view rank for each shard by a hash of the two (rendezvous
//! hashing, Thaler and Ravishankar 1998). So all members of a view agree on the homes of a name without a word, and when one
//! of them goes only what was at home with it moves.
//!
//! The hashes are part of the wire format: nodes that computed others would look for a name in another place. They are
//! FNV-1a over 64 bits (Fowler, Noll, Vo 1991), finished with the last step of SplitMix64, since FNV alone mixes its high
//! bits badly.

use alloc::{vec, vec::Vec};

use serde::{Deserialize, Serialize};

use super::view::View;
use crate::wire::id::{Member, NodeId};

/// Into so many parts all names are divided.
pub const SHARDS: u16 = 1024;

/// One part of all names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard(pub u16);

impl Shard {
    /// The shard of a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let hash = mixed(fnv(FNV_BASIS, name.as_bytes()));
        Self(u16::try_from(hash % u64::from(SHARDS)).unwrap_or(0))
    }

    fn weight(self, node: NodeId) -> u64 {
        mixed(fnv(self.basis(), &node.0))
    }

    fn basis(self) -> u64 {
        fnv(FNV_BASIS, &self.0.to_le_bytes())
    }

    /// The two homes of this shard in a view, the first one first: members that are not on their way out. There is no second
    /// one where only one stays. The second is the first of the next view, if the first is not in that.
    #[must_use]
    pub fn homes(self, view: &View) -> (Member, Option<Member>) {
        let mut best = [None; 2];
        for member in view.candidates() {
            let rank = Some((self.weight(member.node), member));
            if rank > best[0] {
                best = [rank, best[0]];
            } else if rank > best[1] {
                best[1] = rank;
            }
        }
        let [first, second] = best.map(|it| it.map(|(_, member)| member));
        // A view always has a candidate, and one without would be no reason to panic.
        (first.unwrap_or(view.seats[0].member), second)
    }

    /// All homes of this shard in a view, the first one first: as many as the view has replicas, or all candidates if they
    /// are fewer. When one of them goes the others keep their order.
    #[must_use]
    pub fn homes_in(self, view: &View) -> Vec<Member> {
        self.rank(view.candidates(), view.replicas.into())
    }

    /// The best of these for this shard, the best first, and at most so many.
    #[must_use]
    pub fn rank(self, candidates: impl Iterator<Item = Member>, count: usize) -> Vec<Member> {
        let mut best = Best::default();
        candidates.for_each(|member| best.offer(self.weight(member.node), member, count));
        best.members()
    }
}

/// All homes of all shards in a view, by the number of the shard.
#[must_use]
pub fn all_homes(view: &View) -> Vec<Vec<Member>> {
    rank_all(view.candidates(), view.replicas.into())
}

/// The best of these for each shard, by its number: what [`Shard::rank`] finds for one.
#[must_use]
pub fn rank_all(candidates: impl Iterator<Item = Member>, count: usize) -> Vec<Vec<Member>> {
    let bases: Vec<_> = (0..SHARDS).map(|shard| Shard(shard).basis()).collect();
    let mut all = vec![Best::default(); bases.len()];
    for member in candidates {
        // Byte after byte for all shards at once: in one hash each step waits for the last.
        let mut hashes = bases.clone();
        for byte in member.node.0 {
            hashes.iter_mut().for_each(|hash| *hash = fnv_step(*hash, byte));
        }
        all.iter_mut().zip(hashes).for_each(|(best, hash)| best.offer(mixed(hash), member, count));
    }
    all.into_iter().map(Best::members).collect()
}

/// The best so far, the best first.
#[derive(Clone, Default)]
struct Best(Vec<(u64, Member)>);

impl Best {
    fn offer(&mut self, weight: u64, member: Member, count: usize) {
        let rank = (weight, member);
        let place = self.0.partition_point(|other| *other > rank);
        if place < count {
            self.0.truncate(count - 1);
            self.0.insert(place, rank);
        }
    }

    fn members(self) -> Vec<Member> {
        self.0.into_iter().map(|(_, member)| member).collect()
    }
}

/// The first home of a name in a view.
#[must_use]
pub fn home(view: &View, name: &str) -> Member {
    Shard::of(name).homes(view).0
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn fnv(basis: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(basis, |hash, byte| fnv_step(hash, *byte))
}

fn fnv_step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
}

const fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, format};

    use super::*;
    use crate::{
        protocol::view::{At, Change, Epoch, Lineage},
        wire::id::Incarnation,
    };

    fn member(node: u8) -> Member {
        Member { node: NodeId([node; 32]), incarnation: Incarnation(1) }
    }

    fn view(members: u8) -> View {
        let born = View::born(At { lineage: Lineage([1; 16]), epoch: Epoch(1) }, member(0));
        (1..members).fold(born, |view, node| view.successor(&[Change::Admit(member(node), Epoch(1))]))
    }

    #[test]
    fn the_hashes_are_golden() {
        assert_eq!(fnv(FNV_BASIS, b""), 0xcbf2_9ce4_8422_2325);
        // From the page of the authors of FNV.
        assert_eq!(fnv(FNV_BASIS, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(FNV_BASIS, b"foobar"), 0x8594_4171_f739_67e8);
        // The first number of SplitMix64 from the seed 0, whose state is then the golden ratio.
        assert_eq!(mixed(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
        let shards = ["", "total", "canvas", "board/turn"].map(Shard::of);
        assert_eq!(shards, GOLDEN_SHARDS);
        let homes: Vec<_> = ["total", "canvas", "board/turn"].map(|name| home(&view(5), name).node.0[0]).into();
        assert_eq!(homes, GOLDEN_HOMES);
    }

    const GOLDEN_SHARDS: [Shard; 4] = [Shard(155), Shard(414), Shard(96), Shard(965)];
    const GOLDEN_HOMES: [u8; 3] = [0, 2, 4];

    #[test]
    fn names_spread_over_shards_and_shards_over_members() {
        let mut shards = BTreeMap::<_, u32>::new();
        (0..102_400).for_each(|n| *shards.entry(Shard::of(&format!("name/{n}"))).or_default() += 1);
        assert_eq!(shards.len(), usize::from(SHARDS));
        assert!(shards.values().all(|count| (50..=160).contains(count)), "{shards:?}");
        let mut homes = BTreeMap::<_, u32>::new();
        (0..SHARDS).for_each(|shard| *homes.entry(Shard(shard).homes(&view(5)).0).or_default() += 1);
        assert!(homes.values().all(|count| (150..=260).contains(count)), "{homes:?}");
    }

    #[test]
    fn only_what_was_at_home_with_a_member_moves_when_it_goes() {
        let before = view(5);
        let cut = before.successor(&[Change::Cut(member(2))]);
        let retired = before.successor(&[Change::Retire(member(2))]);
        for shard in (0..SHARDS).map(Shard) {
            let (home, deputy) = shard.homes(&before);
            for after in [&cut, &retired] {
                let (next, second) = shard.homes(after);
                assert_eq!(next == home, home != member(2));
                assert_eq!(Some(next) == deputy, home == member(2), "the second becomes the first");
                assert!(second.is_some_and(|second| second != next && second != member(2)));
            }
        }
    }

    #[test]
    fn the_first_two_of_all_homes_are_those_of_mutexes() {
        for members in 1..6 {
            for replicas in 1..=4 {
                let view = view(members).with_replicas(replicas);
                let all = all_homes(&view);
                assert_eq!(all.len(), usize::from(SHARDS));
                for (shard, homes) in (0..SHARDS).map(Shard).zip(all) {
                    assert_eq!(homes, shard.homes_in(&view));
                    assert_eq!(homes.len(), usize::from(members.min(replicas)));
                    let (first, second) = shard.homes(&view);
                    let both: Vec<_> = [Some(first), second].into_iter().flatten().take(replicas.into()).collect();
                    assert_eq!(homes[..homes.len().min(2)], both);
                }
            }
        }
    }

    #[test]
    fn when_one_goes_the_other_homes_keep_their_order() {
        let before = view(5).with_replicas(3);
        let cut = before.successor(&[Change::Cut(member(2))]);
        for shard in (0..SHARDS).map(Shard) {
            let (homes, after) = (shard.homes_in(&before), shard.homes_in(&cut));
            let left: Vec<_> = homes.iter().copied().filter(|home| *home != member(2)).collect();
            assert_eq!(after.len(), 3);
            assert!(after.starts_with(&left), "{homes:?} and then {after:?}");
        }
    }

    #[test]
    fn a_view_of_leavers_alone_has_a_home_all_the_same() {
        let retired = view(3).successor(&[Change::Retire(member(1)), Change::Retire(member(2))]);
        let fork = retired.fork(Lineage([2; 16]), &[member(1), member(2)]);
        for shard in (0..SHARDS).map(Shard) {
            assert_eq!(shard.homes(&fork), (member(1), None));
            assert_eq!(shard.homes_in(&fork), [member(1)]);
        }
    }

    #[test]
    fn one_shard_ranks_as_in_the_whole() {
        let candidates = || (0..9).map(member);
        for count in [0, 1, 4, 20] {
            let all = rank_all(candidates(), count);
            assert!((0..SHARDS).map(|shard| Shard(shard).rank(candidates(), count)).eq(all));
        }
    }
}
