//! How nodes find each other, whom they let in, and what is told when they go.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use guthi::{BuildError, Builder, ClusterKey, Functions, JoinError, Node, Status};
use guthi_tests::{
    cluster::{HANG, Home, event, eventually, members, status, within},
    functions::{here, length, same, square},
};

/// A node that is found by its address alone.
fn apart(functions: Functions) -> Builder {
    Node::builder().listen("127.0.0.1:0").cluster("test").workers(1).patience(HANG).functions(functions)
}

fn port_of(node: &Node) -> SocketAddr {
    let address = node.addresses()[0].to_string();
    let port = address.split('/').nth(4).unwrap().parse().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn who_has(node: &Node, function: &str) -> Vec<guthi::NodeId> {
    node.functions().into_iter().find(|info| info.name == function).map(|info| info.nodes).unwrap_or_default()
}

#[tokio::test]
async fn two_nodes_of_one_machine_find_each_other_and_each_others_functions() {
    let home = Home::new();
    let patience = Duration::from_millis(500);
    let a = home.node(Functions::none().with::<square>()).patience(patience).start().await.unwrap();
    let began = Instant::now();
    let b = home.node(Functions::none().with::<length>()).patience(patience).start().await.unwrap();
    members(&a, 2).await;
    members(&b, 2).await;
    assert_eq!((who_has(&a, "length"), who_has(&a, "square")), (vec![b.id()], vec![a.id()]));
    assert_eq!((who_has(&b, "length"), who_has(&b, "square")), (vec![b.id()], vec![a.id()]));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let info = a.functions().into_iter().find(|info| info.name == "length").unwrap();
    assert_eq!(info.shape, "String -> u64");
    let info = b.functions().into_iter().find(|info| info.name == "square").unwrap();
    assert_eq!(info.docs, "Squares a number.");
    assert_eq!(b.peers()[0].name, a.name());
    assert_eq!(b.call::<square>(7).await, Ok(49));
}

#[tokio::test]
async fn nodes_of_one_machine_that_missed_each_other_at_the_start_meet_later() {
    let home = Home::new();
    let a = home.caller().await;
    let folder = home.path().join("c-test");
    let (file, hidden) = (folder.join(format!("{}.json", a.id())), folder.join("hidden"));
    std::fs::rename(&file, &hidden).unwrap();
    let b = home.caller().await;
    assert_eq!((a.members().len(), b.members().len()), (1, 1), "neither has seen the other");
    std::fs::rename(&hidden, &file).unwrap();
    members(&a, 2).await;
    members(&b, 2).await;
}

#[tokio::test]
async fn an_address_at_which_nobody_is_yet_is_tried_again() {
    // Somebody was there a moment ago, so the port is free.
    let earlier = apart(Functions::none()).start().await.unwrap();
    let place = port_of(&earlier).to_string();
    earlier.leave().await.unwrap();
    let a = apart(Functions::none()).join(place.clone()).start().await.unwrap();
    assert_eq!(a.members().len(), 1);
    let b = Node::builder().listen(place).cluster("test").patience(HANG).start().await.unwrap();
    members(&a, 2).await;
    members(&b, 2).await;
}

#[tokio::test]
async fn one_address_is_enough_to_meet_everybody() {
    let a = apart(Functions::none()).start().await.unwrap();
    let address = a.addresses()[0].clone();
    let b = apart(Functions::none()).join(address.clone()).start().await.unwrap();
    let c = apart(Functions::none()).join(address).start().await.unwrap();
    for node in [&a, &b, &c] {
        members(node, 3).await;
    }
}

#[tokio::test]
async fn nodes_that_join_at_once_all_meet() {
    let a = apart(Functions::none()).start().await.unwrap();
    let joining = (0..5).map(|_| apart(Functions::none()).join(a.addresses()[0].clone()).start());
    let others = futures::future::try_join_all(joining).await.unwrap();
    for node in others.iter().chain([&a]) {
        members(node, 6).await;
    }
}

#[tokio::test]
async fn a_node_that_fetches_no_peers_is_linked_with_those_it_names() {
    let a = apart(Functions::none()).start().await.unwrap();
    let b = apart(Functions::none()).join(a.addresses()[0].clone()).start().await.unwrap();
    let quiet = apart(Functions::none()).fetch_peers(false).join(a.addresses()[0].clone()).start().await.unwrap();
    // Somebody who does fetch them meets all three: so the others had more than the time for it.
    let d = apart(Functions::none()).join(a.addresses()[0].clone()).start().await.unwrap();
    let linked = |node: &Node| node.peers().iter().filter(|peer| peer.rtt.is_some()).count();
    eventually("all who look are linked", || [&a, &b, &d].map(linked) == [3, 2, 3]).await;
    eventually("and one with those it names", || linked(&quiet) == 2).await;
    let met = |node: &Node, other: &Node| node.peers().iter().any(|peer| peer.id == other.id() && peer.rtt.is_some());
    assert!(!met(&quiet, &b) && !met(&b, &quiet));
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_are_linked_once_and_stay_so() {
    let a = apart(Functions::none().with::<same>()).start().await.unwrap();
    let b = apart(Functions::none().with::<same>()).start().await.unwrap();
    let (mut at_a, mut at_b) = (a.events(), b.events());
    let both = async { tokio::join!(a.connect(b.addresses()[0].clone()), b.connect(a.addresses()[0].clone())) };
    let (from_a, from_b) = within("both dial", both).await;
    assert_eq!((from_a.unwrap().id, from_b.unwrap().id), (b.id(), a.id()));
    let (_, before_a) = event(&mut at_a, "joined", b.id()).await;
    let (_, before_b) = event(&mut at_b, "joined", a.id()).await;
    assert_eq!((before_a, before_b), (vec![], vec![]));
    for n in 0..100 {
        assert_eq!(a.call::<same>(n).on(&b).await, Ok(n));
        assert_eq!(b.call::<same>(n).on(&a).await, Ok(n));
    }
    let c = apart(Functions::none()).join(a.addresses()[0].clone()).start().await.unwrap();
    let (_, before) = event(&mut at_a, "joined", c.id()).await;
    assert_eq!(before, [], "nothing happened to the link meanwhile");
}

#[tokio::test]
async fn a_process_with_another_key_gets_nothing() {
    let (good, bad) = (ClusterKey::generate().unwrap(), ClusterKey::generate().unwrap());
    let a = apart(Functions::none().with::<square>()).key(good.clone()).start().await.unwrap();
    let b = apart(Functions::none()).key(bad.clone()).start().await.unwrap();
    let address = a.addresses()[0].clone();
    let refused = within("a refusal", b.connect(address.clone())).await;
    assert_eq!(refused.unwrap_err(), JoinError::WrongKey { address: address.to_string() });
    let refused = within("a refusal", a.connect(b.addresses()[0].clone())).await;
    assert!(matches!(refused, Err(JoinError::WrongKey { .. })), "{refused:?}");
    assert_eq!((a.peers(), b.peers()), (vec![], vec![]));
    assert!(b.functions().is_empty());
    // Nor does a node whose start names it get in, and it says so by running alone.
    let c = apart(Functions::none()).key(bad).join(address.clone()).start().await.unwrap();
    assert_eq!((a.peers(), c.members().len()), (vec![], 1));
    let d = apart(Functions::none()).key(good).join(address).start().await.unwrap();
    assert_eq!(d.call::<square>(3).await, Ok(9));
}

#[tokio::test]
async fn a_second_key_is_accepted_so_that_keys_can_be_changed() {
    let (old, new) = (ClusterKey::generate().unwrap(), ClusterKey::generate().unwrap());
    let a = apart(Functions::none()).key(old.clone()).key(new.clone()).start().await.unwrap();
    for key in [old, new] {
        let b = apart(Functions::none()).key(key).start().await.unwrap();
        assert_eq!(within("a link", b.connect(a.addresses()[0].clone())).await.unwrap().id, a.id());
    }
}

#[tokio::test]
async fn nodes_of_different_clusters_do_not_meet() {
    let home = Home::new();
    let a = home.node(Functions::none()).start().await.unwrap();
    let b = home.node(Functions::none()).cluster("other").start().await.unwrap();
    let refused = within("a refusal", b.connect(a.addresses()[0].clone())).await;
    assert!(matches!(refused, Err(JoinError::WrongCluster { .. })), "{refused:?}");
    assert_eq!((a.peers(), b.peers()), (vec![], vec![]));
    // Those of one cluster do meanwhile.
    let c = home.node(Functions::none()).start().await.unwrap();
    members(&a, 2).await;
    assert_eq!((c.members().len(), b.members().len()), (2, 1));
}

#[tokio::test]
async fn whatever_a_stranger_sends_to_its_port_a_node_goes_on() {
    let home = Home::new();
    let (a, _) = home.server().await;
    let port = port_of(&a);
    let mut silent: Vec<_> = (0..20).map(|_| TcpStream::connect(port).unwrap()).collect();
    let negotiation = b"\x13/multistream/1.0.0\n";
    let rubbish: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0; 70_000],
        &[255; 70_000],
        // Half a frame of the negotiation, the whole, and a huge length after it.
        &negotiation[..9],
        negotiation,
        b"\x13/multistream/1.0.0\n\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff",
        b"\x13/multistream/1.0.0\n\x07/noise\n\x00\x20abcdefghijklmnopqrstuvwxyzabcdef",
    ];
    for bytes in rubbish {
        let mut stream = TcpStream::connect(port).unwrap();
        // It may have been closed before all is written.
        let _ = stream.write_all(bytes);
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let _ = stream.read(&mut [0; 100]);
        silent.push(stream);
    }
    for stream in silent.iter().take(10) {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let b = home.caller().await;
    assert_eq!(b.call::<square>(5).on(&a).await, Ok(25));
    assert_eq!(a.peers().len(), 1, "no stranger is a peer");
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_of_its_own() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = Node::builder().listen(address.clone()).start().await.unwrap_err();
    assert!(matches!(&failed, BuildError::AddressInUse { address: found } if *found == address), "{failed:?}");
    // Another node is no better a neighbour.
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    let failed = Node::builder().listen(port_of(&node).to_string()).start().await.unwrap_err();
    assert!(matches!(failed, BuildError::AddressInUse { .. }), "{failed:?}");
}

#[tokio::test]
async fn a_second_process_with_the_same_identity_is_not_started() {
    let home = Home::new();
    let first = home.node(Functions::none()).identity([9; 32]).start().await.unwrap();
    let failed = home.node(Functions::none()).identity([9; 32]).start().await.unwrap_err();
    assert!(matches!(failed, BuildError::IdentityInUse { node } if node == first.id()), "{failed:?}");
    let id = first.id();
    first.leave().await.unwrap();
    let again = home.node(Functions::none()).identity([9; 32]).start().await.unwrap();
    assert_eq!(again.id(), id);
}

#[tokio::test]
async fn a_second_process_with_a_linked_identity_is_refused_and_told_of() {
    let a = apart(Functions::none()).start().await.unwrap();
    let mut events = a.events();
    let first = apart(Functions::none().with::<square>()).identity([9; 32]).join(a.addresses()[0].clone());
    let first = first.start().await.unwrap();
    members(&a, 2).await;
    let second = apart(Functions::none()).identity([9; 32]).start().await.unwrap();
    let refused = within("a refusal", second.connect(a.addresses()[0].clone())).await;
    assert!(matches!(&refused, Err(JoinError::Refused { reason, .. }) if reason.contains("identity")), "{refused:?}");
    let (_, before) = event(&mut events, "duplicate_identity", first.id()).await;
    assert_eq!(before, [("joined", first.id())]);
    assert_eq!(a.call::<square>(2).on(&first).await, Ok(4), "the first is still linked");
}

#[tokio::test]
async fn a_node_that_others_can_reach_needs_a_key() {
    for address in ["0.0.0.0:0", "/ip4/0.0.0.0/tcp/0", "[::]:0"] {
        let failed = Node::local().runtime_dir(Home::new().path()).listen(address).start().await.unwrap_err();
        assert!(matches!(failed, BuildError::KeyRequired { .. }), "{failed:?}");
    }
    let key = ClusterKey::generate().unwrap();
    Node::builder().listen("0.0.0.0:0").key(key).start().await.unwrap();
    Node::builder().listen("0.0.0.0:0").open_to_anyone().start().await.unwrap();
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_told_apart() {
    let a = apart(Functions::none()).start().await.unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let connect = |address: String| within("an answer", a.connect(address));
    assert!(matches!(connect("nonsense".into()).await, Err(JoinError::BadAddress { .. })));
    assert!(matches!(connect("/ip4/1.2.3".into()).await, Err(JoinError::BadAddress { .. })));
    assert!(matches!(connect(nobody).await, Err(JoinError::Unreachable { .. })));
    assert!(matches!(connect(port_of(&a).to_string()).await, Err(JoinError::Myself { .. })));
    assert!(matches!(connect(a.addresses()[0].to_string()).await, Err(JoinError::Myself { .. })));
    // Somebody else answers where a certain node is expected.
    let b = apart(Functions::none()).start().await.unwrap();
    let wrong = b.addresses()[0].to_string().replace(&b.id().to_string(), &a.id().to_string());
    assert!(connect(wrong).await.is_err());
    let gone = a.clone();
    a.leave().await.unwrap();
    assert_eq!(gone.connect(b.addresses()[0].clone()).await.unwrap_err(), JoinError::Left);
    assert_eq!(within("it has left", gone.wait_for(2)).await.unwrap_err(), JoinError::Left);
    assert_eq!(gone.clone().leave().await, Ok(()), "leaving twice is harmless");
}

#[tokio::test]
async fn a_node_whose_last_handle_is_dropped_fails_once_and_can_come_back() {
    let home = Home::new();
    let a = home.caller().await;
    let mut events = a.events();
    let start = || home.node(Functions::none().with::<here>()).identity([3; 32]).start();
    let b = start().await.unwrap();
    let (id, incarnation) = (b.id(), b.members()[0].incarnation);
    event(&mut events, "joined", id).await;
    let copy = b.clone();
    drop(b);
    assert_eq!(a.call::<here>(()).on(&copy).await, Ok((id, a.id())), "a clone keeps it alive");
    drop(copy);
    let (failed, before) = event(&mut events, "failed", id).await;
    assert_eq!(before, [("suspected", id)]);
    assert!(failed.reason.is_some_and(|reason| reason.contains("link broke")));
    assert_eq!((status(&a, id), a.members().len()), (Some(Status::Failed), 1));
    let again = start().await.unwrap();
    assert_eq!(again.id(), id);
    let (peer, before) = event(&mut events, "recovered", id).await;
    assert_eq!(before, [], "it has failed once, and not joined anew");
    assert!(peer.incarnation > incarnation);
    assert_eq!(a.call::<here>(()).on(id).await, Ok((id, a.id())));
    // Who has left comes back in the same way.
    again.leave().await.unwrap();
    event(&mut events, "left", id).await;
    let _third = start().await.unwrap();
    let (_, before) = event(&mut events, "recovered", id).await;
    assert_eq!(before, []);
}

#[tokio::test]
async fn a_large_call_right_after_the_start_arrives() {
    for _ in 0..10 {
        let a = apart(Functions::none().with::<length>()).start().await.unwrap();
        let b = apart(Functions::none()).start().await.unwrap();
        within("a link", b.connect(a.addresses()[0].clone())).await.unwrap();
        let text = "x".repeat(1 << 20);
        assert_eq!(within("an answer", b.call::<length>(text)).await, Ok(1 << 20));
    }
}
