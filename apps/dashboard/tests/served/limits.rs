//! What comes in is bounded.

use std::io::{Read, Write};

use serde_json::json;

use crate::kit::Served;

const SOCKETS_MAX: usize = 32;
const TOPICS_MAX: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded() {
    let served = Served::new().await;
    let large = json!({ "address": "x".repeat(64 * 1024) });
    served.post("/api/v1/nodes/connect", &large).is_error(413, "too_large");
    // Also where nobody says how much will come.
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", 70_000, " ".repeat(70_000));
    let chunked =
        served.ask("POST", "/api/v1/nodes/connect").bearer(served.token()).header("Transfer-Encoding", "chunked");
    let mut stream = chunked.begin();
    stream.write_all(chunk.as_bytes()).unwrap();
    crate::kit::Answer::read(stream).is_error(413, "too_large");
    // Calls may carry more.
    let letters = json!({ "args": "x".repeat(1 << 20) });
    assert_eq!(served.post("/api/v1/functions/length/call", &letters).json()["result"], 1 << 20);
    // More is refused before it is read.
    let declared = served.ask("POST", "/api/v1/functions/length/call").bearer(served.token());
    let stream = declared.header("Content-Length", &(65 << 20).to_string()).begin();
    crate::kit::Answer::read(stream).is_error(413, "too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let served = Served::new().await;
    let ask = served.ask("POST", "/api/v1/nodes/connect").bearer(served.token()).header("Content-Length", "10");
    crate::kit::Answer::read(ask.begin()).is_error(408, "slow_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded_in_bytes_and_time() {
    let served = Served::new().await;
    let ask = served.ask("GET", "/healthz").header("X-Large", &"x".repeat(100_000));
    assert_eq!(ask.send().status, 431);
    // Who never finishes a head is let go, and who never begins one.
    let heads: [&[u8]; 2] = [b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", b""];
    let mut slow = heads.map(|head| {
        let mut stream = std::net::TcpStream::connect(served.dashboard.address()).unwrap();
        stream.set_read_timeout(Some(guthi_tests::cluster::HANG)).unwrap();
        stream.write_all(head).unwrap();
        stream
    });
    for stream in &mut slow {
        stream.read_to_end(&mut Vec::new()).expect("it ends before anybody loses patience");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_in_our_own_words() {
    let served = Served::new().await;
    let ask = |method: &str, path: &str| served.ask(method, path).bearer(served.token());
    ask("POST", "/api/v1/nodes/connect").raw(b"{").send().is_error(400, "bad_request");
    ask("POST", "/api/v1/nodes/connect").raw(b"[]").send().is_error(400, "bad_request");
    ask("GET", "/api/v1/nodes?limit=x").send().is_error(400, "bad_request");
    ask("GET", "/api/v1/nodes?limit=1001").send().is_error(400, "bad_request");
    ask("GET", "/api/v1/nodes?after=%00").send().is_error(400, "bad_request");
    ask("GET", "/api/v1/nodes/%ff").send().is_error(400, "bad_request");
    ask("GET", "/api/v1/nodes?status=dead").send().is_error(400, "bad_request");
    ask("GET", "/api/v1/logs?level=loud").send().is_error(400, "bad_request");
    ask("DELETE", "/api/v1/nodes").send().is_error(405, "method_not_allowed");
    ask("GET", "/api/v1/self/leave").send().is_error(405, "method_not_allowed");
    ask("POST", "/").send().is_error(405, "method_not_allowed");
    ask("GET", "/api/v1/nowhere").send().is_error(404, "not_found");
    ask("GET", "/nowhere.js").send().is_error(404, "not_found");
    ask("GET", "/../Cargo.toml").send().is_error(404, "not_found");
    ask("GET", "/api/v1/stream").send().is_error(426, "upgrade_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_and_their_topics_are_bounded() {
    let served = Served::new().await;
    let mut sockets: Vec<_> = (0..SOCKETS_MAX).map(|_| served.socket()).collect();
    let bearer = format!("Bearer {}", served.token());
    assert_eq!(served.socket_with(&[("authorization", &bearer)]).err(), Some(429));
    let mut first = sockets.remove(0);
    // All there are.
    let levels = ["error", "warn", "info", "debug", "trace"];
    let (id, short, name) = (served.node.id().to_string(), served.node.id().short(), served.node.name());
    let whose = [id.as_str(), &short, name, "all"];
    let mut topics: Vec<_> = whose.iter().flat_map(|node| levels.map(|level| format!("log:{node}:{level}"))).collect();
    topics.extend(["nodes", "view", "sees", "events", "functions", "mutexes", "resources"].map(str::to_owned));
    first.say(&json!({ "subscribe": topics }));
    for topic in &topics {
        assert!(first.hear_of(topic, |_| true)["error"].is_null());
    }
    first.say(&json!({ "subscribe": ["log:nobody:info", "weather"] }));
    assert_eq!(first.hear_of("log:nobody:info", |_| true)["error"]["code"], "not_found");
    assert_eq!(first.hear_of("weather", |_| true)["error"]["code"], "not_found");
    assert!(topics.len() < TOPICS_MAX);

    // A message that is too long ends it.
    first.say(&json!({ "subscribe": ["x".repeat(17 * 1024)] }));
    while first.hear().is_some() {}
}
