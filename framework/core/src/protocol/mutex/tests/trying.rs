//! Tries: the sixth point of the second round of the design's model.

use core::time::Duration;

use super::{
    super::{Body, Event, Ticket},
    scene::{EPOCH, LAPSED, LEASED, Letter, Scene, fence},
};
use crate::protocol::{
    bugs::{Bug, Bugs},
    contract::Protocol,
};

fn is_busy(letter: &Letter) -> bool {
    matches!(letter.message.body, Body::Busy { .. })
}

fn was_refused(scene: &mut Scene, node: usize, ticket: u64) -> bool {
    scene.said(node).contains(&Event::Busy { ticket: Ticket(ticket) })
}

#[test]
fn a_try_gets_an_idle_token_wherever_it_is() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    scene.attempt(1, &name, 1);
    scene.deliver();
    assert_eq!(scene.guard(), (1, 1, fence(EPOCH, 1), false));
    scene.release(1, &name, fence(EPOCH, 1));
    scene.attempt(2, &name, 2);
    scene.deliver();
    assert_eq!(scene.guard(), (2, 2, fence(EPOCH, 2), false));
    scene.release(2, &name, fence(EPOCH, 2));
    scene.attempt(2, &name, 3);
    assert!(scene.mail.is_empty(), "here it costs nothing");
    assert_eq!(scene.guard(), (2, 3, fence(EPOCH, 3), false));
}

#[test]
fn a_try_is_refused_by_the_holder_and_by_tasks_of_its_own_node() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    scene.acquire(0, &name, 1);
    scene.deliver();
    scene.attempt(1, &name, 2);
    scene.deliver();
    assert!(was_refused(&mut scene, 1, 2));
    assert_eq!(scene.granted().len(), 1);
    scene.attempt(0, &name, 3);
    assert!(was_refused(&mut scene, 0, 3));
    scene.acquire(1, &name, 4);
    scene.attempt(1, &name, 5);
    assert!(was_refused(&mut scene, 1, 5));
}

#[test]
fn a_try_does_not_overtake_who_waits() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    scene.acquire(1, &name, 1);
    scene.nodes[1].service = LAPSED;
    scene.deliver();
    scene.attempt(2, &name, 2);
    scene.deliver();
    assert!(was_refused(&mut scene, 2, 2));
    scene.allow(1, LEASED);
    assert_eq!(scene.guard().1, 1);
}

/// A phantom token: told that it does not come, and then it comes.
#[test]
fn a_refused_try_leaves_nothing_behind_that_brings_the_token_later() {
    let play = |mut scene: Scene| {
        let name = scene.name(0);
        scene.acquire(0, &name, 1);
        scene.deliver();
        let (_, _, held, _) = scene.guard();
        scene.attempt(1, &name, 2);
        scene.deliver();
        assert!(was_refused(&mut scene, 1, 2));
        scene.release(0, &name, held);
        scene.deliver();
        scene.nodes[1].machine.tokens().count() == 0
    };
    assert!(play(Scene::new(2)));
    #[cfg(feature = "bugs")]
    assert!(!play(Scene::with_bugs(2, Bugs::plant(Bug::TryQueued))));
    let _ = (Bug::TryQueued, Bugs::NONE);
}

/// An answer to an earlier try says nothing about the next.
#[test]
fn a_late_refusal_does_not_end_the_next_try() {
    let play = |mut scene: Scene| {
        let name = scene.name(0);
        scene.acquire(0, &name, 1);
        scene.deliver();
        let (_, _, held, _) = scene.guard();
        scene.attempt(1, &name, 2);
        let request = scene.mail[0].clone();
        scene.arrive(request);
        let late = scene.take(is_busy);
        scene.deliver();
        scene.cancel(1, &name, 2);
        scene.release(0, &name, held);
        scene.attempt(1, &name, 3);
        scene.arrive(late[0].clone());
        !was_refused(&mut scene, 1, 3)
    };
    assert!(play(Scene::new(2)));
    #[cfg(feature = "bugs")]
    assert!(!play(Scene::with_bugs(2, Bugs::plant(Bug::BusyUnnumbered))));
}

/// A refusal that got lost is said again: the number was served, and no token comes for it.
#[test]
fn a_lost_refusal_is_said_again() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    scene.acquire(0, &name, 1);
    scene.deliver();
    let (_, _, held, _) = scene.guard();
    scene.attempt(1, &name, 2);
    let request = scene.mail.pop_front().unwrap();
    scene.arrive(request);
    assert_eq!(scene.take(is_busy).len(), 1);
    scene.release(0, &name, held);
    scene.wait(Duration::from_millis(250));
    assert!(was_refused(&mut scene, 1, 2));
    assert_eq!(scene.nodes[1].machine.tokens().count(), 0);
}

/// A try may arrive twice, the second time when its guard was given back and the token is idle elsewhere.
#[test]
fn a_try_that_was_granted_does_not_bring_the_token_again() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    scene.attempt(1, &name, 1);
    let late = scene.mail[0].clone();
    scene.deliver();
    let (_, _, first, _) = scene.guard();
    scene.acquire(0, &name, 2);
    scene.deliver();
    scene.release(1, &name, first);
    scene.deliver();
    let (node, _, second, _) = scene.guard();
    assert_eq!(node, 0);
    scene.release(0, &name, second);
    scene.arrive(late);
    scene.deliver();
    assert_eq!(scene.nodes[1].machine.tokens().count(), 0, "a token that nobody waits for");
}

/// Where nobody wants the token any more, there is nothing to wake up for.
#[test]
fn a_home_that_has_asked_for_a_task_that_waits_no_more_comes_to_rest() {
    for reports in [false, true] {
        let mut scene = Scene::new(2);
        let name = scene.name(0);
        scene.attempt(0, &name, 1);
        if !reports {
            scene.mail.clear();
        }
        scene.cancel(0, &name, 1);
        scene.deliver();
        let machine = &scene.nodes[0].machine;
        assert!(machine.deadline().is_none() && !machine.is_blocked(), "reports: {reports}");
        // Whoever comes next gets it nevertheless.
        scene.acquire(0, &name, 2);
        scene.deliver();
        scene.wait(Duration::from_millis(250));
        assert_eq!(scene.guard().1, 2);
    }
}

#[test]
fn of_two_who_try_at_once_one_is_refused() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    scene.attempt(1, &name, 1);
    scene.attempt(2, &name, 2);
    scene.deliver();
    assert_eq!(scene.granted().len(), 1);
    scene.wait(Duration::from_millis(250));
    assert!(was_refused(&mut scene, 1, 1) || was_refused(&mut scene, 2, 2));
}
