//! The description of the interface.

use crate::kit::Served;

#[tokio::test(flavor = "multi_thread")]
async fn the_interface_describes_itself() {
    let served = Served::new().await;
    let described = served.get("/api/v1/openapi.json").json();
    assert_eq!(described["openapi"], "3.1.0");
    // Whatever the description says can be read does answer.
    let paths = described["paths"].as_object().unwrap();
    let plain = paths.iter().filter(|(path, methods)| methods.get("get").is_some() && !path.contains('{'));
    // These two go on without end.
    let endless = ["/api/v1/stream", "/api/v1/changes/variables"];
    for (path, _) in plain.filter(|(path, _)| !endless.contains(&path.as_str())) {
        assert_eq!(served.get(path).status, 200, "{path}");
    }
    // And whatever can be done is done by that method.
    for (path, _) in paths.iter().filter(|(_, methods)| methods.get("post").is_some()) {
        let path = path.replace(['{', '}'], "");
        assert_eq!(served.ask("PUT", &path).bearer(served.token()).send().status, 405, "{path}");
        let answer = served.post(&path, &serde_json::json!([]));
        assert!(![405, 500].contains(&answer.status), "{path}: {answer:?}");
    }
}
