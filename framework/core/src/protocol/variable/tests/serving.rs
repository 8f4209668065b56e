//! Reads and writes, while the view stays.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    super::{Action, Command, Config, Event, Ignored, Operation, Outcome, Part, Refusal, Ticket, Unanswered},
    scene::{KIND, LAPSED, LEASED, Scene, WEDGED, add, all, member, to, value},
};
use crate::protocol::{contract::Protocol, home::Shard, service::Service};

const fn operation(action: Action) -> Operation {
    Operation { kind: KIND, guard: None, action }
}

#[test]
fn a_variable_is_written_anywhere_and_read_anywhere() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    let ticket = scene.act(2, &name, Action::Create(value(5)));
    scene.deliver();
    let answer = scene.answer(ticket).unwrap().unwrap();
    assert_eq!((answer.outcome, answer.version), (Outcome::Done, scene.version(1)));
    for node in [3, 0, 1, 2] {
        assert_eq!(scene.asks(node, &name), Some(Some(5)));
    }
    let known: Vec<_> = scene.nodes[0].machine.known("").map(|(name, known)| (name.clone(), known)).collect();
    assert_eq!(known.len(), 1);
    assert_eq!((&known[0].0, known[0].1.copies), (&name, 3));
    assert_eq!(known[0].1.homes, [member(0), member(1)]);
}

#[test]
fn a_write_costs_a_way_there_and_back_and_one_round_among_the_homes_and_copies() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[3], &name);
    scene.set(2, &name, 6);
    let mut course = Vec::new();
    while !scene.mail.is_empty() {
        course.push(scene.under_way());
        let letters = scene.take(|_| true);
        scene.arrive_all(letters);
    }
    assert_eq!(course[..], [&["write"][..], &["store", "invalidate"], &["stored", "invalidated"], &["wrote"]]);
    scene.pass(Duration::from_millis(250));
    assert!(scene.mail.is_empty() && scene.nodes.iter().all(|node| node.machine.deadline().is_none()));
}

/// One round whatever the number of copies, and messages by them and not by the members.
#[test]
fn what_a_write_costs_grows_with_the_copies_and_not_with_the_cluster() {
    for (members, copies) in [(3, 1), (12, 8), (30, 8), (30, 20), (100, 8)] {
        let mut scene = Scene::with(members, 2, Config { only: Some(Shard(2)), ..Config::default() });
        let name = scene.names(&[]).next().unwrap();
        let homes = scene.homes(&name, &scene.view);
        let mut others = (0..members).filter(|node| !homes.contains(node));
        let readers: Vec<_> = others.by_ref().take(copies).collect();
        let writer = others.next().unwrap_or(homes[1]);
        scene.given(&name, 5);
        scene.copied(&readers, &name);
        scene.set(writer, &name, 6);
        let mut rounds = Vec::new();
        while !scene.mail.is_empty() {
            let letters = scene.take(|_| true);
            rounds.push(letters.len());
            scene.arrive_all(letters);
        }
        // To the home, to the other one and the copies, back from those, and the answer.
        assert_eq!(rounds, [1, copies + 1, copies + 1, 1], "{members} members");
    }
}

#[test]
fn who_has_a_copy_reads_without_a_word() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0]);
    scene.given(&name, 5);
    scene.copied(&[2], &name);
    scene.read(2, &name);
    assert!(scene.mail.is_empty());
    assert!(matches!(&scene.said(2)[..], [Event::Published { .. }]), "and is told of it again");
}

#[test]
fn what_is_not_there_has_a_copy_too_until_it_is_created() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0]);
    scene.copied(&[1, 2], &name);
    assert_eq!(scene.sees(2, &name), Some(None));
    scene.given(&name, 5);
    assert_eq!(scene.sees(2, &name), None);
    assert_eq!(scene.asks(2, &name), Some(Some(5)));
}

/// The writer has read it of late: it reads on without another question.
#[test]
fn who_has_a_copy_and_writes_gets_the_new_one_with_the_answer() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 5);
    scene.copied(&[2], &name);
    scene.set(2, &name, 6);
    assert_eq!(scene.sees(2, &name), None, "its own is over as soon as it writes");
    assert_eq!(scene.said(2).len(), 1);
    let invalidations = scene.deliver_but(all("invalidate"));
    assert_eq!(invalidations, [], "so there is nothing to take back");
    assert_eq!(scene.sees(2, &name), Some(Some(6)));
    // And the home knows of this one.
    scene.set(1, &name, 7);
    scene.deliver();
    assert_eq!(scene.sees(2, &name), None);
}

#[test]
fn who_has_no_copy_and_writes_gets_none() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0]);
    scene.given(&name, 5);
    scene.set(2, &name, 6);
    scene.deliver();
    assert_eq!(scene.sees(2, &name), None);
    // But who is told that its comparison failed is told with what it is now.
    let ticket = scene.act(2, &name, Action::Replace { expected: scene.version(1), value: value(9) });
    scene.deliver();
    assert_eq!(scene.refusal(ticket), Some(Refusal::Changed));
    assert_eq!(scene.sees(2, &name), Some(Some(6)));
}

#[test]
fn at_home_and_alone_everything_is_done_in_one_step() {
    let mut scene = Scene::new(1);
    let name = scene.name(&[0]);
    let ticket = scene.act(0, &name, Action::Create(value(5)));
    scene.read(0, &name);
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
    assert_eq!(scene.sees(0, &name), Some(Some(5)));
    scene.set(0, &name, 6);
    assert_eq!(scene.sees(0, &name), Some(Some(6)));
    assert!(scene.mail.is_empty());
}

// Group commit.

#[test]
fn two_hundred_and_fifty_five_adds_at_once_are_one_version() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 0);
    let tickets = scene.operate_all(2, &name, (0..255).map(|_| operation(add(1))));
    let stores = scene.deliver_but(all("store"));
    assert_eq!(stores.len(), 1);
    assert!(tickets.iter().all(|ticket| scene.answer(*ticket).is_none()));
    scene.arrive_all(stores);
    scene.deliver();
    for (ticket, sum) in tickets.into_iter().zip(1..) {
        let answer = scene.answer(ticket).unwrap().unwrap();
        assert_eq!((answer.outcome, answer.version), (Outcome::Sum(sum), scene.version(2)));
    }
    assert_eq!(scene.asks(1, &name), Some(Some(255)));
    assert!(scene.said(0).contains(&Event::Committed { operations: 255, copies: 0 }));
}

#[test]
fn what_comes_while_a_batch_is_under_way_goes_together_after_it() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0]);
    scene.given(&name, 0);
    (0..10).for_each(|_| _ = scene.act(1, &name, add(1)));
    let writes = scene.deliver_but(|_| false);
    assert_eq!(writes, []);
    assert_eq!(scene.asks(1, &name), Some(Some(10)));
    let record = &scene.nodes[0].machine.known("").next().unwrap().1;
    assert_eq!(record.state.version, scene.version(3), "one, and nine");
}

#[test]
fn a_batch_has_its_bounds() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0]);
    scene.given(&name, 0);
    let writes = |scene: &mut Scene| {
        let mut lengths = Vec::new();
        while let Some(letter) = scene.take(all("write")).pop() {
            let Part::Write { operations, .. } = letter.part() else { unreachable!() };
            lengths.push(operations.len());
            scene.arrive(letter);
            scene.deliver_but(all("write")).into_iter().for_each(|letter| scene.mail.push_back(letter));
        }
        lengths
    };
    scene.operate_all(1, &name, (0..2500).map(|_| operation(add(0))));
    assert_eq!(writes(&mut scene), [1024, 1024, 452]);
    let large = || operation(Action::Set(alloc::vec![7; 50 * 1024].into()));
    scene.operate_all(1, &name, (0..5).map(|_| large()));
    assert_eq!(writes(&mut scene), [2, 2, 1]);
    let huge = operation(Action::Set(alloc::vec![7; 500 * 1024].into()));
    scene.operate_all(1, &name, [huge, operation(add(0))]);
    assert_eq!(writes(&mut scene), [1, 1], "one goes in any case");
    assert!(scene.is_quiet());
}

#[test]
fn batches_of_several_writers_are_one_version_and_no_answer_leaves_before_it_is_written() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 0);
    scene.set(0, &name, 10);
    let first = scene.take(all("store"));
    let one = scene.act(2, &name, add(1));
    let other = scene.act(3, &name, add(1));
    let refused = scene.act(1, &name, Action::Create(value(9)));
    scene.deliver();
    scene.arrive_all(first);
    let second = scene.deliver_but(all("store"));
    assert_eq!(second.len(), 1);
    assert!([one, other, refused].iter().all(|ticket| scene.answer(*ticket).is_none()));
    scene.arrive_all(second);
    scene.deliver();
    let answers = [one, other].map(|ticket| scene.answer(ticket).unwrap().unwrap());
    assert!(answers.iter().all(|answer| answer.version == scene.version(3)));
    let [Outcome::Sum(one), Outcome::Sum(other)] = answers.map(|answer| answer.outcome) else { unreachable!() };
    assert_eq!((one.min(other), one.max(other)), (11, 12));
    assert_eq!(scene.outcome(refused), Some(Outcome::Exists));
}

#[test]
fn of_two_who_compare_in_one_group_one_loses() {
    let mut scene = Scene::new(4);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 0);
    let expected = scene.version(1);
    scene.act(0, &name, Action::Create(value(1)));
    scene.nodes[0].service = LAPSED;
    let replace = |to| Action::Replace { expected, value: value(to) };
    let tickets = [2, 3].map(|node| scene.act(node, &name, replace(node as u8)));
    scene.deliver();
    scene.allow(0, LEASED);
    scene.deliver();
    let outcomes = tickets.map(|ticket| scene.outcome(ticket).unwrap());
    assert_eq!(outcomes, [Outcome::Done, Outcome::Refused(Refusal::Changed)]);
    assert_eq!([2, 3].map(|node| scene.sees(node, &name)), [Some(Some(2)); 2], "and sees why");
}

#[test]
fn within_one_batch_a_comparison_knows_what_was_done_before_it() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0]);
    scene.given(&name, 0);
    let replace = |to| operation(Action::Replace { expected: scene.version(1), value: value(to) });
    let operations = [replace(1), replace(2)];
    let tickets = scene.operate_all(1, &name, operations);
    scene.deliver();
    assert_eq!(scene.outcome(tickets[0]), Some(Outcome::Done));
    assert_eq!(scene.refusal(tickets[1]), Some(Refusal::Changed));
    assert_eq!(scene.sees(1, &name), Some(Some(1)));
}

#[test]
fn operations_of_several_variables_go_in_one_message() {
    let mut scene = Scene::new(2);
    let names: Vec<_> = scene.names(&[0]).take(20).collect();
    let operations = names
        .iter()
        .zip(1000..)
        .map(|(name, ticket)| (name.clone(), Ticket(ticket), operation(Action::Create(value(1)))));
    let operations = operations.collect();
    scene.command(1, Command::Operate(operations));
    assert_eq!((scene.mail.len(), scene.mail[0].parts.len()), (1, 20));
    scene.deliver();
    assert!(names.iter().all(|name| scene.asks(1, name) == Some(Some(1))));
}

#[test]
fn what_was_not_said_can_be_canceled() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0]);
    scene.given(&name, 0);
    let tickets: Vec<_> = (0..3).map(|_| scene.act(1, &name, add(1))).collect();
    let (said, unsaid) = scene.nodes[1].machine.unfinished();
    let unsaid: Vec<_> = unsaid.into_iter().map(|(_, ticket, _)| ticket).collect();
    assert_eq!((&said[..], &unsaid[..]), (&tickets[..1], &tickets[1..]));
    for ticket in &tickets[..2] {
        scene.command(1, Command::Cancel { name: name.clone(), ticket: *ticket });
    }
    assert_eq!(scene.answer(tickets[1]), Some(Err(Unanswered::Canceled)));
    assert!(scene.has_ignored(1, 1, Ignored::NotAsked), "the first was said");
    scene.deliver();
    assert_eq!(scene.outcome(tickets[0]), Some(Outcome::Sum(1)));
    assert_eq!(scene.outcome(tickets[2]), Some(Outcome::Sum(2)));
}

// Repetitions.

#[test]
fn what_is_not_answered_is_said_again_with_doubling_pauses() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0]);
    scene.given(&name, 0);
    let ticket = scene.act(1, &name, add(1));
    scene.read(1, &name);
    scene.mail.clear();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let at = scene.nodes[1].machine.deadline().unwrap();
        let pause = at.saturating_since(scene.now);
        pauses.push(u64::try_from(pause.as_millis()).unwrap());
        scene.pass(pause);
        assert_eq!(scene.under_way(), ["write", "read"]);
        scene.mail.clear();
    }
    assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 4000, 4000, 4000]);
    scene.wait(Duration::from_secs(4));
    assert_eq!(scene.outcome(ticket), Some(Outcome::Sum(1)));
    assert_eq!(scene.sees(1, &name), Some(Some(1)));
    scene.pass(Duration::from_secs(4));
    assert!(scene.mail.is_empty() && scene.nodes.iter().all(|node| node.machine.deadline().is_none()));
}

#[test]
fn homes_and_copies_are_told_again_until_they_have_answered() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 0);
    scene.copied(&[1, 2], &name);
    let ticket = scene.set(0, &name, 1);
    assert_eq!(scene.take(|_| true).len(), 3);
    scene.pass(Duration::from_millis(250));
    // Who has answered is not told again.
    let lost = scene.deliver_but(to(0, "stored"));
    assert_eq!((lost.len(), scene.answer(ticket)), (1, None));
    scene.pass(Duration::from_millis(500));
    assert_eq!(scene.under_way(), ["store"]);
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Done));
}

#[test]
fn over_a_new_link_all_is_said_again_at_once() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0]);
    scene.given(&name, 0);
    let ticket = scene.act(1, &name, add(1));
    scene.mail.clear();
    scene.link(1, 0);
    assert_eq!(scene.under_way(), ["holding", "write"]);
    scene.deliver();
    assert_eq!(scene.outcome(ticket), Some(Outcome::Sum(1)));
}

// What the membership allows.

#[test]
fn a_wedged_node_neither_says_nor_takes_anything() {
    let mut scene = Scene::new(2);
    let name = scene.name(&[0]);
    scene.given(&name, 0);
    scene.nodes[0].service = WEDGED;
    scene.read(1, &name);
    scene.deliver();
    assert!(scene.has_ignored(0, 1, Ignored::Wedged));
    let ticket = scene.set(0, &name, 1);
    assert!(scene.mail.is_empty());
    assert_eq!((scene.sees(1, &name), scene.answer(ticket)), (None, None));
    // In the next view it says what it wanted to say.
    scene.go_on(&[crate::protocol::view::Change::Renew]);
    assert_eq!((scene.asks(1, &name), scene.outcome(ticket)), (Some(Some(1)), Some(Outcome::Done)));
}

#[test]
fn who_is_on_its_way_out_still_reads_and_writes() {
    let mut scene = Scene::new(3);
    let name = scene.name(&[0, 1]);
    scene.given(&name, 0);
    scene.nodes[2].service = Service { leaving: true, until: None, ..LEASED };
    let ticket = scene.set(2, &name, 1);
    scene.deliver();
    assert_eq!((scene.asks(2, &name), scene.outcome(ticket)), (Some(Some(1)), Some(Outcome::Done)));
}
