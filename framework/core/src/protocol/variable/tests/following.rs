use core::time::Duration;
use std::{collections::BTreeMap, format, string::String, string::ToString, vec::Vec};

use super::scene::{Scene, all, member, rests_on, to, value};
use crate::{
    protocol::{
        bugs::Bug,
        home::Shard,
        variable::{Action, Command, Config, Event, News, Part, Prefix, State, Version},
        view::{Change, Epoch},
    },
    wire::{id::Incarnation, limits::FOLLOWED_MAX, name::Name},
};

fn prefix(text: &str) -> Prefix {
    Some(Name::new(text).unwrap())
}

/// What somebody knows who has followed from the beginning.
#[derive(Debug, Default, PartialEq, Eq)]
struct Picture {
    there: BTreeMap<String, u8>,
    /// How often it was told of each.
    told: BTreeMap<String, usize>,
    skipped: u64,
    is_whole: bool,
}

impl Picture {
    fn draw(&mut self, scene: &mut Scene, node: usize) {
        for event in scene.said(node) {
            match event {
                Event::Followed { name, state, skipped, .. } => {
                    *self.told.entry(name.to_string()).or_default() += 1;
                    self.skipped += skipped;
                    match state.value {
                        Some(value) => self.there.insert(name.to_string(), value.bytes[0]),
                        None => self.there.remove(&*name),
                    };
                }
                Event::Listed { .. } => {
                    assert!(!self.is_whole, "it is said once");
                    self.is_whole = true;
                }
                _ => {}
            }
        }
    }
}

/// Some variables that begin alike, and one that does not; all are their own numbers.
fn given(scene: &mut Scene, count: u8) {
    for number in 0..count {
        scene.given(&named(number), number);
    }
    scene.given(&Name::new("bo").unwrap(), 99);
}

fn named(number: u8) -> Name {
    Name::new(&format!("board/{number}")).unwrap()
}

fn expected(numbers: impl IntoIterator<Item = (u8, u8)>) -> BTreeMap<String, u8> {
    numbers.into_iter().map(|(name, value)| (named(name).to_string(), value)).collect()
}

fn follow(scene: &mut Scene, node: usize) {
    scene.command(node, Command::Follow { prefix: prefix("board/") });
}

#[test]
fn who_follows_is_told_what_there_is_and_then_each_change() {
    rests_on(Bug::NewsForgotten, 4, |scene| {
        let mut pictures = [Picture::default(), Picture::default()];
        given(scene, 20);
        for node in [0, 3] {
            follow(scene, node);
        }
        scene.deliver();
        let mut draw = |scene: &mut Scene| {
            for (picture, node) in pictures.iter_mut().zip([0, 3]) {
                picture.draw(scene, node);
            }
            pictures.iter().map(|picture| (picture.there.clone(), picture.is_whole)).collect::<Vec<_>>()
        };
        assert_eq!(draw(scene), [0, 1].map(|_| (expected((0..20).map(|it| (it, it))), true)));
        for number in 0..10 {
            scene.set(1, &named(number), number + 100);
            // A second change of each, at the same time.
            scene.set(2, &named(number), number + 200);
        }
        scene.act(1, &named(15), Action::Delete);
        scene.act(1, &named(30), Action::Create(value(30)));
        scene.set(1, &Name::new("bo").unwrap(), 1);
        scene.deliver();
        let homes = draw(scene);
        let last = |number: u8| homes[0].0.get(&*named(number)).copied();
        homes[0] == homes[1]
            && (0..10).all(|number| last(number) == scene.asks(3, &named(number)).flatten())
            && (last(15), last(30)) == (None, Some(30))
            && homes[0].0.len() == 20
    });
}

/// What changes while a piece is on its way goes with the next, and of each name the newest: the home keeps no queue.
#[test]
fn who_is_slow_is_told_the_newest_of_each_and_how_many_it_has_missed() {
    let mut scene = Scene::new(3);
    let (name, mut picture) = (scene.name(&[0, 1]), Picture::default());
    scene.given(&name, 0);
    scene.command(2, Command::Follow { prefix: None });
    scene.deliver();
    scene.set(0, &name, 1);
    let slow = scene.deliver_but(to(2, "news"));
    for number in 2..=50 {
        scene.set(0, &name, number);
        assert!(scene.deliver_but(to(2, "news")).is_empty(), "nothing is said before it has heard of the last piece");
    }
    scene.arrive_all(slow);
    scene.deliver();
    picture.draw(&mut scene, 2);
    assert_eq!(picture.there, [(name.to_string(), 50)].into());
    assert_eq!((picture.told[&*name], picture.skipped), (3, 48), "0, 1 and 50");
}

#[test]
fn a_long_list_comes_in_pieces_and_misses_nothing_that_changes_meanwhile() {
    for seed in 0..20_u8 {
        let config = Config { chunk_bytes: 40, ..Config::default() };
        let (mut scene, mut picture) = (Scene::with(3, 2, config), Picture::default());
        given(&mut scene, 60);
        follow(&mut scene, 2);
        let mut known = expected((0..60).map(|it| (it, it)));
        for step in 0..40_u8 {
            for letter in scene.take(|_| true).into_iter().take(3) {
                scene.arrive(letter);
            }
            let number = (step.wrapping_mul(7)).wrapping_add(seed.wrapping_mul(13)) % 70;
            let action = if step % 3 == 0 { Action::Delete } else { Action::Create(value(step)) };
            scene.act(usize::from(step % 3), &named(number), action);
        }
        scene.wait(Duration::from_secs(10));
        scene.deliver();
        picture.draw(&mut scene, 2);
        known.clear();
        for number in 0..70 {
            if let Some(Some(value)) = scene.asks(0, &named(number)) {
                known.insert(named(number).to_string(), value);
            }
        }
        assert_eq!((picture.there, picture.is_whole), (known, true), "{seed}");
    }
}

/// D6: what is being written is told when it is written.
#[test]
fn nobody_is_told_of_what_is_not_written_yet() {
    let (mut scene, mut picture) = (Scene::new(3), Picture::default());
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.set(0, &name, 6);
    let slow = scene.deliver_but(to(1, "store"));
    scene.command(2, Command::Follow { prefix: None });
    scene.deliver();
    picture.draw(&mut scene, 2);
    assert_eq!((&picture.there, picture.is_whole), (&BTreeMap::new(), true));
    scene.arrive_all(slow);
    scene.deliver();
    picture.draw(&mut scene, 2);
    assert_eq!(picture.there, [(name.to_string(), 6)].into());
}

/// Homes change, and what was deleted while nobody could say so is said to be gone.
#[test]
fn over_a_view_all_is_listed_anew_and_what_is_not_listed_is_gone() {
    rests_on(Bug::GoneUntold, 4, |scene| {
        let mut picture = Picture::default();
        given(scene, 30);
        follow(scene, 3);
        scene.deliver();
        picture.draw(scene, 3);
        let gone = (0..30).map(named).find(|name| scene.homes(name, &scene.view)[0] == 0).unwrap();
        scene.act(0, &gone, Action::Delete);
        let told = scene.deliver_but(to(3, "news"));
        assert!(!told.is_empty());
        scene.die(&[0]);
        scene.deliver();
        picture.draw(scene, 3);
        let expected = expected((0..30).filter(|it| named(*it) != gone).map(|it| (it, it)));
        // Nothing is told a second time that has not changed.
        picture.there == expected && picture.told.values().sum::<usize>() == 31
    });
}

#[test]
fn what_is_lost_is_no_reason_to_wait_and_nothing_is_said_to_be_gone_because_of_it() {
    let (mut scene, mut picture) = (Scene::new(4), Picture::default());
    given(&mut scene, 30);
    follow(&mut scene, 3);
    scene.deliver();
    picture.draw(&mut scene, 3);
    scene.die(&[0, 1]);
    scene.deliver();
    picture.draw(&mut scene, 3);
    assert_eq!(picture.there.len(), 30, "nobody knows what has become of it");
    let lost = (0..30).map(named).find(|name| scene.asks(2, name).is_none()).unwrap();
    scene.act(2, &lost, Action::Reset);
    scene.deliver();
    picture.draw(&mut scene, 3);
    assert!(!picture.there.contains_key(&*lost), "now it is known");
    let mut late = Picture::default();
    follow(&mut scene, 2);
    scene.deliver();
    late.draw(&mut scene, 2);
    assert!(late.is_whole && !late.there.is_empty());
}

#[test]
fn what_is_lost_on_the_way_is_said_again() {
    let (mut scene, mut picture) = (Scene::new(3), Picture::default());
    given(&mut scene, 10);
    follow(&mut scene, 2);
    for kind in ["follow", "news", "heard"] {
        let lost = scene.deliver_but(all(kind));
        assert!(!lost.is_empty(), "{kind}");
        scene.pass(Duration::from_secs(5));
    }
    scene.deliver();
    picture.draw(&mut scene, 2);
    assert_eq!((picture.there.len(), picture.is_whole), (10, true));
    assert_eq!(picture.told.values().sum::<usize>(), 10);
}

/// Who joins is a home too, and is asked as the others are.
#[test]
fn who_comes_later_is_followed_too() {
    let (mut scene, mut picture) = (Scene::new(3), Picture::default());
    given(&mut scene, 40);
    follow(&mut scene, 2);
    scene.deliver();
    let mut newcomer = member(9);
    newcomer.incarnation = Incarnation(1);
    let late = scene.join(newcomer);
    scene.deliver();
    let moved = (0..40).find(|it| scene.homes(&named(*it), &scene.view)[0] == late).unwrap();
    scene.set(0, &named(moved), 200);
    scene.deliver();
    picture.draw(&mut scene, 2);
    assert_eq!(picture.there[&*named(moved)], 200);
    assert_eq!((picture.there.len(), picture.is_whole), (40, true));
}

#[test]
fn who_follows_no_more_is_told_no_more() {
    let mut scene = Scene::new(3);
    given(&mut scene, 10);
    follow(&mut scene, 2);
    scene.deliver();
    scene.command(2, Command::Unfollow { prefix: prefix("board/") });
    // One home does not hear of it, and is told when it says something.
    let lost = scene.deliver_but(to(0, "unfollow"));
    assert_eq!(lost.len(), 1);
    for number in 0..10 {
        scene.set(1, &named(number), 100);
    }
    scene.deliver();
    assert!(scene.nodes.iter().all(|node| node.machine.followers.is_empty()));
    scene.said(2);
    for number in 0..10 {
        scene.set(1, &named(number), 101);
    }
    let news = scene.deliver_but(all("news"));
    assert!(news.is_empty() && !scene.said(2).iter().any(|event| matches!(event, Event::Followed { .. })));
}

#[test]
fn nobody_follows_without_bound() {
    let mut scene = Scene::new(2);
    for number in 0..FOLLOWED_MAX + 5 {
        scene.command(1, Command::Follow { prefix: prefix(&format!("p{number}")) });
    }
    scene.deliver();
    assert!(scene.nodes.iter().all(|node| node.machine.followers.len() == FOLLOWED_MAX));
    // A stranger's news are no news.
    let at = scene.view.at;
    let news = Part::News { nonce: u64::MAX, piece: 0, news: Vec::new(), listed: Vec::new(), lost: Vec::new() };
    scene.arrive(super::scene::Letter { from: 0, to: 1, at, parts: [news].into() });
    assert_eq!(scene.under_way(), ["unfollow"]);
    scene.deliver();
    let cut = Change::Cut(member(0));
    scene.go_on(&[cut]);
}

#[test]
fn nobody_has_a_word_on_what_is_at_home_elsewhere_or_nowhere() {
    let (mut scene, mut picture) = (Scene::new(3), Picture::default());
    given(&mut scene, 10);
    follow(&mut scene, 1);
    let lists = scene.deliver_but(to(1, "news"));
    let nonce = match lists[0].part() {
        Part::News { nonce, .. } => *nonce,
        other => panic!("{other:?}"),
    };
    let name = (0..).map(named).find(|name| scene.homes(name, &scene.view)[0] == 1).unwrap();
    let shards: Vec<_> = (0..2000).map(Shard).collect();
    let state = State { version: Version { epoch: Epoch(99), sequence: 1 }, value: None };
    let news = [News { name, state: Some(state), count: 1 }].into();
    let lie = Part::News { nonce, piece: 0, news, listed: shards.clone(), lost: shards };
    scene.arrive(super::scene::Letter { from: 0, to: 1, at: scene.view.at, parts: [lie].into() });
    picture.draw(&mut scene, 1);
    assert!(!picture.is_whole, "another home has not listed what it has");
    scene.arrive_all(lists);
    scene.deliver();
    picture.draw(&mut scene, 1);
    assert!(picture.is_whole);
}
