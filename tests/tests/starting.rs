//! Nodes that cannot be started, and why.

use std::{collections::BTreeSet, os::unix::fs::PermissionsExt};

use guthi::{BuildError, Builder, ClusterKey, Function, Functions, Node};
use guthi_tests::{cluster::Home, functions::square};

/// Its type asks the format what it is, which the wire format does not know.
#[guthi::function]
fn anything(value: serde_json::Value) -> bool {
    value.is_null()
}

/// Named like nothing that is marked here.
#[derive(Debug)]
struct Unmarked;

impl Function for Unmarked {
    type Arguments = ();
    type Output = ();
    const NAME: &'static str = "unmarked";
    const ONCE: bool = false;
}

async fn failure(builder: Builder) -> BuildError {
    builder.start().await.expect_err("it cannot be started")
}

fn quiet() -> Builder {
    Node::builder().functions(Functions::none())
}

#[test]
fn a_node_needs_a_runtime() {
    let failed = futures::executor::block_on(quiet().start()).unwrap_err();
    assert!(matches!(failed, BuildError::NoRuntime), "{failed:?}");
}

#[tokio::test]
async fn functions_of_one_name_are_not_two() {
    let failed = failure(quiet().functions(Functions::none().with::<square>().with::<square>())).await;
    assert!(matches!(&failed, BuildError::DuplicateFunction { name } if name == "square"), "{failed:?}");
}

#[tokio::test]
async fn a_function_that_is_not_in_the_program_cannot_be_chosen() {
    let failed = failure(quiet().functions(Functions::none().with::<Unmarked>())).await;
    assert!(matches!(&failed, BuildError::NotMarked { function } if function == "unmarked"), "{failed:?}");
}

#[tokio::test]
async fn a_type_that_cannot_travel_is_named_at_the_start() {
    for functions in [Functions::none().with::<anything>(), Functions::linked()] {
        let failed = failure(quiet().functions(functions)).await;
        let BuildError::UnsupportedType { function, type_name, hint } = failed else { panic!("{failed:?}") };
        assert_eq!(function, "anything");
        assert!(type_name.contains("Value") && !hint.is_empty(), "{type_name}: {hint}");
    }
}

#[tokio::test]
async fn names_are_checked() {
    let long = "n".repeat(256);
    for bad in ["", "a\nb", "\u{7f}", &long] {
        let failed = failure(quiet().name(bad)).await;
        assert!(matches!(failed, BuildError::BadName { what: "node", .. }), "{bad:?}: {failed:?}");
        let failed = failure(quiet().cluster(bad)).await;
        assert!(matches!(failed, BuildError::BadName { what: "cluster", .. }), "{bad:?}: {failed:?}");
    }
    quiet().name("n".repeat(255)).start().await.unwrap();
}

#[tokio::test]
async fn addresses_are_checked() {
    for bad in ["nonsense", "localhost:0", "127.0.0.1", "/ip4/1.2.3/tcp/1"] {
        let failed = failure(quiet().listen(bad)).await;
        assert!(matches!(failed, BuildError::BadAddress { .. }), "{bad}: {failed:?}");
    }
    let failed = failure(quiet().advertise("nonsense")).await;
    assert!(matches!(failed, BuildError::BadAddress { .. }), "{failed:?}");
    // Understood, but not an address of this machine.
    let failed = failure(quiet().open_to_anyone().listen("192.0.2.1:0")).await;
    assert!(matches!(failed, BuildError::Listen { .. }), "{failed:?}");
}

#[test]
fn texts_that_are_no_key_are_refused_and_not_repeated() {
    let text = ClusterKey::generate().unwrap().to_text();
    for bad in ["", "gk1", "password", &text[1..], &text[..text.len() - 1], &format!("{text}a")] {
        let failed = bad.parse::<ClusterKey>().unwrap_err();
        assert!(matches!(failed, BuildError::BadKey { .. }), "{failed:?}");
        assert!(bad.len() < 4 || !failed.to_string().contains(bad), "{failed}");
    }
}

#[tokio::test]
async fn a_node_that_has_too_much_to_tell_is_not_started() {
    let failed = failure(quiet().label("essay", "x".repeat(70_000))).await;
    assert!(matches!(failed, BuildError::TooMuchToTell { .. }), "{failed:?}");
}

#[tokio::test]
async fn a_runtime_directory_must_be_private_and_a_directory() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let open = home.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    for path in [file, open] {
        let failed = failure(quiet().runtime_dir(&path)).await;
        assert!(matches!(&failed, BuildError::RuntimeDirectory { path: named, .. } if *named == path), "{failed:?}");
    }
}

#[tokio::test]
async fn errors_say_what_to_do_next() {
    let failed = failure(quiet().listen("0.0.0.0:0")).await;
    let told = format!("{:?}", guthi::Error::from(failed));
    assert!(told.contains("needs a cluster key") && told.contains("next: "), "{told}");
}

#[tokio::test]
async fn names_that_nobody_chose_are_two_words() {
    let home = Home::new();
    let mut names = BTreeSet::new();
    for _ in 0..3 {
        let node = home.node(Functions::none()).start().await.unwrap();
        assert_eq!(node.name().split('-').count(), 2, "{}", node.name());
        names.insert(node.name().to_owned());
    }
    assert!(names.len() > 1, "{names:?}");
}
