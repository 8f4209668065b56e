//! Where a page goes when its node ends.

use guthi::Functions;
use guthi_dashboard::Dashboard;
use serde_json::json;

use crate::kit::{Ask, Served};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_told_of_the_others_by_links_that_are_good_for_once() {
    let served = Served::new().await;
    let ben = served.home.node(Functions::none()).name("ben").start().await.unwrap();
    served.node.wait_for(2).await.unwrap();
    let other = Dashboard::serve(&ben, "127.0.0.1:0").await.unwrap();
    let mut socket = served.socket();
    let hello = std::iter::from_fn(|| socket.hear()).find(|hello| !hello["hello"]["others"][0].is_null()).unwrap();
    assert_eq!(hello["hello"]["cluster"], "test");
    let told = &hello["hello"]["others"][0];
    assert_eq!(told["name"], "ben");
    let url = told["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&format!("http://{}", other.address())).expect("it leads to the other one");
    assert_ne!(url, other.url());

    let mut socket = served.socket();
    std::iter::from_fn(|| socket.hear()).find(|hello| !hello["hello"]["others"][0].is_null()).unwrap();
    served.dashboard.close().await;
    let bye = socket.hear_of("bye", |_| true);
    assert_eq!(bye["snapshot"]["others"][0]["name"], "ben");

    let visit = || Ask::new(other.address(), "GET", path).send();
    assert!(visit().header("set-cookie").is_some());
    assert_eq!(visit().header("set-cookie"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_given_for_the_token_only() {
    let served = Served::new().await;
    let (cookie, origin) = (served.cookie(), served.origin());
    let ask = served.ask("POST", "/api/v1/invite").header("Cookie", &cookie).header("Origin", &origin);
    ask.send().is_error(401, "unauthorized");
    let url = served.post("/api/v1/invite", &json!({})).json()["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("{origin}/?t=")) && !url.contains(served.token()), "{url}");
}
