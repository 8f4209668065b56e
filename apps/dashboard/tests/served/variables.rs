//! Variables: read, written, brought elsewhere, and shown to those who look.

use guthi_tests::cluster::within;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::kit::{Answer, Ask, Served};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Limits {
    users: u64,
    names: Vec<String>,
    mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Mode {
    Open,
    Closed { since: i64 },
}

fn ask(served: &Served, method: &str, path: &str) -> Ask {
    served.ask(method, &format!("/api/v1/variables/{path}")).bearer(served.token())
}

fn put(served: &Served, path: &str, body: &Value) -> Answer {
    ask(served, "PUT", path).body(body).send()
}

fn value(served: &Served, path: &str) -> Value {
    ask(served, "GET", path).send().json()["value"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_is_created_read_changed_and_deleted() {
    let served = Served::new().await;
    ask(&served, "GET", "site%2Flimit").send().is_error(404, "not_found");
    let created = put(&served, "site%2Flimit", &json!({ "value": 20 }));
    assert_eq!((created.status, &created.json()["created"]), (200, &json!(true)));
    let read = ask(&served, "GET", "site%2Flimit").send();
    let row = read.json();
    assert_eq!((&row["name"], &row["value"], &row["shape"]), (&json!("site/limit"), &json!(20), &json!("i64")));
    assert_eq!(read.header("etag"), Some(&*format!("\"{}\"", row["version"].as_str().unwrap())));
    assert_eq!(read.header("etag"), created.header("etag"));
    // Programs see the same.
    let variable = within("it", served.node.variable("site/limit", 0_i64)).await.unwrap();
    assert_eq!(within("it", variable.get()).await.unwrap(), 20);

    assert_eq!(put(&served, "site%2Flimit", &json!({ "value": -3 })).json()["created"], false);
    let added = served.post("/api/v1/variables/site%2Flimit/add", &json!({ "delta": 8 })).json();
    assert_eq!(added["value"], 5);
    put(&served, "site%2Flimit", &json!({ "value": "5" })).is_error(400, "bad_value");
    put(&served, "site%2Flimit", &json!({ "value": 5, "type": "u64" })).is_error(409, "other_type");
    put(&served, "site%2Flimit", &json!({})).is_error(400, "bad_request");
    put(&served, "new", &json!({ "value": [1] })).is_error(400, "bad_request");
    put(&served, "a%0Ab", &json!({ "value": 1 })).is_error(400, "bad_name");
    served.post("/api/v1/variables/none/add", &json!({ "delta": 1 })).is_error(404, "not_found");
    assert_eq!(value(&served, "site%2Flimit"), 5);

    assert_eq!(served.post("/api/v1/variables/site%2Flimit/reset", &json!({})).json()["reset"], true);
    assert_eq!(value(&served, "site%2Flimit"), 5, "it was not lost");
    assert_eq!(ask(&served, "DELETE", "site%2Flimit").send().json()["deleted"], true);
    ask(&served, "DELETE", "site%2Flimit").send().is_error(404, "not_found");
    ask(&served, "GET", "site%2Flimit").send().is_error(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_read_an_old_version_is_told() {
    let served = Served::new().await;
    let with = |name: &str, condition: &str, value: i32| {
        ask(&served, "PUT", "v").header(name, condition).body(&json!({ "value": value })).send()
    };
    with("If-Match", "*", 1).is_error(404, "not_found");
    let first = with("If-None-Match", "*", 1).header("etag").unwrap().to_owned();
    with("If-None-Match", "*", 2).is_error(412, "conflict");
    let second = with("If-Match", &first, 3);
    assert_ne!(second.header("etag"), Some(&*first));
    with("If-Match", &first, 4).is_error(412, "conflict");
    with("If-Match", "\"x\"", 4).is_error(400, "bad_request");
    assert_eq!(with("If-Match", "*", 5).status, 200);
    assert_eq!(value(&served, "v"), 5);
    ask(&served, "DELETE", "v").header("If-Match", &first).send().is_error(400, "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_exact_and_sums_that_do_not_fit_are_refused() {
    let served = Served::new().await;
    for (name, of_type, number) in
        [("a", "u64", json!(u64::MAX)), ("b", "i64", json!(i64::MIN)), ("c", "u128", json!(u128::MAX.to_string()))]
    {
        assert_eq!(put(&served, name, &json!({ "value": number, "type": of_type })).status, 200);
        assert_eq!(value(&served, name), number);
    }
    served.post("/api/v1/variables/a/add", &json!({ "delta": 1 })).is_error(422, "overflow");
    served.post("/api/v1/variables/c/add", &json!({ "delta": 1 })).is_error(409, "other_type");
    put(&served, "d", &json!({ "value": 256, "type": "u8" })).is_error(400, "bad_value");
    assert_eq!(put(&served, "d", &json!({ "value": null, "type": "json" })).status, 200);
    assert_eq!(value(&served, "d"), Value::Null);
    assert_eq!(put(&served, "d", &json!({ "value": { "a": [1, "<b>"] } })).status, 200);
    assert_eq!(value(&served, "d"), json!({ "a": [1, "<b>"] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn types_of_other_programs_are_shown_and_changed() {
    let served = Served::new().await;
    let beside = served.beside(guthi::Functions::none()).await;
    let limits = Limits { users: u64::MAX, names: vec!["ü".into()], mode: Mode::Closed { since: -1 } };
    let variable = within("it", beside.variable("limits", limits.clone())).await.unwrap();
    let shown = json!({ "users": u64::MAX, "names": ["ü"], "mode": { "Closed": { "since": -1 } } });
    guthi_tests::cluster::eventually_async("the type is known", async || value(&served, "limits") == shown).await;
    let changed = json!({ "users": 1, "names": [], "mode": "Open" });
    assert_eq!(put(&served, "limits", &json!({ "value": changed })).status, 200);
    let now = within("it", variable.get()).await.unwrap();
    assert_eq!(now, Limits { users: 1, names: Vec::new(), mode: Mode::Open });
    let refused = put(&served, "limits", &json!({ "value": { "users": 1, "names": [], "mode": "Ajar" } }));
    refused.is_error(400, "bad_value");
    assert!(refused.text().contains("mode: there is no variant"), "{}", refused.text());

    // What nobody has described is bytes.
    let raw = json!({ "base64": "AQID", "kind": "00000000000000ff" });
    assert_eq!(put(&served, "raw", &raw).status, 200);
    let row = ask(&served, "GET", "raw").send().json();
    assert_eq!((&row["base64"], &row["shape"], row.get("value")), (&json!("AQID"), &Value::Null, None));
    put(&served, "raw", &json!({ "value": 1 })).is_error(422, "unknown_type");
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_brought_elsewhere_line_by_line() {
    let (served, other) = (Served::new().await, Served::new().await);
    let limits = Limits { users: 7, names: Vec::new(), mode: Mode::Open };
    within("it", served.node.variable("a/limits", limits.clone())).await.unwrap();
    put(&served, "a%2Fnumber", &json!({ "value": 5 }));
    put(&served, "b", &json!({ "value": "text" }));
    let exported = served.get("/api/v1/export/variables?prefix=a/");
    assert_eq!(exported.header("guthi-variables"), Some("2"));
    let text = exported.text();
    assert_eq!(text.lines().count(), 2, "{text}");

    let import = |query: &str, lines: &str| {
        let ask = other.ask("POST", &format!("/api/v1/import/variables{query}")).bearer(other.token());
        ask.raw(lines.as_bytes()).send()
    };
    assert_eq!(import("", &text).json(), json!({ "imported": 2, "kept": 0, "failed": [] }));
    let variable = within("it", other.node.variable("a/limits", Limits { users: 0, ..limits.clone() })).await.unwrap();
    assert_eq!(within("it", variable.get()).await.unwrap(), limits);
    let again = import("?keep=true", &text.replace("\"value\":5", "\"value\":6")).json();
    assert_eq!(again, json!({ "imported": 0, "kept": 2, "failed": [] }));
    assert_eq!(value(&other, "a%2Fnumber"), 5);
    let partly = import("", "{\"name\":\"c\",\"value\":1}\n\n{\"name\":\"a/number\",\"value\":\"x\"}\n").json();
    assert_eq!((&partly["imported"], &partly["failed"][0]["error"]["code"]), (&json!(1), &json!("bad_value")));
    import("", "[]").is_error(400, "bad_request");
    import("", "{\"name\":1}").is_error(400, "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_listed_and_told_to_those_who_look() {
    let served = Served::new().await;
    for name in ["%3Cb%3Ex%3C%2Fb%3E", "site%2Fhits", "site%2Flimit"] {
        put(&served, name, &json!({ "value": 1 }));
    }
    let first = served.get("/api/v1/variables?prefix=site/&limit=1").json();
    let row = &first["items"][0];
    assert_eq!((&row["name"], &row["value"], &row["bytes"]), (&json!("site/hits"), &json!(1), &json!(1)));
    assert_eq!(row["homes"][0], json!({ "node": served.node.id().to_string(), "name": served.node.name() }));
    let next = first["next"].as_str().unwrap();
    let rest = served.get(&format!("/api/v1/variables?prefix=site/&limit=1&after={next}")).json();
    assert_eq!((&rest["items"][0]["name"], &rest["next"]), (&json!("site/limit"), &Value::Null));
    assert_eq!(served.get("/api/v1/variables?contains=x").json()["items"][0]["name"], "<b>x</b>");

    let mut socket = served.socket();
    socket.say(&json!({ "subscribe": ["variables"] }));
    let all = socket.hear_of("variables", |_| true);
    assert_eq!(all["snapshot"]["items"].as_array().map(Vec::len), Some(3), "{all}");
    put(&served, "site%2Fhits", &json!({ "value": 2 }));
    let changed = socket.hear_of("variables", |message| message["delta"]["put"][0].is_object());
    assert_eq!(changed["delta"]["put"][0]["value"], 2, "{changed}");
    ask(&served, "DELETE", "site%2Fhits").send();
    socket.hear_of("variables", |message| message["delta"]["drop"][0] == "site/hits");
}

/// How often all members were asked for their variables.
fn asked(served: &Served) -> u64 {
    let text = served.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("guthi_dashboard_variables_asked_total "));
    line.and_then(|number| number.parse().ok()).expect("a number")
}

/// A row that a message of a topic puts.
fn row<'a>(told: &'a Value, name: &str) -> Option<&'a Value> {
    let rows = told["delta"]["put"].as_array().or_else(|| told["snapshot"]["items"].as_array())?;
    rows.iter().find(|row| row["name"] == name)
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_told_as_they_change_and_nobody_is_asked_for_that() {
    const CHANGES: u64 = 40;
    let served = Served::new().await;
    let beside = served.beside(guthi::Functions::none()).await;
    let hits = within("it", beside.variable("site/hits", 0_u64)).await.unwrap();
    let mut socket = served.socket();
    socket.say(&json!({ "subscribe": ["variables"] }));
    socket.hear_of("variables", |told| row(told, "site/hits").is_some());
    let before = asked(&served);
    for number in 1..=CHANGES {
        within("it", hits.set(number)).await.unwrap();
        let told = socket.hear_of("variables", |told| row(told, "site/hits").is_some_and(|it| it["value"] == number));
        let row = row(&told, "site/hits").unwrap();
        assert_eq!(row["homes"].as_array().map(Vec::len), Some(2), "who keeps it is still told: {row}");
    }
    // If each came by a list, there would have been one for each.
    let lists = asked(&served) - before;
    assert!(lists < CHANGES / 2, "{lists} lists for {CHANGES} changes");
    within("it", hits.delete()).await.unwrap();
    socket.hear_of("variables", |told| told["delta"]["drop"] == json!(["site/hits"]));
    within("it", beside.variable("site/new", 5_u64)).await.unwrap();
    let told = socket.hear_of("variables", |told| row(told, "site/new").is_some());
    assert_eq!(row(&told, "site/new").unwrap()["homes"].as_array().map(Vec::len), Some(2), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_tells_those_that_begin_so() {
    let served = Served::new().await;
    for name in ["a%3Ab%2F1", "other"] {
        put(&served, name, &json!({ "value": 1 }));
    }
    let mut socket = served.socket();
    socket.say(&json!({ "subscribe": ["variables:a:b/"] }));
    let all = socket.hear_of("variables:a:b/", |_| true);
    assert_eq!(all["snapshot"]["items"].as_array().map(Vec::len), Some(1), "{all}");
    assert!(row(&all, "a:b/1").is_some());
    put(&served, "other", &json!({ "value": 2 }));
    put(&served, "a%3Ab%2F1", &json!({ "value": 2 }));
    let changed = socket.hear_of("variables:a:b/", |told| told["delta"]["put"][0].is_object());
    assert_eq!(changed["delta"]["put"].as_array().map(Vec::len), Some(1), "{changed}");
    assert_eq!(row(&changed, "a:b/1").unwrap()["value"], 2);
    for prefix in ["x".repeat(256), "a\n".to_owned()] {
        let topic = format!("variables:{prefix}");
        socket.say(&json!({ "subscribe": [topic] }));
        let refused = socket.hear_of(&topic, |_| true);
        assert_eq!(refused["error"]["code"], "bad_prefix", "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_too_much_is_watched_already_it_is_looked_instead() {
    const FOLLOWED_MAX: usize = 256;
    let served = Served::new().await;
    put(&served, "v", &json!({ "value": 1 }));
    let watching: Vec<_> = (0..FOLLOWED_MAX).map(|n| served.node.watch_raw(format!("p{n}")).unwrap()).collect();
    served.get("/api/v1/changes/variables?prefix=v").is_error(429, "too_many_requests");
    let mut socket = served.socket();
    socket.say(&json!({ "subscribe": ["variables"] }));
    socket.hear_of("variables", |told| row(told, "v").is_some());
    for number in 2..4 {
        put(&served, "v", &json!({ "value": number }));
        socket.hear_of("variables", |told| row(told, "v").is_some_and(|it| it["value"] == number));
    }
    drop(watching);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_let_in() {
    let served = Served::new().await;
    for (method, path) in [
        ("GET", "/api/v1/variables"),
        ("GET", "/api/v1/variables/v"),
        ("PUT", "/api/v1/variables/v"),
        ("DELETE", "/api/v1/variables/v"),
        ("POST", "/api/v1/variables/v/add"),
        ("POST", "/api/v1/variables/v/reset"),
        ("GET", "/api/v1/export/variables"),
        ("POST", "/api/v1/import/variables"),
    ] {
        served.ask(method, path).send().is_error(401, "unauthorized");
        if method != "GET" {
            let by_cookie = served.ask(method, path).header("Cookie", &served.cookie());
            by_cookie.header("Origin", "http://evil.example").send().is_error(403, "origin_not_allowed");
        }
    }
    served.get("/api/v1/variables/v").is_error(404, "not_found");
}
