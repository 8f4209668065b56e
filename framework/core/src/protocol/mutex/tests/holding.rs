use alloc::vec::Vec;
use core::time::Duration;

use super::{
    super::{Body, Event, Ignored},
    scene::{EPOCH, LAPSED, LEASED, Scene, WAITING, WEDGED, fence, is_taken, is_token, member},
};
use crate::protocol::bugs::{Bug, Bugs};

/// Two nodes without leases, each with a task that waits: the token rests between two pauses.
#[test]
fn who_are_granted_nothing_do_not_play_ball_with_the_token() {
    for service in [LAPSED, WAITING] {
        for first in 0..2 {
            let mut scene = Scene::new(2);
            let name = scene.name(0);
            // The token is at 1, since it is made in an active view.
            scene.acquire(1, &name, 1);
            scene.deliver();
            let (_, _, held, _) = scene.guard();
            scene.nodes.iter_mut().for_each(|node| node.service = service);
            scene.acquire(0, &name, 2);
            scene.acquire(1, &name, 3);
            scene.deliver();
            scene.release(1, &name, held);
            scene.deliver();
            let passes = |scene: &mut Scene| {
                let said = (0..2).flat_map(|node| scene.said(node));
                said.filter(|event| matches!(event, Event::Passed { .. })).count()
            };
            assert!(passes(&mut scene) <= 3);
            scene.wait(Duration::from_millis(250));
            assert!((1..=2).contains(&passes(&mut scene)));
            // Whoever is granted something again gets it within a few pauses.
            scene.nodes[first].service = LEASED;
            (0..4).for_each(|_| scene.wait(Duration::from_millis(250)));
            assert_eq!(scene.guard().0, first);
        }
    }
}

#[test]
fn a_token_at_home_costs_reports_once_and_nothing_after() {
    let mut scene = Scene::new(3);
    let (one, other) = (scene.name(0), "x");
    scene.acquire(0, &one, 1);
    assert_eq!(scene.under_way(), ["mutex_report_wanted", "mutex_report_wanted"]);
    scene.deliver();
    assert_eq!(scene.guard(), (0, 1, fence(EPOCH, 1), false));
    scene.release(0, &one, fence(EPOCH, 1));
    scene.acquire(0, &one, 2);
    assert_eq!(scene.guard(), (0, 2, fence(EPOCH, 2), false));
    assert!(scene.mail.is_empty());
    // Nobody has brought anything, so for the next name of this home only the deputy learns that there is a token.
    let name = (0..).map(|n| crate::wire::name::Name::new(&std::format!("{other}{n}")).unwrap());
    let name = name.into_iter().find(|name| crate::protocol::home::home(&scene.view, name) == member(0)).unwrap();
    scene.acquire(0, &name, 3);
    assert_eq!(scene.under_way(), ["mutex_report_wanted"]);
    scene.deliver();
    assert_eq!(scene.guard(), (0, 3, fence(EPOCH, 1), false));
}

#[test]
fn a_token_elsewhere_costs_a_request_to_each_other_and_the_token() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    scene.acquire(1, &name, 1);
    assert_eq!(scene.under_way(), ["mutex_request", "mutex_request"]);
    scene.deliver();
    assert_eq!(scene.guard(), (1, 1, fence(EPOCH, 1), false));
    scene.acquire(2, &name, 2);
    scene.deliver();
    assert_eq!(scene.granted(), []);
    scene.release(1, &name, fence(EPOCH, 1));
    // A contended handoff is one message, and an acknowledgement that nobody waits for.
    assert_eq!(scene.under_way(), ["mutex_token"]);
    scene.deliver();
    assert_eq!(scene.guard(), (2, 2, fence(EPOCH, 2), false));
}

#[test]
fn those_who_wait_are_served_in_turn() {
    let mut scene = Scene::new(4);
    let name = scene.name(0);
    scene.acquire(0, &name, 10);
    scene.deliver();
    for node in [3, 1, 2] {
        scene.acquire(node, &name, node as u64);
        scene.deliver();
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        let (node, _, fence, _) = scene.guard();
        order.push(node);
        scene.release(node, &name, fence);
        scene.deliver();
    }
    assert_eq!(order, [0, 3, 1, 2]);
}

/// T10: a grant without a last look at the lease.
#[test]
fn t10_no_guard_is_handed_out_without_a_lease() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    scene.acquire(1, &name, 1);
    scene.nodes[1].service = LAPSED;
    scene.deliver();
    assert_eq!(scene.granted(), []);
    assert!(scene.nodes[1].machine.is_blocked());
    scene.allow(1, LEASED);
    assert_eq!(scene.guard(), (1, 1, fence(EPOCH, 1), false));
}

#[test]
fn a_node_without_a_lease_passes_the_token_on_and_queues_for_it() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    scene.acquire(1, &name, 1);
    scene.nodes[1].service = LAPSED;
    scene.deliver();
    scene.acquire(2, &name, 2);
    scene.deliver();
    assert_eq!(scene.guard(), (2, 2, fence(EPOCH, 1), false));
    scene.nodes[1].service = LEASED;
    scene.release(2, &name, fence(EPOCH, 1));
    scene.deliver();
    assert_eq!(scene.guard(), (1, 1, fence(EPOCH, 2), false));
}

/// T11: a guard that is given back twice, or late, does not give back the one after it.
#[test]
fn t11_a_guard_gives_back_itself_alone() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    scene.acquire(0, &name, 1);
    scene.acquire(0, &name, 2);
    scene.deliver();
    let (_, _, first, _) = scene.guard();
    scene.release(0, &name, first);
    let (_, ticket, second, _) = scene.guard();
    assert_eq!((ticket, second > first), (2, true));
    scene.acquire(0, &name, 3);
    scene.release(0, &name, first);
    assert_eq!(scene.granted(), []);
    let not_held = Event::Ignored { from: member(0), reason: Ignored::NotHeld };
    assert!(scene.said(0).contains(&not_held));
    scene.release(0, &name, second);
    assert_eq!(scene.guard().1, 3);
}

/// T13: with given-up requests between them, the last request is not the one after the last that was served.
#[test]
fn t13_requests_that_were_given_up_do_not_hide_later_ones() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    scene.acquire(0, &name, 1);
    scene.deliver();
    let (_, _, held, _) = scene.guard();
    for ticket in 2..5 {
        scene.acquire(1, &name, ticket);
        scene.mail.clear();
        scene.cancel(1, &name, ticket);
    }
    scene.acquire(1, &name, 5);
    scene.deliver();
    scene.release(0, &name, held);
    scene.deliver();
    assert_eq!(scene.guard(), (1, 5, fence(EPOCH, 2), false));
}

/// T17: a token that is sent again since its acknowledgement was lost.
#[test]
fn t17_a_token_that_comes_again_is_acknowledged_and_not_taken() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    scene.acquire(1, &name, 1);
    scene.deliver();
    let (_, _, held, _) = scene.guard();
    scene.acquire(2, &name, 2);
    scene.deliver();
    scene.release(1, &name, held);
    let token = scene.take(is_token);
    assert_eq!(token.len(), 1);
    scene.arrive(token[0].clone());
    let lost = scene.take(is_taken);
    assert_eq!(lost.len(), 1);
    let (node, _, held, _) = scene.guard();
    scene.release(node, &name, held);
    scene.acquire(1, &name, 3);
    scene.deliver();
    assert_eq!(scene.guard().0, 1);
    // The first holder sends it again; it has long gone on.
    scene.arrive(token[0].clone());
    assert_eq!(scene.granted(), []);
    assert!(scene.said(2).contains(&Event::Ignored { from: member(1), reason: Ignored::Duplicate }));
    assert_eq!(scene.take(is_taken).len(), 1);
}

#[test]
fn a_lost_token_is_sent_again_until_it_is_acknowledged() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    scene.acquire(1, &name, 1);
    scene.mail.clear();
    scene.wait(Duration::from_millis(250));
    assert_eq!(scene.guard(), (1, 1, fence(EPOCH, 1), false));
    assert!(scene.nodes.iter().all(|node| node.machine.tokens().count() <= 1));
    scene.acquire(0, &name, 2);
    scene.deliver();
    scene.release(1, &name, fence(EPOCH, 1));
    scene.mail.clear();
    scene.wait(Duration::from_millis(250));
    assert_eq!(scene.guard(), (0, 2, fence(EPOCH, 2), false));
    // When all is answered, nobody wakes.
    scene.release(0, &name, fence(EPOCH, 2));
    assert!(scene.nodes.iter().all(|node| crate::protocol::contract::Protocol::deadline(&node.machine).is_none()));
}

#[test]
fn a_new_link_is_told_at_once_what_may_be_lost() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    scene.acquire(1, &name, 1);
    scene.mail.clear();
    scene.link(1, 0);
    scene.deliver();
    assert_eq!(scene.guard(), (1, 1, fence(EPOCH, 1), false));
}

/// T18: a request of a task that waits no more leaves nothing behind.
#[test]
fn t18_a_token_that_nobody_waits_for_goes_on() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    scene.acquire(0, &name, 1);
    scene.deliver();
    scene.acquire(1, &name, 2);
    scene.acquire(2, &name, 3);
    scene.deliver();
    scene.cancel(1, &name, 2);
    scene.release(0, &name, fence(EPOCH, 1));
    scene.deliver();
    let granted = scene.granted();
    assert_eq!(granted, [(0, 1, fence(EPOCH, 1), false), (2, 3, fence(EPOCH, 2), false)]);
}

/// L5: tasks of one node do not keep the token for themselves; and H12: those who are left when it goes get it back.
#[test]
fn h12_after_sixteen_guards_in_a_row_the_token_goes_on_and_comes_back() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    (0..40).for_each(|ticket| scene.acquire(0, &name, ticket));
    scene.deliver();
    scene.acquire(1, &name, 100);
    scene.deliver();
    let mut order = Vec::new();
    while let [(node, _, held, _)] = scene.granted()[..] {
        order.push(node);
        scene.release(node, &name, held);
        scene.deliver();
    }
    assert_eq!(order.len(), 41, "everybody is served: {order:?}");
    // One guard that was there when the request came, and sixteen more.
    assert_eq!(order.iter().position(|node| *node == 1), Some(17));
}

#[test]
fn a_parked_token_comes_back_with_its_fence() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    scene.acquire(0, &name, 1);
    scene.deliver();
    scene.release(0, &name, fence(EPOCH, 1));
    let own = scene.take_parked(0);
    assert_eq!(own, fence(EPOCH, 2));
    // Somebody wants it while there is a guard that the machine had not heard of.
    scene.acquire(1, &name, 2);
    scene.deliver();
    assert_eq!(scene.granted().len(), 1);
    scene.nodes[0].own_guard = None;
    scene.release(0, &name, own);
    scene.deliver();
    assert_eq!(scene.guard(), (1, 2, fence(EPOCH, 3), false));
}

#[test]
fn a_wedged_node_neither_sends_nor_takes_anything() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    scene.acquire(1, &name, 1);
    scene.nodes[0].service = WEDGED;
    scene.deliver();
    scene.acquire(0, &name, 2);
    assert!(scene.mail.is_empty());
    assert!(scene.said(0).contains(&Event::Ignored { from: member(1), reason: Ignored::Wedged }));
    assert_eq!(scene.granted(), []);
}

#[test]
fn strange_messages_are_ignored() {
    let mut scene = Scene::new(2);
    let name = scene.name(0);
    scene.acquire(1, &name, 1);
    scene.deliver();
    let (_, _, held, _) = scene.guard();
    scene.acquire(0, &name, 2);
    scene.deliver();
    scene.release(1, &name, held);
    let sound = scene.take(is_token)[0].clone();
    for spoil in 0..3 {
        let mut letter = sound.clone();
        let Body::Token { token, .. } = &mut letter.message.body else { unreachable!() };
        match spoil {
            0 => token.served.push(1),
            1 => token.queue = [0, 0].into(),
            _ => token.queue = [7].into(),
        }
        scene.arrive(letter);
        assert!(scene.said(0).contains(&Event::Ignored { from: member(1), reason: Ignored::Unsound }));
    }
    assert_eq!(scene.granted(), []);
    scene.arrive(sound);
    assert_eq!(scene.granted().len(), 1);
}

/// T27: where nobody may grant, a token does not go round among those who wait as fast as the network is.
#[test]
fn a_token_that_nobody_may_grant_goes_on_now_and_then() {
    let mut scene = Scene::new(3);
    let name = scene.name(0);
    for node in 0..3 {
        scene.nodes[node].service = LAPSED;
        scene.acquire(node, &name, 1);
    }
    let mut passes = 0;
    for _ in 0..40 {
        scene.wait(Duration::from_millis(100));
        passes +=
            (0..3).flat_map(|node| scene.said(node)).filter(|event| matches!(event, Event::Passed { .. })).count();
    }
    assert!((1..=3 * 4000 / 250).contains(&passes), "{passes} passes in four seconds");
    (0..3).for_each(|node| scene.allow(node, LEASED));
    scene.deliver();
    assert_eq!(scene.granted().len(), 1);
}

#[cfg(feature = "bugs")]
fn needed(bug: Bug, play: fn(&mut Scene) -> bool) {
    let kept = play(&mut Scene::new(3));
    let broken = play(&mut Scene::with_bugs(3, Bugs::plant(bug)));
    assert!(kept && !broken, "{bug:?}: kept {kept}, broken {broken}");
}

/// With one of these rules broken, the tests above would fail: each is shown here to be what they rest on.
#[cfg(feature = "bugs")]
#[test]
fn the_rules_of_holding_are_needed() {
    needed(Bug::NextRequestOnly, |scene| {
        let name = scene.name(0);
        scene.acquire(0, &name, 1);
        scene.deliver();
        let (_, _, held, _) = scene.guard();
        for ticket in [2, 3] {
            scene.acquire(1, &name, ticket);
            scene.mail.clear();
            scene.cancel(1, &name, ticket);
        }
        scene.acquire(1, &name, 4);
        scene.deliver();
        scene.release(0, &name, held);
        scene.deliver();
        !scene.granted().is_empty()
    });
    needed(Bug::GrantUnchecked, |scene| {
        let name = scene.name(0);
        scene.acquire(1, &name, 1);
        scene.nodes[1].service = LAPSED;
        scene.deliver();
        scene.granted().is_empty()
    });
    needed(Bug::WaitersLeftBehind, |scene| {
        let name = scene.name(0);
        scene.acquire(1, &name, 1);
        scene.nodes[1].service = LAPSED;
        scene.deliver();
        scene.acquire(2, &name, 2);
        scene.deliver();
        let (node, _, held, _) = scene.guard();
        scene.nodes[1].service = LEASED;
        scene.release(node, &name, held);
        scene.deliver();
        (0..8).for_each(|_| scene.wait(Duration::from_secs(4)));
        !scene.granted().is_empty()
    });
}

#[cfg(feature = "bugs")]
#[test]
fn the_rules_of_fences_and_turns_are_needed() {
    needed(Bug::AnyGuardReleases, |scene| {
        let name = scene.name(0);
        (1..4).for_each(|ticket| scene.acquire(0, &name, ticket));
        scene.deliver();
        let (_, _, first, _) = scene.guard();
        scene.release(0, &name, first);
        scene.granted();
        scene.release(0, &name, first);
        scene.granted().is_empty()
    });
    needed(Bug::FenceForgotten, |scene| {
        let name = scene.name(0);
        scene.acquire(0, &name, 1);
        scene.deliver();
        let (_, _, held, _) = scene.guard();
        scene.release(0, &name, held);
        let own = scene.take_parked(0);
        scene.acquire(1, &name, 2);
        scene.deliver();
        scene.nodes[0].own_guard = None;
        scene.release(0, &name, own);
        scene.deliver();
        scene.granted().first().is_some_and(|(_, _, fence, _)| *fence > own)
    });
    needed(Bug::LocalTasksFirst, |scene| {
        let name = scene.name(0);
        (0..100).for_each(|ticket| scene.acquire(0, &name, ticket));
        scene.deliver();
        scene.acquire(1, &name, 200);
        scene.deliver();
        for _ in 0..20 {
            let (node, _, held, _) = scene.guard();
            if node == 1 {
                return true;
            }
            scene.release(node, &name, held);
            scene.deliver();
        }
        false
    });
}
