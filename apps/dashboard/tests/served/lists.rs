//! What is read.

use guthi::{Functions, Logs, Node};
use guthi_dashboard::Dashboard;
use guthi_tests::{
    cluster::{HANG, Home, eventually_async},
    functions::square,
};
use serde_json::{Value, json};

use crate::kit::{Answer, Ask, Served, token};

fn items(answer: &Answer) -> Vec<Value> {
    answer.json()["items"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_told_with_this_one_first() {
    let served = Served::new().await;
    let zoned = served.home.node(Functions::none().with::<square>()).name("zoe").label("zone", "attic");
    let zoe = zoned.start().await.unwrap();
    served.node.wait_for(2).await.unwrap();
    let answer = served.get("/api/v1/nodes");
    let [own, other] = &items(&answer)[..] else { panic!("{answer:?}") };
    assert_eq!(
        (&own["self"], &own["id"], &own["status"]),
        (&json!(true), &json!(served.node.id().to_string()), &json!("alive"))
    );
    for (key, value) in [
        ("self", json!(false)),
        ("id", json!(zoe.id().to_string())),
        ("short", json!(zoe.id().short())),
        ("name", json!("zoe")),
        ("status", json!("alive")),
        ("member", json!(true)),
        ("zone", json!("attic")),
        ("labels", json!({ "zone": "attic" })),
        ("ip", json!("127.0.0.1")),
        ("functions", json!(1)),
        ("reason", json!(null)),
    ] {
        assert_eq!(other[key], value, "{key} of {other}");
    }
    assert!(other["port"].is_u64() && other["incarnation"].is_string() && other["colour"].as_u64().unwrap() < 12);
    assert_eq!(answer.json()["as_seen_by"], own["id"]);
    assert!(own["memory"].as_u64().is_some_and(|percent| percent <= 100), "{own}");

    for name in [zoe.id().to_string(), zoe.id().short(), "zoe".into()] {
        assert_eq!(served.get(&format!("/api/v1/nodes/{name}")).json()["node"]["id"], other["id"]);
    }
    served.get("/api/v1/nodes/nobody").is_error(404, "not_found");
    assert_eq!(items(&served.get("/api/v1/nodes?status=failed,left")).len(), 0);

    let first = served.get("/api/v1/nodes?limit=1").json();
    let next = first["next"].as_str().unwrap();
    let rest = served.get(&format!("/api/v1/nodes?limit=1&after={next}")).json();
    assert_eq!((&rest["items"][0]["name"], &rest["next"]), (&json!("zoe"), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_text_wherever_it_is_told() {
    let served = Served::new().await;
    let name = "<img src=x onerror=alert(1)>\"'&";
    let evil = served.home.node(Functions::none()).name(name).start().await.unwrap();
    served.node.wait_for(2).await.unwrap();
    let answer = served.get(&format!("/api/v1/nodes/{}", evil.id()));
    assert_eq!(answer.json()["node"]["name"], name);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_tells_of_itself_its_view_and_who_sees_whom() {
    let served = Served::new().await;
    let other = served.beside(Functions::none()).await;
    let own = served.get("/api/v1/self").json();
    assert_eq!((&own["cluster"], &own["pid"]), (&json!("test"), &json!(std::process::id())));
    assert_eq!((&own["url"], &own["runtime_dir"]), (&json!(served.origin()), &json!(served.home.path())));
    assert!(own["ticket"].as_str().unwrap().starts_with("guthi1node"));
    assert!(own["resources"]["installed_bytes"].as_u64().unwrap() > 0, "{own}");
    let view = served.get("/api/v1/view").json();
    let members = view["view"]["members"].as_array().unwrap();
    assert_eq!((members.len(), view["view"]["epoch"].is_string()), (2, true));
    let (a, b) = (served.node.id().to_string(), other.id().to_string());
    eventually_async("each hears the other", async || {
        let sees = served.get("/api/v1/sees").json();
        let row = |observer: &str| {
            let rows = sees["rows"].as_array().unwrap();
            rows.iter().find(|row| row["observer"] == observer).unwrap()["sees"].clone()
        };
        row(&a) == json!([null, true]) && row(&b) == json!([true, null]) && sees["disagreements"] == json!([])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_connected_by_its_address_or_its_ticket_and_forgotten() {
    let served = Served::new().await;
    let elsewhere = Home::new();
    let key = guthi::ClusterKey::generate().unwrap();
    let stranger = elsewhere.node(Functions::none()).key(key).start().await.unwrap();
    let address = stranger.addresses()[0].to_string();
    let connect = |address: &str| served.post("/api/v1/nodes/connect", &json!({ "address": address }));
    connect(&address).is_error(502, "wrong_key");
    connect("nowhere").is_error(400, "bad_address");
    connect("127.0.0.1:1").is_error(502, "unreachable");
    let myself = served.node.addresses()[0].to_string();
    connect(&myself).is_error(400, "myself");

    let key = served.home.path().join("key");
    let key = std::fs::read_to_string(key).unwrap().trim().parse().unwrap();
    let friend = Node::builder().cluster("test").key(key).listen("127.0.0.1:0").functions(Functions::none());
    let friend = friend.start().await.unwrap();
    let answer = connect(&friend.ticket().to_string());
    assert_eq!(answer.json()["node"]["id"], friend.id().to_string(), "{answer:?}");
    served.node.wait_for(2).await.unwrap();

    let forget = format!("/api/v1/nodes/{}/forget", friend.id().short());
    assert_eq!(served.post(&forget, &json!({})).json(), json!({ "forgotten": true }));
    eventually_async("it is no member any more", async || served.node.members().len() == 1).await;
    served.post("/api/v1/nodes/nobody/forget", &json!({})).is_error(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_kept_with_a_sentence() {
    let served = Served::new().await;
    let ben = served.home.node(Functions::none()).name("ben").start().await.unwrap();
    served.node.wait_for(2).await.unwrap();
    ben.leave().await.unwrap();
    eventually_async("it has left", async || {
        items(&served.get("/api/v1/events")).last().is_some_and(|event| event["text"] == "ben has left")
    })
    .await;
    let events = items(&served.get("/api/v1/events"));
    assert_eq!(events[0]["text"], "ben has joined");
    assert_eq!(
        (&events[0]["event"], &events[0]["node"]["name"], &events[0]["seq"]),
        (&json!("joined"), &json!("ben"), &json!(1))
    );
    assert!(events[0]["at"].as_str().unwrap().ends_with('Z'));
    let page = served.get("/api/v1/events?limit=1&after=0").json();
    assert_eq!((&page["items"][0]["seq"], &page["next"]), (&json!(1), &json!("1")));
    let newest = served.get("/api/v1/events?limit=1").json();
    assert_eq!(newest["items"][0], *events.last().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_before_the_dashboard_is_told_once() {
    let first = Served::new().await;
    let _ben = first.home.node(Functions::none()).name("ben").start().await.unwrap();
    first.node.wait_for(2).await.unwrap();
    let dashboard = Dashboard::serve(&first.node, "127.0.0.1:0").await.unwrap();
    let late = Served { dashboard, ..first };
    eventually_async("it is told", async || !items(&late.get("/api/v1/events")).is_empty()).await;
    let events = items(&late.get("/api/v1/events"));
    let texts: Vec<_> = events.iter().map(|event| event["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["ben has joined"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_all_come_in_the_order_of_time() {
    use tracing_subscriber::prelude::*;

    let home = Home::new();
    let (ann, ben) = (Logs::new(100), Logs::new(100));
    let start = async |name: &str, logs: &Logs| {
        home.node(Functions::none()).name(name).logs(logs.clone()).start().await.unwrap()
    };
    let (node, _ben) = (start("ann", &ann).await, start("ben", &ben).await);
    let _cat = home.node(Functions::none()).name("cat").start().await.unwrap();
    node.wait_for(3).await.unwrap();
    let say = |logs: &Logs, text: &str| {
        let subscriber = tracing_subscriber::registry().with(logs.layer());
        tracing::subscriber::with_default(subscriber, || tracing::warn!(who = text, "hello from {text}"));
        // Lines of one millisecond have no order.
        let logged = std::time::Instant::now();
        while logged.elapsed() < std::time::Duration::from_millis(2) {
            std::hint::spin_loop();
        }
    };
    say(&ann, "one");
    say(&ben, "two");
    say(&ann, "three");
    let dashboard = Dashboard::serve(&node, "127.0.0.1:0").await.unwrap();
    let get = |path: &str| Ask::new(dashboard.address(), "GET", path).bearer(token(&dashboard)).send();
    let answer = get("/api/v1/logs?node=all&level=warn&contains=hello");
    let texts: Vec<_> = items(&answer).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts.len(), 3, "{answer:?}");
    let first = &items(&answer)[0];
    assert_eq!(
        (&first["level"], &first["name"], &first["fields"]["who"]),
        (&json!("warn"), &json!("ann"), &json!("one"))
    );
    let errors = answer.json()["errors"].clone();
    assert_eq!((&errors[0]["name"], &errors[0]["error"]["code"]), (&json!("cat"), &json!("keeps_no_log")));
    let own = get("/api/v1/logs?level=warn&contains=hello&after=0&limit=1").json();
    assert_eq!((&own["items"][0]["message"], own["next"].is_string()), (&json!("hello from one"), true));
    get("/api/v1/logs?node=all&after=1").is_error(400, "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_is_confirmed_by_name() {
    let served = Served::new().await;
    served.post("/api/v1/self/leave", &json!({})).is_error(400, "bad_request");
    served.post("/api/v1/self/leave", &json!({ "confirm": "yes" })).is_error(400, "bad_request");
    let mut socket = served.socket();
    let confirmed = served.post("/api/v1/self/leave", &json!({ "confirm": served.node.name() }));
    assert_eq!(confirmed.json(), json!({ "left": true }));
    let bye = socket.hear_of("bye", |_| true);
    assert_eq!(bye["snapshot"]["reason"], "the node leaves");
    assert!(socket.is_closed());
    let gone = tokio::time::timeout(HANG, served.node.wait_for(9)).await.expect("it leaves");
    assert!(gone.is_err());
    let health = served.ask("GET", "/healthz").send();
    assert_eq!((health.status, health.json()), (503, json!({ "status": "left" })));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_with_a_tag_and_compressed() {
    let served = Served::new().await;
    let page = served.ask("GET", "/").send();
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let tag = page.header("etag").unwrap();
    let again = served.ask("GET", "/").header("If-None-Match", tag).send();
    assert_eq!((again.status, again.body.len()), (304, 0));
    let small = served.ask("GET", "/").header("Accept-Encoding", "gzip").send();
    assert_eq!((small.header("content-encoding"), small.header("vary")), (Some("gzip"), Some("accept-encoding")));
    assert_ne!(small.header("etag"), Some(tag));
}
