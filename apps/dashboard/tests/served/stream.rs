//! The socket and its topics.

use std::time::Duration;

use guthi::Functions;
use guthi_tests::cluster::eventually;
use serde_json::{Value, json};

use crate::kit::Served;

fn asked(served: &Served) -> u64 {
    let text = served.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("guthi_dashboard_resources_asked_total "));
    line.and_then(|number| number.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_a_snapshot_and_numbered_deltas() {
    let served = Served::new().await;
    let mut socket = served.socket();
    let hello = socket.hear().unwrap();
    assert_eq!(hello["hello"]["self"]["id"], served.node.id().to_string());
    socket.say(&json!({ "subscribe": ["nodes", "view", "events"] }));
    let snapshot = socket.hear_of("nodes", |_| true);
    assert_eq!((&snapshot["seq"], snapshot["snapshot"]["items"].as_array().unwrap().len()), (&json!(0), 1));
    assert_eq!(socket.hear_of("view", |_| true)["snapshot"]["members"].as_array().unwrap().len(), 1);
    assert_eq!(socket.hear_of("events", |_| true)["snapshot"], json!({ "items": [] }));

    let ben = served.home.node(Functions::none()).name("ben").start().await.unwrap();
    let (mut told, mut numbers) = (Value::Null, Vec::new());
    while told["status"] != "alive" {
        let delta = socket.hear_of("nodes", |_| true);
        numbers.push(delta["seq"].as_u64().unwrap());
        told =
            delta["delta"]["put"].as_array().unwrap().iter().find(|row| row["name"] == "ben").cloned().unwrap_or(told);
    }
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let id = ben.id().to_string();
    ben.leave().await.unwrap();
    let is_gone = |delta: &Value| {
        delta["delta"]["put"].as_array().unwrap().iter().any(|row| row["id"] == id && row["status"] == "left")
    };
    let told = socket.hear_of("nodes", is_gone);
    let row = told["delta"]["put"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap().clone();
    assert!(row["rtt_ms"].is_null() && row["cpu"].is_null() && row["memory"].is_null(), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_views_and_functions_are_told_as_they_change() {
    let served = Served::new().await;
    let mut socket = served.socket();
    socket.say(&json!({ "subscribe": ["events"] }));
    socket.hear_of("events", |_| true);
    let ben = served.home.node(Functions::none()).name("ben").start().await.unwrap();
    let delta = socket.hear_of("events", |_| true);
    assert_eq!((&delta["seq"], &delta["delta"]["append"][0]["text"]), (&json!(1), &json!("ben has joined")));

    socket.say(&json!({ "unsubscribe": ["events"], "subscribe": ["view", "functions", "sees"] }));
    let functions = socket.hear_of("functions", |_| true)["snapshot"]["items"].as_array().unwrap().len();
    assert!(functions > 10);
    assert_eq!(socket.hear_of("sees", |_| true)["snapshot"]["rows"].as_array().unwrap().len(), 2);
    ben.leave().await.unwrap();
    let view =
        socket.hear_of("view", |view| view["delta"]["set"]["members"].as_array().is_some_and(|it| it.len() == 1));
    assert!(view["seq"].as_u64().unwrap() > 0);
    socket.hear_of("sees", |sees| sees["delta"]["set"]["rows"].as_array().is_some_and(|rows| rows.len() == 1));
    served.node.register("late", async |_, n: u64| Ok::<_, String>(n)).await.unwrap();
    let late = socket.hear_of("functions", |told| told["delta"].is_object());
    assert_eq!(late["delta"]["put"][0]["name"], "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_resources_while_nobody_looks() {
    let served = Served::new().await;
    let other = served.beside(Functions::none()).await;
    let before = asked(&served);
    // Each look at the figures asks this node itself once; these topics ask nobody.
    let mut socket = served.socket();
    socket.say(&json!({ "subscribe": ["view", "sees", "events", "functions"] }));
    for topic in ["view", "sees", "events", "functions"] {
        socket.hear_of(topic, |_| true);
    }
    assert_eq!(asked(&served), before + 1);
    let quiet = asked(&served);

    socket.say(&json!({ "subscribe": ["resources", "nodes"] }));
    let snapshot = socket.hear_of("resources", |_| true);
    assert_eq!(snapshot["snapshot"]["items"].as_array().unwrap().len(), 2);
    for seq in 1..=2 {
        let delta = socket.hear_of("resources", |_| true);
        assert_eq!((&delta["seq"], delta["delta"]["put"].as_array().unwrap().len()), (&json!(seq), 2));
        assert!(delta["delta"]["at_ms"].is_u64());
    }
    assert!(asked(&served) >= quiet + 6);
    let history = served.get(&format!("/api/v1/resources/history?node={}", other.id())).json();
    assert!(history["items"].as_array().unwrap().len() >= 3, "{history}");
    assert_eq!(history["interval_ms"], 1000);
    // Somebody else gets what was seen before.
    let mut second = served.socket();
    second.say(&json!({ "subscribe": ["resources"] }));
    let past = second.hear_of("resources", |_| true);
    let points = past["snapshot"]["history"][other.id().to_string()].as_array().unwrap();
    assert!(points.len() >= 3 && points[0].as_array().unwrap().len() == 4, "{past}");

    drop((socket, second));
    eventually("both are gone", || served.get("/metrics").text().contains("guthi_dashboard_sockets 0\n")).await;
    let (settled, mut last) = (asked(&served), 0);
    let mut looks = 0;
    // Longer than two rounds would take.
    let until = std::time::Instant::now() + Duration::from_millis(2_500);
    eventually("time passes", || {
        looks += 1;
        last = asked(&served);
        std::time::Instant::now() > until
    })
    .await;
    assert_eq!(last - settled, looks, "only the looks themselves asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_answer_keeps_its_row() {
    let served = Served::new().await;
    let other = served.beside(Functions::none()).await;
    let id = other.id().to_string();
    let mut socket = served.socket();
    socket.say(&json!({ "subscribe": ["resources"] }));
    socket.hear_of("resources", |_| true);
    // It is gone, and for a moment still a member.
    drop(other);
    let row = |told: &Value, key: &str| {
        let rows = told[key]["put"].as_array().or_else(|| told[key]["items"].as_array()).cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["node"] == id)
    };
    let told = socket.hear_of("resources", |told| {
        ["delta", "snapshot"].iter().any(|key| row(told, key).is_none_or(|row| row["error"].is_object()))
    });
    assert!(told["seq"].is_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_browser_holds_nobody_up_and_misses_nothing() {
    let served = Served::new().await;
    let (mut slow, mut quick) = (served.socket(), served.socket());
    slow.say(&json!({ "subscribe": ["functions"] }));
    quick.say(&json!({ "subscribe": ["functions"] }));
    quick.hear_of("functions", |_| true);
    // The slow one reads nothing of all this.
    for n in 0..20 {
        served.node.register(format!("late{n}"), async |_, n: u64| Ok::<_, String>(n)).await.unwrap();
    }
    let has = |told: &Value, name: &str| told.to_string().contains(&format!("\"{name}\""));
    quick.hear_of("functions", |told| has(told, "late19"));
    let mut seen = String::new();
    slow.hear_of("functions", |told| {
        seen.push_str(&told.to_string());
        has(told, "late19")
    });
    assert!((0..20).all(|n| seen.contains(&format!("\"late{n}\""))), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed() {
    use tracing_subscriber::prelude::*;

    let home = guthi_tests::cluster::Home::new();
    let logs = guthi::Logs::new(100);
    let node = home.node(Functions::none()).logs(logs.clone()).start().await.unwrap();
    let dashboard = guthi_dashboard::Dashboard::serve(&node, "127.0.0.1:0").await.unwrap();
    let served = Served { home, node, counters: Default::default(), dashboard };
    let say = |text: &str| {
        let subscriber = tracing_subscriber::registry().with(logs.layer());
        tracing::subscriber::with_default(subscriber, || tracing::warn!("{text}"));
    };
    say("before");
    let mut socket = served.socket();
    socket.say(&json!({ "subscribe": ["log:all:warn"] }));
    let snapshot = socket.hear_of("log:all:warn", |_| true);
    assert_eq!(snapshot["snapshot"]["items"][0]["message"], "before");
    assert_eq!(snapshot["snapshot"]["errors"], json!([]));
    say("after");
    let delta = socket.hear_of("log:all:warn", |_| true);
    assert_eq!((&delta["seq"], &delta["delta"]["append"][0]["message"]), (&json!(1), &json!("after")));
}
