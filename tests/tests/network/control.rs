//! How programs of this machine find out which nodes there are, and tickets.

use std::os::unix::fs::PermissionsExt;

use guthi::{BuildError, Builder, Control, Functions, JoinError, Node, Ticket};
use guthi_tests::{
    cluster::{HANG, Home, members, within},
    functions::square,
};

#[tokio::test]
async fn the_nodes_of_this_machine_are_found_with_their_control_and_without() {
    let home = Home::new();
    assert_eq!(guthi::local_nodes(Some(&home.path())).unwrap(), [], "there is no directory yet");
    let a = home.caller().await;
    let b = home.node(Functions::none()).cluster("other / one").name("ben").start().await.unwrap();
    let control = Control { url: "http://127.0.0.1:7969".into(), token: "secret".into() };
    a.set_control(Some(&control)).unwrap();
    let found = guthi::local_nodes(Some(&home.path())).unwrap();
    let seen: Vec<_> = found.iter().map(|node| (node.id, node.cluster.as_str(), node.control.clone())).collect();
    assert_eq!(seen, [(a.id(), "test", Some(control.clone())), (b.id(), "other / one", None)]);
    assert_eq!((found[1].name.as_str(), found[1].pid), ("ben", std::process::id()));
    assert!(!format!("{found:?}").contains("secret"));
    let file = home.path().join("c-test").join(format!("{}.control", a.id()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    a.set_control(None).unwrap();
    assert!(!file.exists());
    a.set_control(Some(&control)).unwrap();
    a.leave().await.unwrap();
    assert!(!file.exists(), "it goes with the node");
    assert_eq!(guthi::local_nodes(Some(&home.path())).unwrap().len(), 1);
}

#[tokio::test]
async fn the_control_of_a_dead_node_is_deleted_with_its_file() {
    let home = Home::new();
    let node = home.caller().await;
    let folder = home.path().join("c-test");
    // As a process that was killed leaves them.
    std::fs::write(folder.join("dead.json"), "{}").unwrap();
    std::fs::write(folder.join("dead.control"), "{}").unwrap();
    let found = guthi::local_nodes(Some(&home.path())).unwrap();
    assert_eq!(found.iter().map(|node| node.id).collect::<Vec<_>>(), [node.id()]);
    assert!(!folder.join("dead.json").exists() && !folder.join("dead.control").exists());
}

#[tokio::test]
async fn a_directory_that_others_could_write_to_tells_nothing() {
    let home = Home::new();
    let _node = home.caller().await;
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let told = guthi::local_nodes(Some(&home.path()));
    assert!(matches!(told, Err(BuildError::RuntimeDirectory { .. })), "{told:?}");
}

#[tokio::test]
async fn a_ticket_is_all_that_is_needed_to_join() {
    let key = guthi::ClusterKey::generate().unwrap();
    let apart = || Node::builder().listen("127.0.0.1:0").patience(HANG);
    let functions = Functions::none().with::<square>();
    let a = apart().cluster("studio").key(key.clone()).functions(functions).start().await.unwrap();
    let ticket: Ticket = a.ticket().with_key(&key).to_string().parse().unwrap();
    let b = apart().ticket(&ticket).functions(Functions::none()).start().await.unwrap();
    members(&b, 2).await;
    assert_eq!(within("the call", b.call::<square>(3)).await, Ok(9));
    // Wherever an address is asked for.
    let c: Builder = apart().cluster("studio").key(key).functions(Functions::none());
    let c = c.start().await.unwrap();
    assert_eq!(c.connect(a.ticket().to_string()).await.unwrap().id, a.id());
    let bad = c.connect("guthi1nodeabc").await;
    assert!(matches!(bad, Err(JoinError::BadAddress { .. })), "{bad:?}");
}
