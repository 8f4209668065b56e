//! How the homes of a view come to have what was there before.

use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;

use super::{
    super::{Action, Command, Config, Event, Machine, Outcome, Part, Refusal, Unanswered},
    scene::{LEASED, Letter, Scene, WAITING, WEDGED, add, all, member, rests_on, to, value},
};
use crate::{
    protocol::{
        bugs::Bug,
        contract::Protocol,
        home::Shard,
        view::{Change, Epoch, View},
    },
    wire::name::Name,
};

/// A scene with many variables, of all homes.
fn many(mut scene: Scene) -> (Scene, Vec<Name>) {
    let names: Vec<_> = scene.names(&[]).take(60).collect();
    for (name, number) in names.iter().zip(0..) {
        scene.given(name, number);
    }
    (scene, names)
}

fn all_there(scene: &mut Scene, node: usize, names: &[Name]) -> bool {
    names.iter().zip(0..).all(|(name, number)| scene.asks(node, name) == Some(Some(number)))
}

/// The same view once more, but that this member stays after all.
fn stays(view: &View, node: usize) -> View {
    let mut next = view.successor(&[Change::Renew]);
    next.seats.iter_mut().filter(|seat| seat.member == member(node)).for_each(|seat| seat.leaving = false);
    next.past[0].came = [member(node)].into();
    assert!(next.is_sound());
    next
}

fn records(scene: &Scene, node: usize, name: &Name) -> usize {
    let store = scene.nodes[node].machine.stores.get(&scene.shard(name));
    store.map_or(0, |store| usize::from(store.records.contains_key(name)))
}

#[test]
fn what_was_at_home_with_the_dead_is_at_home_with_others() {
    let (mut scene, names) = many(Scene::new(4));
    scene.die(&[0]);
    assert!(all_there(&mut scene, 3, &names));
    assert_eq!(scene.nodes.iter().skip(1).map(|it| it.machine.shards().active).sum::<u32>(), 1024);
    scene.die(&[1]);
    assert!(all_there(&mut scene, 3, &names));
    scene.die(&[2]);
    assert!(all_there(&mut scene, 3, &names));
    for (name, number) in names.iter().zip(0..) {
        let ticket = scene.act(3, name, add(0));
        assert_eq!(scene.outcome(ticket), Some(Outcome::Sum(number)));
    }
}

#[test]
fn of_three_homes_two_may_die_at_once() {
    let (mut scene, names) = many(Scene::with(5, 3, Config::default()));
    let name = scene.name(&[0, 1, 2]);
    scene.given(&name, 7);
    scene.set(4, &name, 8);
    let stores = scene.deliver_but(all("store"));
    assert_eq!(stores.len(), 2);
    scene.arrive(stores[0].clone());
    scene.deliver();
    assert!(!scene.is_quiet(), "both others keep it before it is written");
    scene.arrive(stores[1].clone());
    scene.deliver();
    scene.die(&[0, 1]);
    assert_eq!(scene.asks(4, &name), Some(Some(8)));
    assert!(all_there(&mut scene, 4, &names));
}

#[test]
fn where_there_are_fewer_members_than_homes_all_keep_everything() {
    let (mut scene, names) = many(Scene::with(2, 3, Config::default()));
    scene.die(&[0]);
    assert!(all_there(&mut scene, 1, &names));
}

#[test]
fn a_joiner_that_is_home_gets_what_was_there() {
    let (mut scene, names) = many(Scene::new(2));
    let joiner = scene.join(member(2));
    let own: Vec<_> = names.iter().filter(|name| scene.homes(name, &scene.view)[0] == joiner).collect();
    assert!(!own.is_empty());
    assert!(own.iter().all(|name| records(&scene, joiner, name) == 1));
    assert!(all_there(&mut scene, joiner, &names) && all_there(&mut scene, 0, &names));
    // Those who are home no more have forgotten it.
    for name in &names {
        let homes = scene.homes(name, &scene.view);
        assert!((0..3).all(|node| records(&scene, node, name) == usize::from(homes.contains(&node))));
    }
}

#[test]
fn a_joiner_may_lose_those_who_were_there_before() {
    let (mut scene, names) = many(Scene::new(2));
    let joiner = scene.join(member(2));
    scene.die(&[0]);
    scene.die(&[1]);
    assert!(all_there(&mut scene, joiner, &names));
}

#[test]
fn who_is_on_its_way_out_hands_over_and_may_then_forget() {
    let (mut scene, names) = many(Scene::new(3));
    let next = scene.next(&[Change::Retire(member(0))]);
    scene.install_all(&next, LEASED);
    let releases = scene.deliver_but(to(0, "release"));
    assert!(!releases.is_empty() && scene.nodes[0].machine.is_keeping());
    scene.arrive_all(releases);
    scene.deliver();
    assert!(!scene.nodes[0].machine.is_keeping());
    assert!(all_there(&mut scene, 0, &names), "it still reads");
    let next = scene.next(&[Change::Part(member(0))]);
    scene.nodes[0].dead = true;
    scene.install_all(&next, LEASED);
    scene.deliver();
    assert!(all_there(&mut scene, 2, &names));
    scene.die(&[1]);
    assert!(all_there(&mut scene, 2, &names));
}

#[test]
fn whatever_is_lost_on_the_way_is_said_again() {
    for kind in ["report", "reported", "pull", "pulled", "fill", "filled", "release", "released"] {
        let (mut scene, names) = many(Scene::new(4));
        scene.nodes[1].dead = true;
        let next = scene.next(&[Change::Cut(member(1)), Change::Retire(member(0))]);
        scene.install_all(&next, LEASED);
        assert!(!scene.deliver_but(all(kind)).is_empty(), "{kind}");
        scene.wait(Duration::from_millis(250));
        assert!(all_there(&mut scene, 0, &names), "{kind}");
        assert!(!scene.nodes[0].machine.is_keeping(), "{kind}");
        scene.wait(Duration::from_secs(4));
        assert!(scene.nodes.iter().all(|node| node.dead || node.machine.deadline().is_none()), "{kind}");
    }
}

#[test]
fn nobody_decides_before_all_survivors_have_said_what_they_have() {
    rests_on(Bug::VariableReportsUnwanted, 4, |scene| {
        let changes = [Change::Cut(member(1)), Change::Retire(member(0))];
        let next = scene.next(&changes);
        let name = scene.name_that_moves(&[0, 1], &next, &[2, 3]);
        scene.given(&name, 5);
        scene.nodes[1].dead = true;
        scene.install_all(&next, LEASED);
        let reports = scene.deliver_but(|letter| letter.from == 0 && to(2, "report")(letter));
        assert_eq!(reports.len(), 1);
        scene.read(3, &name);
        scene.deliver();
        let waits = scene.nodes[2].machine.shards().recovering > 0 && scene.sees(3, &name).is_none();
        scene.arrive_all(reports);
        scene.deliver();
        waits && scene.sees(3, &name) == Some(Some(5))
    });
}

#[test]
fn a_shard_is_served_once_the_excluded_can_do_nothing_any_more() {
    rests_on(Bug::ServedTooEarly, 4, |scene| {
        let name = scene.name(&[1]);
        scene.given(&name, 5);
        scene.copied(&[0], &name);
        // 0 lives, reads on, and knows nothing of this.
        scene.set(2, &name, 6);
        scene.deliver_but(to(0, "invalidate"));
        let next = scene.next(&[Change::Cut(member(0))]);
        [1, 2, 3].into_iter().for_each(|node| scene.install(node, &next, WAITING));
        scene.view = next;
        scene.read(3, &name);
        scene.deliver_but(|letter| letter.to == 0);
        let waits = scene.sees(3, &name).is_none();
        assert_eq!(scene.sees(0, &name), Some(Some(5)));
        scene.nodes[0].dead = true;
        [1, 2, 3].into_iter().for_each(|node| scene.allow(node, LEASED));
        scene.deliver();
        waits && scene.sees(3, &name) == Some(Some(6))
    });
}

#[test]
fn each_shard_is_said_to_be_active_once() {
    let mut scene = Scene::new(3);
    scene.go_on(&[Change::Renew]);
    scene.wait(Duration::from_secs(4));
    let mut active = Vec::new();
    for node in 0..3 {
        active.extend(scene.said(node).iter().filter_map(|event| match event {
            Event::Active { shard } => Some((*shard, node)),
            _ => None,
        }));
    }
    active.sort_unstable();
    let homes = (0..1024).map(Shard).map(|shard| (shard, scene.number(shard.homes_in(&scene.view)[0])));
    assert!(homes.eq(active));
}

// H22: what is kept, and for how long.

#[test]
fn h22_who_is_home_no_more_keeps_its_records_until_others_have_them() {
    rests_on(Bug::RecordsDroppedEarly, 4, |scene| {
        let next = scene.next(&[Change::Cut(member(1)), Change::Retire(member(0))]);
        let name = scene.name_that_moves(&[0, 1], &next, &[2, 3]);
        scene.given(&name, 5);
        scene.nodes[1].dead = true;
        scene.install_all(&next, LEASED);
        // A second view comes before anybody else has them.
        scene.deliver_but(all("pulled"));
        scene.die(&[2]);
        scene.asks(3, &name) == Some(Some(5))
    });
}

#[test]
fn h22_who_kept_them_is_released_only_when_all_homes_have_them() {
    let mut scene = Scene::new(4);
    let next = scene.next(&[Change::Retire(member(0))]);
    let name = scene.name_that_moves(&[0, 1], &next, &[1, 2]);
    scene.given(&name, 5);
    scene.install_all(&next, LEASED);
    let shard = scene.shard(&name);
    let fill = |letter: &Letter| matches!(letter.part(), Part::Fill { shard: it, .. } if *it == shard);
    let fills = scene.deliver_but(fill);
    assert_eq!((fills.len(), records(&scene, 0, &name), records(&scene, 2, &name)), (1, 1, 0));
    scene.arrive_all(fills);
    scene.deliver();
    assert_eq!((records(&scene, 0, &name), records(&scene, 2, &name)), (0, 1));
}

/// A joiner is home in its first view, and has seen none of those before.
#[test]
fn h22_a_home_that_has_no_history_finds_what_was_there_before_it_came() {
    let (mut scene, names) = many(Scene::new(3));
    // Nobody gets far with the view in which it comes, and the home of before dies.
    let joiner = scene.add(member(3));
    let next = scene.next(&[Change::Admit(member(3), Epoch(1))]);
    scene.install_all(&next, LEASED);
    scene.deliver_but(|letter| all("pulled")(letter) || all("fill")(letter));
    scene.die(&[0]);
    assert!(all_there(&mut scene, joiner, &names));
}

/// Who was home long ago has something, and another has all.
#[test]
fn h22_who_has_something_of_a_shard_need_not_have_all_of_it() {
    rests_on(Bug::FullIgnored, 4, |scene| {
        let without = scene.next(&[Change::Retire(member(1))]);
        let name = scene.name_that_moves(&[0, 1], &without, &[0, 2]);
        scene.given(&name, 5);
        scene.install_all(&without, LEASED);
        scene.deliver_but(to(1, "release"));
        scene.set(3, &name, 6);
        scene.deliver();
        // 1 stays after all, is home again, and hears nothing of what was written meanwhile.
        let back = stays(&scene.view, 1);
        scene.install_all(&back, LEASED);
        scene.deliver_but(to(1, "fill"));
        assert_eq!(scene.homes(&name, &scene.view)[..2], [0, 1]);
        scene.die(&[0]);
        scene.asks(3, &name) == Some(Some(6))
    });
}

/// Whatever has arrived of a view when the next one comes: nothing is lost, and nothing is done twice.
#[test]
fn a_view_may_end_at_any_moment() {
    let shard = |scene: &Scene, next: &View| {
        let moves = |shard: &Shard| {
            let homes = |view| shard.homes_in(view).into_iter().map(|member| scene.number(member)).collect::<Vec<_>>();
            homes(&scene.view) == [0, 1] && homes(next) == [2, 3]
        };
        (0..1024).map(Shard).find(moves).unwrap()
    };
    let changes = [Change::Cut(member(1)), Change::Retire(member(0))];
    let model = Scene::new(5);
    let only = Some(shard(&model, &model.next(&changes)));
    for chunk_bytes in [64, 64 * 1024] {
        let mut scene = Scene::with(5, 2, Config { only, chunk_bytes, ..Config::default() });
        let names: Vec<_> = (0..8).map(|n| Name::new(&std::format!("a rather long name {n}")).unwrap()).collect();
        for (name, number) in names.iter().zip(0..) {
            scene.given(name, number);
        }
        let ticket = scene.act(4, &names[0], add(100));
        scene.deliver_but(to(4, "wrote"));
        scene.nodes[1].dead = true;
        let next = scene.next(&changes);
        scene.install_all(&next, LEASED);
        let mut letters = 0;
        while !scene.mail.is_empty() {
            for dies in 2..5 {
                let mut scene = scene.clone();
                scene.die(&[dies]);
                let reader = if dies == 3 { 2 } else { 3 };
                for (name, number) in names.iter().zip(0..) {
                    let number = if number == 0 { 100 } else { number };
                    assert_eq!(scene.asks(reader, name), Some(Some(number)), "{dies} after {letters} letters");
                }
                assert!(dies == 4 || scene.answer(ticket).is_some());
            }
            let letter = scene.mail.pop_front().unwrap();
            scene.arrive(letter);
            letters += 1;
        }
        assert!(letters > 20, "{letters}");
    }
}

// Pieces.

#[test]
fn reports_and_shards_go_in_pieces() {
    let changes = [Change::Cut(member(1)), Change::Retire(member(0))];
    let config = Config { chunk_bytes: 100, ..Config::default() };
    let mut scene = Scene::with(4, 2, config);
    let next = scene.next(&changes);
    let first = scene.name_that_moves(&[0, 1], &next, &[2, 3]);
    let shard = scene.shard(&first);
    let names: Vec<_> = scene.names(&[0, 1]).filter(|name| scene.shard(name) == shard).take(30).collect();
    for (name, number) in names.iter().zip(0..) {
        scene.given(name, number);
    }
    scene.nodes[1].dead = true;
    scene.install_all(&next, LEASED);
    let mut seen = BTreeSet::new();
    while let Some(letter) = scene.mail.pop_front() {
        for part in &letter.parts {
            match part {
                Part::Report(report) if report.shards.iter().any(|held| held.shard == shard) => {
                    assert!(report.shards.iter().map(|held| held.records.len()).sum::<usize>() <= 10);
                    seen.insert(("report", report.chunk));
                }
                Part::Pulled { records, .. } if !records.is_empty() => {
                    assert!(records.len() <= 10);
                    seen.insert(("pulled", seen.len() as u32));
                }
                Part::Fill { shard: it, chunk, entries, .. } if *it == shard => {
                    assert!(entries.len() <= 10);
                    seen.insert(("fill", *chunk));
                }
                _ => {}
            }
        }
        scene.arrive(letter);
    }
    for kind in ["report", "pulled", "fill"] {
        assert!(seen.iter().filter(|(it, _)| *it == kind).count() > 3, "{kind}: {seen:?}");
    }
    assert!(all_there(&mut scene, 2, &names));
    scene.die(&[2]);
    assert!(all_there(&mut scene, 3, &names));
}

#[test]
fn of_what_another_home_has_only_the_versions_are_told() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    let next = scene.next(&[Change::Renew]);
    scene.install_all(&next, LEASED);
    let shard = scene.shard(&name);
    let fills = scene.deliver_but(|letter| matches!(letter.part(), Part::Fill { shard: it, .. } if *it == shard));
    let Part::Fill { entries, .. } = fills[0].part() else { unreachable!() };
    assert!(matches!(&entries[..], [super::super::Entry::Same(it, _)] if *it == name));
    scene.arrive_all(fills);
    scene.deliver();
    scene.die(&[0]);
    assert_eq!(scene.asks(2, &name), Some(Some(5)));
}

#[test]
fn shards_are_made_complete_some_at_a_time() {
    for recovering_max in [1, 5] {
        let mut scene = Scene::with(2, 2, Config { recovering_max, ..Config::default() });
        let next = scene.next(&[Change::Renew]);
        scene.install_all(&next, LEASED);
        let fills = scene.deliver_but(to(1, "fill"));
        assert_eq!(fills.len(), recovering_max);
        scene.arrive_all(fills);
        assert_eq!(scene.deliver_but(to(1, "fill")).len(), recovering_max);
    }
}

#[test]
fn a_shard_that_somebody_waits_for_comes_first() {
    let mut scene = Scene::with(2, 2, Config { recovering_max: 1, ..Config::default() });
    let next = scene.next(&[Change::Renew]);
    let wanted: Vec<_> = scene.names(&[0]).filter(|name| scene.shard(name).0 > 500).take(2).collect();
    let filled = |letters: &[Letter]| {
        let [letter] = letters else { unreachable!() };
        let Part::Fill { shard, .. } = letter.part() else { unreachable!() };
        *shard
    };
    scene.install_all(&next, LEASED);
    // One waits before anything begins, one comes when the first shards are on their way.
    scene.read(1, &wanted[0]);
    let mut order = Vec::new();
    let mut fills = scene.deliver_but(to(1, "fill"));
    order.push(filled(&fills));
    let ticket = scene.act(1, &wanted[1], Action::Create(value(1)));
    scene.deliver();
    while scene.answer(ticket).is_none() && order.len() < 10 {
        scene.arrive_all(fills);
        fills = scene.deliver_but(to(1, "fill"));
        order.push(filled(&fills));
    }
    let place = |name: &Name| order.iter().position(|shard| *shard == scene.shard(name));
    assert!(wanted.iter().all(|name| place(name).is_some_and(|place| place <= 2)), "{order:?}");
    scene.arrive_all(fills);
    scene.deliver();
    assert_eq!(scene.sees(1, &wanted[0]), Some(None));
}

#[test]
fn any_number_of_shards_is_made_complete_in_one_step() {
    let play = || {
        let (mut scene, names) = many(Scene::new(2));
        scene.die(&[0]);
        assert!(all_there(&mut scene, 1, &names));
        assert_eq!(scene.nodes[1].machine.shards().active, 1024);
    };
    // One within the other they would need more than this.
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(play).unwrap();
    thread.join().unwrap();
}

// What is orphaned.

fn orphans(scene: &Scene) -> Vec<(Shard, u64)> {
    let machines = scene.nodes.iter().filter(|node| !node.dead).map(|node| &node.machine);
    machines.flat_map(Machine::orphans).map(|(shard, since)| (shard, since.0)).collect()
}

#[test]
fn when_all_who_had_a_shard_die_at_once_it_is_lost_and_says_so() {
    let (mut scene, names) = many(Scene::new(4));
    let (lost, epoch) = (scene.name(&[0, 1]), scene.view.at.epoch);
    let shard = scene.shard(&lost);
    scene.die(&[0, 1]);
    assert!(orphans(&scene).contains(&(shard, epoch.0)));
    let home = scene.homes(&lost, &scene.view)[0];
    assert!(scene.said(home).contains(&Event::Orphaned { shard, since: epoch }));
    for node in [2, 3] {
        assert_eq!(scene.asks(node, &lost), None);
        assert!(scene.said(node).contains(&Event::Lost { name: lost.clone() }));
        for action in [Action::Create(value(1)), Action::Set(value(1)), Action::Delete] {
            let ticket = scene.act(node, &lost, action);
            scene.deliver();
            assert_eq!(scene.refusal(ticket), Some(Refusal::Lost));
        }
    }
    // It stays lost, and what had another home is there.
    scene.go_on(&[Change::Renew]);
    scene.wait(Duration::from_secs(4));
    assert!(orphans(&scene).contains(&(shard, epoch.0)));
    for (name, number) in names.iter().zip(0..) {
        let gone = orphans(&scene).iter().any(|(shard, _)| *shard == scene.shard(name));
        assert_eq!(scene.asks(2, name), (!gone).then_some(Some(number)));
    }
    let counted: u32 = [2, 3].into_iter().map(|node| scene.nodes[node].machine.shards().orphaned).sum();
    assert_eq!(counted as usize, orphans(&scene).len());
}

/// Else nobody leaves a lineage that has ever lost something, and two that meet do not become one.
#[test]
fn who_leaves_does_not_wait_for_what_is_lost() {
    let (mut scene, _) = many(Scene::new(5));
    scene.die(&[0, 1]);
    assert!(!orphans(&scene).is_empty());
    scene.go_on(&[Change::Retire(member(3))]);
    scene.wait(Duration::from_secs(4));
    assert!(!scene.nodes[3].machine.is_keeping());
    let lost = orphans(&scene).len();
    scene.go_on(&[Change::Part(member(3))]);
    assert_eq!(orphans(&scene).len(), lost);
}

/// Seed 0x97: the shard was lost while it waited, and began anew before the view was active.
#[test]
fn a_write_that_waits_for_the_membership_waits_for_a_shard_that_begins_anew() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    let next = scene.next(&[Change::Cut(member(0)), Change::Cut(member(1))]);
    [0, 1].into_iter().for_each(|node| scene.nodes[node].dead = true);
    let home = scene.homes(&name, &next)[0];
    let other = 5 - home;
    let ticket = scene.act(other, &name, Action::Reset);
    scene.install_all(&next, WAITING);
    let reports = scene.deliver_but(to(home, "report"));
    scene.arrive_all(reports);
    scene.wait(Duration::from_secs(4));
    assert_eq!(scene.outcome(ticket), None);
    scene.nodes.iter_mut().for_each(|node| node.service = LEASED);
    scene.command(home, Command::Proceed);
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
}

#[test]
fn with_one_home_each_one_death_is_enough() {
    let (mut scene, _) = many(Scene::with(3, 1, Config::default()));
    let (lost, kept) = (scene.name(&[0]), scene.name(&[1]));
    let before = scene.asks(2, &kept);
    scene.die(&[0]);
    assert_eq!((scene.asks(2, &lost), scene.asks(2, &kept)), (None, before));
}

/// Who compares gets a copy with the answer: of what is lost there is none.
#[test]
fn what_is_lost_is_not_read_with_a_refusal() {
    let mut scene = Scene::new(4);
    // 2 has an old copy of the shard, which it kept for those who were home after it.
    let changes = [Change::Retire(member(0)), Change::Retire(member(1))];
    let next = scene.next(&changes);
    let name = scene.name_that_moves(&[0, 1], &next, &[2, 3]);
    scene.given(&name, 5);
    scene.die(&[0, 1]);
    assert_eq!(scene.homes(&name, &scene.view), [2, 3]);
    let expected = scene.version(0);
    for node in [2, 3] {
        let ticket = scene.act(node, &name, Action::Replace { expected, value: value(6) });
        scene.deliver();
        assert_eq!((scene.refusal(ticket), scene.sees(node, &name)), (Some(Refusal::Lost), None));
        assert!(scene.said(node).contains(&Event::Lost { name: name.clone() }));
    }
}

#[test]
fn a_lost_shard_begins_anew_when_somebody_says_so() {
    let mut scene = Scene::new(4);
    let lost = scene.name(&[0, 1]);
    scene.given(&lost, 5);
    scene.die(&[0, 1]);
    let before = orphans(&scene);
    let shard = scene.shard(&lost);
    let ticket = scene.act(3, &lost, Action::Reset);
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
    let others: Vec<_> = before.into_iter().filter(|(it, _)| *it != shard).collect();
    assert_eq!(orphans(&scene), others, "that one alone");
    assert_eq!(scene.asks(2, &lost), Some(None));
    scene.given(&lost, 6);
    assert_eq!(scene.asks(2, &lost), Some(Some(6)));
    let home = scene.homes(&lost, &scene.view)[0];
    scene.die(&[home]);
    assert_eq!(scene.asks(5 - home, &lost), Some(Some(6)));
}

/// Those who are gone went on for a while, and nobody knows what they have written.
#[test]
fn where_others_may_have_gone_on_all_is_orphaned_and_no_copy_is_read() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[0, 2], &name);
    scene.nodes[1].dead = true;
    let next = scene.next(&[Change::Cut(member(1))]);
    for node in [0, 2] {
        scene.command(node, Command::Install { view: next.clone(), orphaned: true });
    }
    scene.view = next;
    assert_eq!([0, 2].map(|node| scene.sees(node, &name)), [None; 2]);
    scene.deliver();
    assert_eq!(scene.asks(2, &name), None);
    assert_eq!(orphans(&scene).len(), 1024);
    scene.act(2, &name, Action::Reset);
    scene.deliver();
    scene.given(&name, 6);
    assert_eq!(scene.asks(2, &name), Some(Some(6)));
}

// Those who are deleted.

#[test]
fn a_deleted_record_goes_with_the_view_in_which_its_writer_has_its_answer() {
    for writer in [0, 1, 2] {
        let mut scene = Scene::new(3);
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        let ticket = scene.act(writer, &name, Action::Delete);
        let lost = scene.deliver_but(to(writer, "wrote"));
        assert_eq!((lost.len(), scene.answer(ticket).is_some()), (usize::from(writer != 0), writer == 0));
        let there = |scene: &Scene| [0, 1].map(|node| records(scene, node, &name));
        assert_eq!(there(&scene), [1, 1], "within the view it stays");
        if writer != 0 {
            scene.go_on(&[Change::Renew]);
            assert_eq!(there(&scene), [1, 1], "it is asked for again");
            assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
        }
        scene.go_on(&[Change::Renew]);
        assert_eq!(there(&scene), [0, 0]);
        assert_eq!(scene.asks(2, &name), Some(None));
    }
}

#[test]
fn a_deletion_that_is_asked_for_again_does_not_delete_what_came_after_it() {
    let mut scene = Scene::new(4);
    let next = scene.next(&[Change::Cut(member(0))]);
    let name = scene.name_that_moves(&[0, 1], &next, &[1]);
    scene.given(&name, 5);
    let ticket = scene.act(2, &name, Action::Delete);
    scene.deliver_but(to(2, "wrote"));
    scene.act(3, &name, Action::Create(value(6)));
    scene.deliver_but(to(2, "wrote"));
    scene.die(&[0]);
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
    assert_eq!(scene.asks(3, &name), Some(Some(6)));
}

/// The answer was lost, and another has written since: the version that comes with the next one is not the other's.
#[test]
fn an_answer_that_is_given_again_tells_the_version_of_then() {
    for through_a_view in [false, true] {
        let mut scene = Scene::new(4);
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        let ticket = scene.set(2, &name, 6);
        scene.deliver_but(to(2, "wrote"));
        let then = scene.nodes[0].machine.kept(&name).unwrap().version;
        scene.set(3, &name, 7);
        scene.deliver();
        if through_a_view {
            scene.die(&[0]);
        }
        scene.wait(Duration::from_secs(4));
        let answer = scene.answer(ticket).unwrap().unwrap();
        assert_eq!((answer.outcome, answer.version), (Outcome::Done, then));
    }
}

// Those who come from elsewhere.

#[test]
fn who_comes_from_elsewhere_brings_nothing_and_does_not_know_what_came_of_its_writes() {
    let mut scene = Scene::new(2);
    let joiner = scene.add(member(2));
    let other = scene.add(member(3));
    let alone = scene.nodes[joiner].machine.view().clone();
    let both = alone.successor(&[Change::Admit(member(3), Epoch(1))]);
    let name = scene.name_that_moves(&[0, 1], &both, &[other, joiner]);
    scene.given(&name, 5);
    let own = scene.act(joiner, &name, Action::Create(value(9)));
    scene.read(joiner, &name);
    assert_eq!((scene.outcome(own).is_some(), scene.sees(joiner, &name)), (true, Some(Some(9))));
    // One is said in its old lineage, to somebody who does not answer, and one is not said.
    scene.install(joiner, &both, LEASED);
    let said = scene.act(joiner, &name, add(1));
    let unsaid = scene.act(joiner, &name, add(1));
    scene.go_on(&[Change::Admit(member(2), Epoch(1))]);
    assert_eq!(scene.answer(said), Some(Err(Unanswered::Moved)));
    assert_eq!(scene.outcome(unsaid), Some(Outcome::Sum(6)));
    assert_eq!([0, joiner].map(|node| scene.asks(node, &name)), [Some(Some(6)); 2]);
}

/// A node that has just started serves nothing before it knows whether there are others.
#[test]
fn what_was_not_begun_in_one_lineage_is_done_in_the_next() {
    for service in [WAITING, WEDGED] {
        let mut scene = Scene::new(2);
        let name = scene.name(&[0, 1]);
        scene.given(&name, 5);
        let joiner = scene.add(member(2));
        let alone = scene.nodes[joiner].machine.view().successor(&[Change::Renew]);
        scene.install(joiner, &alone, service);
        let ticket = scene.act(joiner, &name, add(1));
        assert_eq!(scene.answer(ticket), None);
        scene.go_on(&[Change::Admit(member(2), Epoch(9))]);
        assert_eq!(scene.outcome(ticket), Some(Outcome::Sum(6)));
    }
}

/// It has a record of the same name and version in its own lineage, and learns only now that it is a member of this one.
#[test]
fn who_was_taken_in_some_views_ago_brings_nothing() {
    let mut scene = Scene::new(1);
    let name = scene.name(&[0]);
    scene.given(&name, 5);
    let joiner = scene.add(member(1));
    scene.act(joiner, &name, Action::Create(value(9)));
    scene.view = scene.next(&[Change::Admit(member(1), Epoch(1))]);
    let view = scene.view.clone();
    scene.install(0, &view, LEASED);
    scene.go_on(&[Change::Renew]);
    scene.wait(Duration::from_secs(4));
    assert_eq!([0, joiner].map(|node| scene.asks(node, &name)), [Some(Some(5)); 2]);
    scene.die(&[0]);
    assert_eq!(scene.asks(joiner, &name), Some(Some(5)));
}

#[test]
fn all_know_whether_their_lineage_holds_variables() {
    let mut scene = Scene::new(3);
    assert!(scene.nodes.iter().all(|node| !node.machine.is_holding()));
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    assert!(scene.nodes.iter().all(|node| node.machine.is_holding()));
    let joiner = scene.join(member(3));
    assert!(scene.nodes[joiner].machine.is_holding());
}
