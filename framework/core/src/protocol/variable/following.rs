//! Following all variables whose names begin alike: each home lists what it has of them, and tells each change after that.
//!
//! A follower is told in pieces, and a home sends it no piece before it has heard of the last one. What changes meanwhile goes
//! with the next: of each name the newest. So whoever is slow is told less, and no queue is longer than there are names.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::{mem, ops::Bound};

use super::{Event, Machine, News, Part, State, Version, again::Asking, machine::Outbox, recovery::Phase};
use crate::{
    protocol::{
        bugs::Bug,
        home::Shard,
        view::{At, Epoch},
    },
    wire::{limits::FOLLOWED_MAX, name::Name},
};

/// How the names begin that somebody follows; nothing for all names.
pub type Prefix = Option<Name>;

/// What this node follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Following {
    nonce: u64,
    /// The next piece of each home in this view.
    next: BTreeMap<u16, u64>,
    /// The shards that were listed in this view.
    listed: BTreeSet<Shard>,
    /// All shards were listed once, in whichever views.
    is_whole: bool,
    /// What is there, as far as it was told.
    known: BTreeMap<Shard, BTreeMap<Name, Seen>>,
}

/// A variable that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Seen {
    version: Version,
    /// In this view it was heard of last.
    at: Epoch,
}

/// Somebody who follows what is at home here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Follower {
    prefix: Prefix,
    /// The piece that it has not acknowledged, or the next one.
    piece: u64,
    under_way: Option<Part>,
    /// Names that have changed since they were told, and how often.
    changed: BTreeMap<Name, u64>,
    /// Shards of which it was not told all.
    to_list: BTreeSet<Shard>,
    /// The one of them that is being listed, with the last name that it was told of.
    listing: Option<(Shard, Name)>,
}

impl Following {
    /// Takes what the home of a variable says of it; gives it back, with how many values were skipped, if it is news.
    fn learn(&mut self, shard: Shard, epoch: Epoch, it: News) -> Option<(Name, State, u64)> {
        let News { name, state, count } = it;
        let known = self.known.entry(shard).or_default();
        let before = known.get(&name).map_or_else(Version::default, |seen| seen.version);
        let Some(state) = state else {
            // It is being written, so it will come.
            known.insert(name, Seen { version: before, at: epoch });
            return None;
        };
        let is_news = if state.value.is_some() {
            let seen = Seen { version: state.version.max(before), at: epoch };
            known.insert(name.clone(), seen).is_none() || state.version > before
        } else {
            known.remove(&name).is_some()
        };
        is_news.then(|| (name, state, count.saturating_sub(1)))
    }

    /// All of a shard was named in this view: what was not is gone.
    fn forget_unnamed(&mut self, shard: Shard, epoch: Epoch) -> Vec<Name> {
        let known = self.known.get_mut(&shard);
        known
            .into_iter()
            .flat_map(|known| known.extract_if(.., |_, seen| seen.at != epoch))
            .map(|(name, _)| name)
            .collect()
    }
}

fn is_in(name: &Name, prefix: &Prefix) -> bool {
    prefix.as_ref().is_none_or(|prefix| name.starts_with(&**prefix))
}

// Who follows.

impl Machine {
    pub(super) fn follow(&mut self, prefix: Prefix) {
        if !self.following.contains_key(&prefix) {
            let nonce = self.here.next_nonce();
            self.following.insert(prefix.clone(), Following { nonce, ..Following::default() });
            self.ask_all(&prefix);
        }
    }

    pub(super) fn unfollow(&mut self, prefix: &Prefix) {
        let Some(Following { nonce, .. }) = self.following.remove(prefix) else { return };
        for seat in self.everybody() {
            self.here.post(seat, Part::Unfollow { nonce });
        }
    }

    /// In a new view all is listed anew, by other homes perhaps: what nobody names any more is gone.
    pub(super) fn follow_again(&mut self, survives: bool) {
        for following in self.following.values_mut() {
            following.next.clear();
            following.listed.clear();
            if !survives {
                // The versions of one lineage say nothing in another.
                let seen = following.known.values_mut().flat_map(BTreeMap::values_mut);
                seen.for_each(|seen| seen.version = Version::default());
            }
        }
        for prefix in self.following.keys().cloned().collect::<Vec<_>>() {
            self.ask_all(&prefix);
        }
    }

    fn everybody(&self) -> impl Iterator<Item = u16> + use<> {
        self.here.others().chain([self.here.seat()])
    }

    fn ask_all(&mut self, prefix: &Prefix) {
        for seat in self.everybody() {
            self.say_follow(prefix.clone(), seat, 0);
        }
    }

    pub(super) fn say_follow(&mut self, prefix: Prefix, seat: u16, level: usize) {
        let Some(Following { nonce, .. }) = self.following.get(&prefix) else { return };
        let nonce = *nonce;
        self.again.push(self.here.now, level, Asking::Follow(prefix.clone(), seat));
        self.here.post(seat, Part::Follow { prefix, nonce });
    }

    pub(super) fn awaits_list(&self, prefix: &Prefix, seat: u16) -> bool {
        self.following.get(prefix).is_some_and(|following| !following.next.contains_key(&seat))
    }

    /// A home tells what there is, or what has changed.
    pub(super) fn hear_news(
        &mut self,
        from: u16,
        (nonce, piece): (u64, u64),
        (news, listed, lost): (Vec<News>, Vec<Shard>, Vec<Shard>),
        out: &mut Outbox,
    ) -> bool {
        let At { epoch, .. } = self.here.view.at;
        let Some((prefix, following)) = self.following.iter_mut().find(|(_, it)| it.nonce == nonce) else {
            // It has not heard that nobody here wants to know.
            self.here.post(from, Part::Unfollow { nonce });
            return false;
        };
        let next = following.next.entry(from).or_default();
        if piece > *next {
            return false;
        }
        self.here.post(from, Part::Heard { nonce, piece });
        if piece < *next {
            out.reached("variable: news that come twice");
            return true;
        }
        *next += 1;
        // Of what is at home elsewhere a home has nothing to say.
        let here = &self.here;
        let is_its = |shard: &Shard| here.homes(*shard).first() == Some(&from);
        for it in news {
            let shard = here.shard(&it.name);
            if is_its(&shard)
                && is_in(&it.name, prefix)
                && let Some((name, state, skipped)) = following.learn(shard, epoch, it)
            {
                out.emit(Event::Followed { prefix: prefix.clone(), name, state, skipped });
            }
        }
        for shard in listed.into_iter().filter(is_its) {
            following.listed.insert(shard);
            if here.config.bugs.has(Bug::GoneUntold) {
                continue;
            }
            for name in following.forget_unnamed(shard, epoch) {
                out.emit(Event::Followed { prefix: prefix.clone(), name, state: State::default(), skipped: 0 });
            }
        }
        following.listed.extend(lost.into_iter().filter(is_its));
        if !following.is_whole && following.listed.len() == here.shards() {
            following.is_whole = true;
            out.emit(Event::Listed { prefix: prefix.clone() });
        }
        true
    }
}

// The home.

impl Machine {
    pub(super) fn hear_follow(&mut self, from: u16, prefix: Prefix, nonce: u64) -> bool {
        let key = (from, nonce);
        if !self.followers.contains_key(&key) {
            if self.followers.range((from, 0)..=(from, u64::MAX)).count() >= FOLLOWED_MAX {
                return false;
            }
            let to_list = self.homing.keys().copied().collect();
            let (piece, under_way, changed, listing) = (0, None, BTreeMap::new(), None);
            self.followers.insert(key, Follower { prefix, piece, under_way, changed, to_list, listing });
            self.tell_news(key, true);
        }
        true
    }

    pub(super) fn hear_unfollow(&mut self, from: u16, nonce: u64) {
        self.followers.remove(&(from, nonce));
    }

    pub(super) fn hear_heard(&mut self, from: u16, nonce: u64, piece: u64) -> bool {
        let key = (from, nonce);
        let Some(follower) = self.followers.get_mut(&key) else { return false };
        if follower.under_way.is_none() || follower.piece != piece {
            return false;
        }
        follower.under_way = None;
        follower.piece += 1;
        self.tell_news(key, false);
        true
    }

    /// A shard is there, or is lost: whoever follows is told what is in it.
    pub(super) fn list_anew(&mut self, shard: Shard) {
        for key in self.followers.keys().copied().collect::<Vec<_>>() {
            if let Some(follower) = self.followers.get_mut(&key) {
                follower.to_list.insert(shard);
                follower.listing.take_if(|(at, _)| *at == shard);
            }
            self.tell_news(key, false);
        }
    }

    /// A variable has a new value, or none any more.
    pub(super) fn tell_followers(&mut self, name: &Name) {
        for key in self.followers.keys().copied().collect::<Vec<_>>() {
            let Some(follower) = self.followers.get_mut(&key).filter(|it| is_in(name, &it.prefix)) else { continue };
            if follower.under_way.is_some() && self.here.config.bugs.has(Bug::NewsForgotten) {
                continue;
            }
            *follower.changed.entry(name.clone()).or_default() += 1;
            self.tell_news(key, false);
        }
    }

    /// Says the next piece, if none is under way and there is something to say; the first one in any case.
    fn tell_news(&mut self, key: (u16, u64), first: bool) {
        let Some(mut follower) = self.followers.remove(&key) else { return };
        if follower.under_way.is_none() {
            let (news, listed, lost) = self.news_for(&mut follower);
            if first || !(news.is_empty() && listed.is_empty() && lost.is_empty()) {
                let piece = follower.piece;
                follower.under_way = Some(Part::News { nonce: key.1, piece, news, listed, lost });
            }
            self.followers.insert(key, follower);
            return self.say_news(key, 0);
        }
        self.followers.insert(key, follower);
    }

    pub(super) fn say_news(&mut self, (seat, nonce): (u16, u64), level: usize) {
        let Some(follower) = self.followers.get(&(seat, nonce)) else { return };
        let (Some(part), piece) = (follower.under_way.clone(), follower.piece) else { return };
        self.again.push(self.here.now, level, Asking::News(seat, nonce, piece));
        self.here.post(seat, part);
    }

    pub(super) fn awaits_heard(&self, key: (u16, u64), piece: u64) -> bool {
        self.followers.get(&key).is_some_and(|it| it.under_way.is_some() && it.piece == piece)
    }

    /// What has changed, and then what is yet to be listed, as much as one piece takes.
    fn news_for(&self, follower: &mut Follower) -> (Vec<News>, Vec<Shard>, Vec<Shard>) {
        let (mut news, mut listed, mut lost, mut weight) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let most = self.here.config.chunk_bytes;
        let mut has_room = |it: &News| {
            weight += it.weight();
            weight <= most || weight == it.weight()
        };
        for (name, count) in mem::take(&mut follower.changed) {
            let it = self.news_of(&name, count);
            if !has_room(&it) {
                follower.changed.insert(name, count);
                continue;
            }
            news.push(it);
        }
        if !follower.changed.is_empty() {
            return (news, listed, lost);
        }
        for shard in follower.to_list.clone() {
            match self.homing.get(&shard).map(|homing| homing.phase) {
                Some(Phase::Active) => {}
                Some(Phase::Orphaned(_)) => {
                    follower.to_list.remove(&shard);
                    lost.push(shard);
                    continue;
                }
                // It will be one of the two.
                _ => continue,
            }
            let Some(store) = self.stores.get(&shard) else { continue };
            let after = follower.listing.as_ref().filter(|(at, _)| *at == shard).map(|(_, name)| name.clone());
            let from = match (&after, &follower.prefix) {
                (Some(after), _) => Bound::Excluded(after),
                (None, Some(prefix)) => Bound::Included(prefix),
                (None, None) => Bound::Unbounded,
            };
            let rest = store.records.range((from, Bound::Unbounded));
            for (name, record) in rest.take_while(|(name, _)| is_in(name, &follower.prefix)) {
                if record.state.value.is_none() && !self.is_writing(name) {
                    continue;
                }
                let it = self.news_of(name, 1);
                if !has_room(&it) {
                    // This one comes next: the listing goes on after the last that was told.
                    return (news, listed, lost);
                }
                follower.listing = Some((shard, name.clone()));
                news.push(it);
            }
            follower.listing = None;
            follower.to_list.remove(&shard);
            listed.push(shard);
        }
        (news, listed, lost)
    }

    /// What is being written is not told before it is written; then it is one more change.
    fn news_of(&self, name: &Name, count: u64) -> News {
        let state = (!self.is_writing(name)).then(|| self.state(self.here.shard(name), name));
        News { name: name.clone(), state, count }
    }

    fn is_writing(&self, name: &Name) -> bool {
        self.slots.get(name).is_some_and(|slot| slot.pending.is_some())
    }
}
