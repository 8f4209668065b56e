//! The page in a real browser, on real nodes: what somebody who looks at a cluster does and sees.
//!
//! Without chromium they say so and skip; with `CI=true` that is a failure. `GUTHI_SCREENSHOTS=<folder>` keeps pictures of
//! every screen.

mod browser;
mod looks;
mod page;
mod strangers;

use std::time::Duration;

use browser::Browser;
use guthi::{Functions, Node};
use guthi_dashboard::Dashboard;
use guthi_tests::cluster::{HANG, Home};

/// A node of a home with a page.
pub(crate) struct Seen {
    pub(crate) node: Node,
    pub(crate) dashboard: Dashboard,
}

impl Seen {
    pub(crate) async fn in_home(home: &Home, name: &str) -> Self {
        Self::of(home.node(functions()).name(name)).await
    }

    /// One that nobody finds by itself.
    pub(crate) async fn apart(name: &str) -> Self {
        Self::of(Node::builder().listen("127.0.0.1:0").cluster("test").patience(HANG).functions(functions()).name(name))
            .await
    }

    async fn of(builder: guthi::Builder) -> Self {
        let state = guthi_tests::functions::Counters::default();
        let node = builder.state(state).start().await.expect("the node starts");
        let dashboard = Dashboard::serve(&node, "127.0.0.1:0").await.expect("it serves");
        Self { node, dashboard }
    }

    pub(crate) fn port(&self) -> u16 {
        let address = self.node.addresses()[0].to_string();
        address.split('/').nth(4).and_then(|port| port.parse().ok()).expect("it listens on a port")
    }
}

fn functions() -> Functions {
    guthi_tests::functions::all().with::<guthi_tests::functions::burns>()
}

/// Opens the page of a node as its owner does.
pub(crate) async fn open(browser: &Browser, seen: &Seen) {
    browser.open(seen.dashboard.url()).await;
    browser.until("[data-role=count]", |text| text.contains("alive")).await;
}

/// The page has nothing to complain of.
pub(crate) async fn calm(browser: &Browser) {
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

/// It complains of this alone. A browser notes each refusal of the server, also one that the page expects and deals with.
pub(crate) async fn calm_but(browser: &Browser, expected: &str) {
    let errors = browser.errors().await;
    assert!(matches!(&errors[..], [error] if error.contains(expected)), "{errors:?}");
}

/// What a detector needs at most to notice a kill on one machine, and a second for the page.
pub(crate) const NOTICED: Duration = Duration::from_secs(4);
