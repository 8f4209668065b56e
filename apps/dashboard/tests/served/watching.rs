//! Changes of variables, line by line, for as long as somebody reads them.

use guthi_tests::cluster::{eventually_async, within};
use serde_json::json;

use crate::kit::{Ask, Lines, Served};

const WATCHERS_MAX: usize = 256;

fn changes(served: &Served, prefix: &str) -> Ask {
    served.ask("GET", &format!("/api/v1/changes/variables?prefix={prefix}")).bearer(served.token())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_begin_so_are_told_and_then_what_becomes_of_them() {
    let served = Served::new().await;
    let beside = served.beside(guthi::Functions::none()).await;
    let here = within("it", served.node.variable("board/a", 1_u64)).await.unwrap();
    within("it", served.node.variable("other", 1_u64)).await.unwrap();
    let mut lines = Lines::begin(&changes(&served, "board/"));
    let told = lines.news();
    assert_eq!((&told["change"], &told["skipped"]), (&json!("set"), &json!(0)));
    let row = &told["variable"];
    assert_eq!((&row["name"], &row["value"], &row["shape"]), (&json!("board/a"), &json!(1), &json!("u64")));
    assert_eq!(lines.news(), json!({ "change": "listed" }));

    within("it", here.set(2)).await.unwrap();
    assert_eq!(lines.news()["variable"]["value"], 2);
    within("it", beside.variable("board/b", "text".to_owned())).await.unwrap();
    assert_eq!(lines.news()["variable"]["value"], "text");
    within("it", beside.variable("elsewhere", 1_u64)).await.unwrap();
    within("it", here.delete()).await.unwrap();
    assert_eq!(lines.news(), json!({ "change": "deleted", "name": "board/a" }), "nobody has asked for the other one");
    within("the end", served.node.clone().leave()).await.unwrap();
    while lines.line().is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_hears_that_nothing_is_new() {
    let served = Served::new().await;
    let mut lines = Lines::begin(&changes(&served, "board/"));
    assert_eq!(lines.line(), Some(json!({ "change": "listed" })));
    assert_eq!(lines.line(), Some(json!({ "watched": true })));
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_watch_are_bounded_and_what_no_name_begins_with_is_refused() {
    let served = Served::new().await;
    changes(&served, &"x".repeat(256)).send().is_error(400, "bad_prefix");
    changes(&served, "a%0A").send().is_error(400, "bad_prefix");
    served.ask("GET", "/api/v1/changes/variables").send().is_error(401, "unauthorized");
    let paths = ["/changes/variables?prefix=a", "/variables/a/changes", "/topics/a/messages"];
    let ask = |path: &str| served.ask("GET", &format!("/api/v1{path}")).bearer(served.token());
    let watching: Vec<_> = (0..WATCHERS_MAX).map(|n| Lines::granted(&ask(paths[n % 3]))).collect();
    for path in paths {
        ask(path).send().is_error(429, "too_many_requests");
    }
    drop(watching);
    eventually_async("there is room", async || Lines::begin(&changes(&served, "a")).status() == 200).await;
}
