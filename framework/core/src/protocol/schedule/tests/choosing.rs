use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::{Candidate, choose};

const PLAIN: Candidate = Candidate {
    outstanding: 0,
    parallelism: 4,
    service: Some(Duration::from_millis(1)),
    round_trip: Duration::from_micros(200),
    local: false,
};

/// Gives `calls` calls without any answer and tells how many each candidate got.
fn deal(mut candidates: Vec<Candidate>, calls: u64) -> Vec<u32> {
    for call in 0..calls {
        let chosen = choose(&candidates, call).unwrap();
        candidates[chosen].outstanding += 1;
    }
    candidates.iter().map(|candidate| candidate.outstanding).collect()
}

#[test]
fn nobody_is_chosen_from_nobody() {
    assert_eq!(choose(&[], 7), None);
    assert_eq!(choose(&[PLAIN], 7), Some(0));
}

#[test]
fn equal_nodes_share_the_load() {
    assert_eq!(deal(vec![PLAIN; 5], 100), vec![20; 5]);
    // Also when every call is answered before the next: then only the turn decides.
    let mut chosen = [0; 5];
    (0..100).for_each(|call| chosen[choose(&[PLAIN; 5], call).unwrap()] += 1);
    assert_eq!(chosen, [20; 5]);
}

#[test]
fn a_node_twice_as_fast_gets_twice_the_calls() {
    let fast = Candidate { service: Some(Duration::from_micros(500)), ..PLAIN };
    let dealt = deal(vec![PLAIN, fast], 300);
    assert!((195..=205).contains(&dealt[1]), "{dealt:?}");
    let wide = Candidate { parallelism: 8, ..PLAIN };
    let dealt = deal(vec![PLAIN, wide], 300);
    assert!((195..=205).contains(&dealt[1]), "{dealt:?}");
}

#[test]
fn the_local_node_serves_until_its_queue_is_longer_than_the_way() {
    let local = Candidate { local: true, parallelism: 1, ..PLAIN };
    let near = Candidate { round_trip: Duration::from_millis(2), parallelism: 1, ..PLAIN };
    let mut candidates = vec![near, local];
    for entropy in 0..4 {
        assert_eq!(choose(&candidates, entropy), Some(1));
    }
    candidates[1].outstanding = 3;
    for entropy in 0..4 {
        assert_eq!(choose(&candidates, entropy), Some(0));
    }
    // A tie goes to the local one, whoever's turn it is.
    candidates[1].outstanding = 2;
    for entropy in 0..4 {
        assert_eq!(choose(&candidates, entropy), Some(1));
    }
}

#[test]
fn a_stranger_is_tried() {
    let stranger = Candidate { service: None, ..PLAIN };
    let slow = Candidate { service: Some(Duration::from_millis(9)), ..PLAIN };
    assert_eq!(choose(&[slow, PLAIN, stranger], 0), Some(1));
    let busy = Candidate { outstanding: 1, ..PLAIN };
    assert_eq!(choose(&[slow, busy, stranger], 0), Some(2));
    assert!(choose(&[stranger; 3], 2).is_some());
}

#[test]
fn of_many_nodes_the_longest_queue_stays_short() {
    let dealt = deal(vec![PLAIN; 100], 10_000);
    let (least, most) = (dealt.iter().min().unwrap(), dealt.iter().max().unwrap());
    // One random choice would give about 100 ± 30.
    assert!(*most <= 106 && *least >= 85, "{least} to {most}");
}

#[test]
fn extreme_figures_do_not_overflow() {
    let extreme = Candidate {
        outstanding: u32::MAX,
        parallelism: 0,
        service: Some(Duration::MAX),
        round_trip: Duration::MAX,
        local: false,
    };
    assert!(choose(&[extreme; 9], u64::MAX).is_some());
    assert!(choose(&[extreme; 2], u64::MAX).is_some());
}
