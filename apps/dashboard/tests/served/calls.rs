//! Calls over HTTP.

use std::io::{BufRead, BufReader};

use guthi::Functions;
use guthi_tests::{
    cluster::{eventually, eventually_async},
    functions::{fails, three},
};
use serde_json::{Value, json};

use crate::kit::{Answer, Served};

fn path(function: &str) -> String {
    format!("/api/v1/functions/{function}/call")
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_null_a_value_or_an_array() {
    let served = Served::new().await;
    let id = served.node.id().to_string();
    let answer = served.post(&path("square"), &json!({ "args": 12 })).json();
    assert_eq!(
        (&answer["result"], &answer["node"], &answer["name"]),
        (&json!(144), &json!(id), &json!(served.node.name()))
    );
    assert!(answer["elapsed_ms"].is_number());
    let answer = served.post(&path("three"), &json!({ "args": [1, "b", [2, 3]], "on": id })).json();
    assert!(answer["result"].is_string(), "{answer}");
    // No body at all.
    let answer = served.ask("POST", &path("nothing")).bearer(served.token()).send().json();
    assert!(answer["result"].is_number(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_status_and_its_code() {
    let served = Served::new().await;
    let call = |function: &str, order: Value| served.post(&path(function), &order);
    call("no_such", json!({})).is_error(404, "no_node_has_it");
    call("square", json!({ "args": "x" })).is_error(400, "invalid_arguments");
    call("fails", json!({ "args": "no" })).is_error(422, "failed");
    call("panics", json!({ "args": "oh" })).is_error(422, "panicked");
    call("hang_async", json!({ "deadline_ms": 50 })).is_error(504, "deadline");
    call("square", json!({ "args": 1, "on": "nobody" })).is_error(404, "not_found");
    call("square", json!({ "args": 1, "deadline_ms": 0 })).is_error(400, "bad_request");
    call("square", json!({ "arguments": 1 })).is_error(400, "bad_request");
    let outcome =
        |function: &str, args: Value| call(function, json!({ "args": args })).json()["error"]["outcome"].clone();
    assert_eq!(outcome("fails", json!("no")), "applied");
    assert_eq!(outcome("square", json!("x")), "not_applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tells_of_each_how_it_went() {
    let served = Served::new().await;
    let other = served.beside(Functions::none().with::<fails>().with::<three>()).await;
    let answer = served.post(&path("three"), &json!({ "args": [1, "b", []], "on": "all" }));
    let rows = answer.json()["items"].as_array().unwrap().clone();
    let mut nodes: Vec<_> = rows.iter().map(|row| row["node"].as_str().unwrap().to_owned()).collect();
    nodes.sort();
    let mut both = [served.node.id().to_string(), other.id().to_string()];
    both.sort();
    assert_eq!((answer.status, nodes), (200, both.to_vec()));
    assert!(rows.iter().all(|row| row["ok"].is_string() && row["name"].is_string()), "{rows:?}");

    let answer = served.post(&path("fails"), &json!({ "args": "no", "on": "all" })).json();
    assert!(answer["items"].as_array().unwrap().iter().all(|row| row["error"]["code"] == "failed"), "{answer}");
    served.post(&path("no_such"), &json!({ "on": "all" })).is_error(404, "no_node_has_it");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_comes_line_by_line() {
    let served = Served::new().await;
    let order = json!({ "args": 300, "progress": true, "on": served.node.name() });
    let answer = served.post(&path("slow_steps"), &order);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, progress) = lines.split_last().unwrap();
    assert_eq!(last["result"], 300);
    assert!(!progress.is_empty());
    let shares: Vec<f64> = progress.iter().map(|line| line["progress"].as_f64().unwrap()).collect();
    assert!(shares.is_sorted() && progress[0]["node"] == served.node.id().to_string(), "{lines:?}");

    let failed = served.post(&path("fails"), &json!({ "args": "no", "progress": true }));
    let line: Value = serde_json::from_str(failed.text().trim()).unwrap();
    assert_eq!((failed.status, &line["error"]["code"]), (200, &json!("failed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_request_cancels_the_call() {
    let served = Served::new().await;
    for (round, order) in [json!({}), json!({ "progress": true }), json!({ "on": "all" })].iter().enumerate() {
        let so_far = round as u64;
        let stream = served.ask("POST", &path("hang_async")).bearer(served.token()).body(order).begin();
        eventually("it begins", || served.counters.started() == so_far + 1).await;
        assert_eq!(served.counters.dropped(), so_far);
        drop(stream);
        eventually("it is dropped", || served.counters.dropped() == so_far + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_taken_over() {
    let served = Served::new().await;
    let ask = |parent: &str| {
        served
            .ask("POST", &path("square"))
            .bearer(served.token())
            .header("traceparent", parent)
            .body(&json!({ "args": 2 }))
            .send()
    };
    assert_eq!(ask("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").json()["result"], 4);
    ask("nonsense").is_error(400, "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_by_function() {
    let served = Served::new().await;
    served.post(&path("square"), &json!({ "args": 2 }));
    served.post(&path("square"), &json!({ "args": "x" }));
    let function = || {
        let answer = served.get("/api/v1/functions?contains=squ").json();
        answer["items"][0].clone()
    };
    eventually_async("both are counted", async || function()["calls"]["count"] == 2).await;
    let square = function();
    assert_eq!((&square["name"], &square["calls"]["errors"]), (&json!("square"), &json!(1)));
    assert!(square["calls"]["p50_ms"].is_number() && square["calls"]["p95_ms"].is_number(), "{square}");
    let text = served.get("/metrics").text();
    for line in [
        "guthi_call_made_total{function=\"square\"} 2\n",
        "guthi_call_duration_seconds_bucket{function=\"square\",le=\"+Inf\"} 2\n",
        "# TYPE guthi_call_served_total counter\n",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again() {
    let served = Served::new().await;
    let ask = served.ask("GET", "/healthz").header("Connection", "keep-alive");
    let first = ask.begin();
    let mut reader = BufReader::new(first.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    assert_eq!(Answer::read(ask.begin()).status, 200);
}
