//! Messages of topics, from and to those who have no type for them.

use guthi::TopicEvent;
use guthi_tests::cluster::{eventually, eventually_async, within};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::kit::{Answer, Lines, Served};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Move {
    piece: String,
    to: (u8, u8),
}

fn publish(served: &Served, topic: &str, body: &Value) -> Answer {
    served.post(&format!("/api/v1/topics/{topic}/publish"), body)
}

fn messages(served: &Served, topic: &str) -> Lines {
    Lines::granted(&served.ask("GET", &format!("/api/v1/topics/{topic}/messages")).bearer(served.token()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_comes_to_those_who_subscribe_and_to_programs() {
    let served = Served::new().await;
    let beside = served.beside(guthi::Functions::none()).await;
    assert_eq!(publish(&served, "chat", &json!({ "value": "hello" })).json(), json!({ "topic": "chat", "nodes": 0 }));
    let mut told = messages(&served, "chat");
    let mut program = beside.topic::<String>("chat").subscribe().unwrap();
    eventually("both are heard of", || publish(&served, "chat", &json!({ "value": "hello" })).json()["nodes"] == 2)
        .await;
    let from = json!({ "node": served.node.id().to_string(), "name": served.node.name() });
    let line = told.news();
    assert_eq!((&line["from"], &line["value"], &line["shape"]), (&from, &json!("hello"), &json!("String")));
    let heard = within("the message", program.next()).await;
    assert_eq!(heard, Some(TopicEvent::Message { from: served.node.id(), value: "hello".to_owned() }));

    // A number is no text, and comes to those who read all types alone.
    assert_eq!(publish(&served, "chat", &json!({ "value": 300, "type": "u16" })).json()["nodes"], 2);
    assert_eq!(publish(&served, "chat", &json!({ "base64": "AQID", "kind": "00000000000000ff" })).status, 200);
    assert_eq!(publish(&served, "chat", &json!({ "value": "bye" })).status, 200);
    let rest: Vec<_> =
        std::iter::repeat_with(|| told.news()).skip_while(|line| line["value"] == "hello").take(3).collect();
    assert_eq!((&rest[0]["value"], &rest[0]["shape"]), (&json!(300), &json!("u16")));
    let raw = (&rest[1]["base64"], &rest[1]["kind"], &rest[1]["shape"], rest[1].get("value"));
    assert_eq!(raw, (&json!("AQID"), &json!("00000000000000ff"), &Value::Null, None));
    assert_eq!(rest[2]["value"], "bye");
    while within("the message", program.next()).await
        != Some(TopicEvent::Message { from: served.node.id(), value: "bye".to_owned() })
    {}
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_only_topics_use_are_known_to_tools() {
    let served = Served::new().await;
    let beside = served.beside(guthi::Functions::none()).await;
    let topic = beside.topic::<Move>("moves");
    let mut told = messages(&served, "moves");
    let made = Move { piece: "ü".into(), to: (3, 4) };
    // What the type looks like may come after the first message, which is bytes then.
    let shown = json!({ "piece": "ü", "to": [3, 4] });
    let mut line = Value::Null;
    eventually("its type is known", || {
        if topic.publish(&made).unwrap() == 1 {
            line = told.news();
        }
        line["value"] == shown
    })
    .await;
    assert_eq!(line["from"]["node"], beside.id().to_string());
    let (kind, mut moves) = (line["kind"].clone(), topic.subscribe().unwrap());
    let sent = json!({ "value": { "piece": "queen", "to": [1, 2] }, "kind": kind });
    eventually_async("it is heard of", async || publish(&served, "moves", &sent).json()["nodes"] == 2).await;
    while within("the move", moves.next()).await
        != Some(TopicEvent::Message { from: served.node.id(), value: Move { piece: "queen".into(), to: (1, 2) } })
    {}
    let bad = publish(&served, "moves", &json!({ "value": { "piece": "queen", "to": [1] }, "kind": kind }));
    bad.is_error(400, "bad_value");
    publish(&served, "moves", &json!({ "value": 1, "kind": "00000000000000ff" })).is_error(422, "unknown_type");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_is_told_how_many_were_missed() {
    const PUBLISHED: u64 = 600;
    let served = Served::new().await;
    let mut told = messages(&served, "pictures");
    // More than anybody keeps for a reader, and the system on the way to it.
    let (topic, picture) = (served.node.topic::<String>("pictures"), "x".repeat(65_000));
    for _ in 0..PUBLISHED {
        assert_eq!(topic.publish(&picture), Ok(1));
    }
    let (mut read, mut missed) = (0, 0);
    while read + missed < PUBLISHED {
        let line = told.news();
        match line["missed"].as_u64() {
            Some(more) => missed += more,
            None => read += 1,
        }
    }
    assert!(missed > 0 && read > 0, "{missed} were missed, and {read} read");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_said_is_refused() {
    let served = Served::new().await;
    let large = json!({ "value": "x".repeat(65_536) });
    for (topic, body, status, code) in [
        ("chat", json!({ "value": [1] }), 400, "bad_request"),
        ("chat", json!({}), 400, "bad_request"),
        ("chat", json!({ "value": 1, "text": 1 }), 400, "bad_request"),
        ("chat", json!({ "value": "x", "type": "u8" }), 400, "bad_value"),
        ("chat", json!({ "base64": "AQID", "type": "u8" }), 400, "bad_value"),
        ("a%0Ab", json!({ "value": 1 }), 400, "bad_name"),
        ("chat", large, 413, "too_large"),
    ] {
        publish(&served, topic, &body).is_error(status, code);
    }
    served.get("/api/v1/topics/a%0Ab/messages").is_error(400, "bad_name");
    served.ask("GET", "/api/v1/topics/chat/messages").send().is_error(401, "unauthorized");
    served.ask("POST", "/api/v1/topics/chat/publish").send().is_error(401, "unauthorized");
    let by_cookie = served.ask("POST", "/api/v1/topics/chat/publish").header("Cookie", &served.cookie());
    by_cookie.header("Origin", "http://evil.example").send().is_error(403, "origin_not_allowed");
}
