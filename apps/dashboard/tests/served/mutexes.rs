//! Mutexes: who has them, and one that a request holds.

use guthi::Fence;
use guthi_tests::cluster::{eventually_async, within};
use serde_json::{Value, json};

use crate::kit::{Answer, Ask, Lines, Served};

const HOLDERS_MAX: usize = 256;

fn lock(served: &Served, path: &str, order: &Value) -> Ask {
    served.ask("POST", &format!("/api/v1/mutexes/{path}/lock")).bearer(served.token()).body(order)
}

fn mutex(served: &Served, name: &str) -> Value {
    let answer = served.get("/api/v1/mutexes").json();
    let items = answer["items"].as_array().expect("a list");
    items.iter().find(|item| item["name"] == name).cloned().unwrap_or_default()
}

async fn waiting(served: &Served, name: &str, count: u64) {
    eventually_async("they wait", async || mutex(served, name)["waiting"].as_u64().unwrap_or(0) == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutex_is_held_for_as_long_as_its_request() {
    let served = Served::new().await;
    let before = within("the mutex", served.node.mutex("canvas/top left").lock()).await.unwrap().fence();
    let mut holding = Lines::begin(&lock(&served, "canvas%2Ftop%20left", &json!({})));
    let granted = holding.line().unwrap()["granted"].take();
    let fence: Fence = granted["fence"].as_str().unwrap().parse().unwrap();
    assert!(fence > before && granted["previous_holder_died"] == false, "{granted}");
    assert_eq!(holding.line(), Some(json!({ "held": true })), "it is said again and again");

    let id = served.node.id().to_string();
    let row = mutex(&served, "canvas/top left");
    let at = json!({ "node": id, "name": served.node.name() });
    assert_eq!((&row["token"], &row["waiters"], &row["waiting"]), (&at, &json!([]), &json!(0)));
    let holder = &row["holder"];
    assert_eq!((&holder["node"], &holder["name"]), (&json!(id), &json!(served.node.name())));
    assert_eq!(holder["fence"], granted["fence"]);
    assert!(holder["held_ms"].is_u64() && holder["since"].is_string(), "{row}");
    // A `/` that is not encoded parts the path.
    lock(&served, "canvas/top%20left", &json!({})).send().is_error(404, "not_found");

    lock(&served, "canvas%2Ftop%20left", &json!({ "try": true })).send().is_error(409, "busy");
    lock(&served, "canvas%2Ftop%20left", &json!({ "wait_ms": 50 })).send().is_error(409, "timeout");
    drop(holding);
    let next = within("the next one", served.node.mutex("canvas/top left").lock()).await.unwrap();
    assert!(next.fence() > fence && !next.previous_holder_died());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_waits_no_longer() {
    let served = Served::new().await;
    let beside = served.beside(guthi::Functions::none()).await;
    let guard = within("the mutex", beside.mutex("m").lock()).await.unwrap();
    for order in [json!({}), json!({ "wait_ms": 60_000 })] {
        let waits = lock(&served, "m", &order).begin();
        waiting(&served, "m", 1).await;
        let row = mutex(&served, "m");
        assert_eq!(row["holder"]["node"], beside.id().to_string());
        assert_eq!(
            row["waiters"][0],
            json!({ "node": served.node.id().to_string(), "name": served.node.name(), "count": 1 })
        );
        drop(waits);
        waiting(&served, "m", 0).await;
    }
    drop(guard);
    let mut holding = Lines::begin(&lock(&served, "m", &json!({ "wait_ms": 60_000 })));
    assert!(holding.line().unwrap()["granted"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_lost_is_told() {
    let served = Served::new().await;
    let mut holding = Lines::begin(&lock(&served, "m", &json!({ "try": true })));
    assert!(holding.line().unwrap()["granted"].is_object());
    let waits = lock(&served, "m", &json!({})).begin();
    waiting(&served, "m", 1).await;
    within("the end", served.node.clone().leave()).await.unwrap();
    let mut last = Value::Null;
    while let Some(line) = holding.line() {
        last = line;
    }
    assert_eq!(last, json!({ "lost": true }));
    Answer::read(waits).is_error(410, "left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_locked_is_refused() {
    let served = Served::new().await;
    lock(&served, "a%0Ab", &json!({})).send().is_error(400, "bad_name");
    lock(&served, &"x".repeat(256), &json!({})).send().is_error(400, "bad_name");
    lock(&served, "m", &json!({ "try": true, "wait_ms": 5 })).send().is_error(400, "bad_request");
    lock(&served, "m", &json!({ "wait_ms": 0 })).send().is_error(400, "bad_request");
    lock(&served, "m", &json!({ "wait_ms": 86_400_001 })).send().is_error(400, "bad_request");
    lock(&served, "m", &json!({ "wait": 5 })).send().is_error(400, "bad_request");
    served.ask("GET", "/api/v1/mutexes").send().is_error(401, "unauthorized");
    served.ask("POST", "/api/v1/mutexes/m/lock").send().is_error(401, "unauthorized");
    let by_cookie = |origin: &str| {
        served.ask("POST", "/api/v1/mutexes/m/lock").header("Cookie", &served.cookie()).header("Origin", origin)
    };
    by_cookie("").send().is_error(403, "origin_not_allowed");
    by_cookie("http://evil.example").send().is_error(403, "origin_not_allowed");
    assert_eq!(mutex(&served, "m"), Value::Null, "nobody has locked it");
    assert!(Lines::begin(&by_cookie(&served.origin())).line().unwrap()["granted"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_hold_or_wait_are_bounded_and_leave_room_for_others() {
    let served = Served::new().await;
    let mut holding = Lines::begin(&lock(&served, "m", &json!({})));
    assert!(holding.line().unwrap()["granted"].is_object());
    let waiters: Vec<_> = (1..HOLDERS_MAX).map(|_| lock(&served, "m", &json!({})).begin()).collect();
    waiting(&served, "m", HOLDERS_MAX as u64 - 1).await;
    lock(&served, "other", &json!({})).send().is_error(429, "too_many_requests");
    assert!(served.get("/metrics").text().contains("guthi_dashboard_mutex_requests 256\n"));
    drop(waiters);
    waiting(&served, "m", 0).await;
    assert!(Lines::begin(&lock(&served, "other", &json!({}))).line().unwrap()["granted"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn mutexes_are_told_as_they_change_to_those_who_look() {
    let served = Served::new().await;
    let mut socket = served.socket();
    socket.say(&json!({ "subscribe": ["mutexes"] }));
    let first = socket.hear_of("mutexes", |_| true);
    assert_eq!(first["snapshot"], json!({ "items": [], "unanswered": [], "more": false }));
    let guard = within("the mutex", served.node.mutex("<b>m</b>").lock()).await.unwrap();
    let held = socket.hear_of("mutexes", |message| message["delta"]["put"][0]["holder"].is_object());
    let row = &held["delta"]["put"][0];
    assert_eq!((&row["name"], &row["holder"]["fence"]), (&json!("<b>m</b>"), &json!(guard.fence())));
    assert!(row["holder"]["since"].is_string() && row["holder"].get("held_ms").is_none(), "{row}");
    let waits = tokio::spawn({
        let mutex = served.node.mutex("<b>m</b>");
        async move { mutex.lock().await.map(drop) }
    });
    let waited = socket.hear_of("mutexes", |message| message["delta"]["put"][0]["waiting"] == 1);
    assert_eq!(waited["delta"]["put"][0]["holder"], row["holder"], "a guard that is held on is told as it was");
    drop(guard);
    waits.await.unwrap().unwrap();
    socket.hear_of("mutexes", |message| {
        let delta = &message["delta"];
        delta["put"][0]["holder"].is_null() && delta["put"][0].is_object() || delta["drop"][0] == "<b>m</b>"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_read_by_what_names_begin_with() {
    let served = Served::new().await;
    let names = ["deploy/a", "deploy/b", "other"];
    let mutexes: Vec<_> = names.iter().map(|name| served.node.mutex(*name)).collect();
    let mut guards = Vec::new();
    for mutex in &mutexes {
        guards.push(within("the mutex", mutex.lock()).await.unwrap());
    }
    let first = served.get("/api/v1/mutexes?prefix=deploy/&limit=1").json();
    assert_eq!(
        (&first["items"][0]["name"], &first["unanswered"], &first["more"]),
        (&json!("deploy/a"), &json!([]), &json!(false))
    );
    let next = first["next"].as_str().unwrap();
    let rest = served.get(&format!("/api/v1/mutexes?prefix=deploy/&limit=1&after={next}")).json();
    assert_eq!((&rest["items"][0]["name"], &rest["next"]), (&json!("deploy/b"), &Value::Null));
    drop(guards);
    let text = served.get("/metrics").text();
    for line in [
        "guthi_mutex_grants_total 3\n",
        "# TYPE guthi_mutex_wait_seconds histogram\n",
        "guthi_mutex_wait_seconds_bucket{le=\"+Inf\"} 3\n",
        "guthi_mutex_hold_seconds_count 3\n",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}
