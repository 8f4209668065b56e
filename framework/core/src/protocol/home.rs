//! Homes: which member keeps what has no other place.
//!
//! A name belongs to one of [`SHARDS`] shards, and the members of a view rank for each shard by a hash of the two (rendezvous
//! hashing, Thaler and Ravishankar 1998). So all members of a view agree on the homes of a name without a word, and when one
//! of them goes only what was at home with it moves.
//!
//! The hashes are part of the wire format: nodes that computed others would look for a name in another place. They are
//! FNV-1a over 64 bits (Fowler, Noll, Vo 1991), finished with the last step of SplitMix64, since FNV alone mixes its high
//! bits badly.

use super::view::View;
use crate::wire::id::{Member, NodeId};

/// Into so many parts all names are divided.
pub const SHARDS: u16 = 1024;

/// One part of all names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u16);

impl Shard {
    /// The shard of a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let hash = mixed(fnv(FNV_BASIS, name.as_bytes()));
        Self(u16::try_from(hash % u64::from(SHARDS)).unwrap_or(0))
    }

    fn weight(self, node: NodeId) -> u64 {
        mixed(fnv(fnv(FNV_BASIS, &self.0.to_le_bytes()), &node.0))
    }

    /// The two homes of this shard in a view, the first one first: members that are not on their way out. There is no second
    /// one where only one stays. The second is the first of the next view, if the first is not in that.
    #[must_use]
    pub fn homes(self, view: &View) -> (Member, Option<Member>) {
        let mut best = [None; 2];
        for seat in view.seats.iter().filter(|seat| !seat.leaving) {
            let rank = Some((self.weight(seat.member.node), seat.member));
            if rank > best[0] {
                best = [rank, best[0]];
            } else if rank > best[1] {
                best[1] = rank;
            }
        }
        let [first, second] = best.map(|it| it.map(|(_, member)| member));
        // A view always has a member that stays, and one without would be no reason to panic.
        (first.unwrap_or(view.seats[0].member), second)
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
    bytes.iter().fold(basis, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

const fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
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
}
