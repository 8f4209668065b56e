use alloc::vec::Vec;

use super::{
    super::{Command, Event, Holdings, Out, Reason},
    scene::{A, B, C, Scene, ms},
};

const HOME: Holdings = Holdings { variables: true, home: true, guards: false };

/// H21: a leaver first moves what only it has, and is waited for by nobody then.
#[test]
fn h21_who_leaves_does_so_in_two_views() {
    let mut scene = Scene::of(3);
    scene.command(C, Command::Hold(HOME));
    scene.command(C, Command::Leave);
    scene.pass(ms(1000));
    let seat = *scene.view(A).seat(C).unwrap();
    assert!(seat.leaving && scene.serves(C) && scene.machines[&C].out().is_none(), "it is home of shards still");
    scene.command(C, Command::Hold(Holdings { home: false, ..HOME }));
    scene.pass(ms(100));
    assert_eq!(scene.machines[&C].out(), Some(Out::Left));
    assert!(scene.said(C, &Event::Left));
    assert_eq!(scene.members_at(A), [A, B]);
    let lost: Vec<_> = scene.installed(A).iter().flat_map(|it| it.lost.clone()).collect();
    assert_eq!(lost, [(C, Reason::Parted)]);
    assert!(scene.installed(A).iter().all(|it| it.unheard.is_empty()));
    scene.pass(ms(10));
    assert!(scene.serves(A) && scene.serves(B), "nothing of it is waited for");
}

/// H21: that nobody waits for the leaver cancels no other wait.
#[test]
fn h21_the_wait_for_another_one_stays() {
    let mut scene = Scene::of(4);
    scene.command(C, Command::Hold(HOME));
    scene.command(C, Command::Leave);
    scene.pass(ms(1000));
    scene.kill(super::scene::D);
    scene.command(C, Command::Hold(Holdings::default()));
    scene.pass(ms(400));
    assert_eq!(scene.members_at(A), [A, B]);
    assert!(!scene.is_active(A) || !scene.is_active(B), "D may hold leases");
    scene.pass(ms(1100));
    assert!(scene.serves(A) && scene.serves(B));
}

#[test]
fn the_older_one_of_two_can_leave_and_the_younger_one_goes_on() {
    let mut scene = Scene::of(2);
    scene.command(A, Command::Leave);
    scene.pass(ms(300));
    assert_eq!(scene.machines[&A].out(), Some(Out::Left));
    assert_eq!(scene.members_at(B), [B]);
    assert!(scene.serves(B));
}

#[test]
fn all_can_leave_at_once() {
    let mut scene = Scene::of(3);
    for member in [A, B, C] {
        scene.command(member, Command::Leave);
    }
    scene.pass(ms(3000));
    assert_eq!([A, B, C].map(|it| scene.machines[&it].out()), [Some(Out::Left); 3]);
}

#[test]
fn a_leaver_that_dies_on_its_way_is_cut() {
    let mut scene = Scene::of(3);
    scene.command(C, Command::Hold(HOME));
    scene.command(C, Command::Leave);
    scene.pass(ms(1000));
    scene.kill(C);
    scene.pass(ms(1500));
    assert_eq!(scene.members_at(A), [A, B]);
    assert!(scene.serves(A) && scene.serves(B));
    let unheard: Vec<_> = scene.installed(A).iter().flat_map(|it| it.unheard.clone()).collect();
    assert_eq!(unheard, [C], "it may have held guards");
}
