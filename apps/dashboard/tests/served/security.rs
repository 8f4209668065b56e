//! Who is let in, and who is not.

use guthi_dashboard::{Dashboard, ServeError, Tls};
use guthi_tests::cluster::Home;
use serde_json::json;

use crate::kit::{Ask, Served, token};

const SELF: &str = "/api/v1/self";
const CALL: &str = "/api/v1/functions/square/call";

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_is_told() {
    let served = Served::new().await;
    let paths = ["/api/v1/self", "/api/v1/nodes", "/api/v1/logs", "/api/v1/events", "/api/v1/nowhere", "/metrics"];
    for path in paths {
        served.ask("GET", path).send().is_error(401, "unauthorized");
        served.ask("GET", path).bearer("0123456789abcdef0123456789abcdef").send().is_error(401, "unauthorized");
        served.ask("GET", path).bearer("").send().is_error(401, "unauthorized");
    }
    served.ask("POST", CALL).body(&json!({ "args": 2 })).send().is_error(401, "unauthorized");
    served.ask("POST", "/api/v1/self/leave").send().is_error(401, "unauthorized");
    assert_eq!(served.socket_with(&[]).err(), Some(401));
    assert_eq!(served.get(SELF).status, 200);
    // What holds no secret is for everybody.
    assert_eq!(served.ask("GET", "/healthz").send().json(), json!({ "status": "ok" }));
    assert_eq!(served.ask("GET", "/").send().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_url_gives_a_cookie_that_is_not_the_token() {
    let served = Served::new().await;
    let answer = served.ask("GET", &format!("/?t={}", served.token())).send();
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with(&format!("guthi_{}=", served.dashboard.address().port())), "{cookie}");
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(served.token()), "{cookie}");
    let value = cookie.split(';').next().unwrap();
    assert_eq!(served.ask("GET", SELF).header("Cookie", value).send().status, 200);
    let secret = value.split_once('=').unwrap().1;
    served.ask("GET", SELF).bearer(secret).send().is_error(401, "unauthorized");

    let wrong = served.ask("GET", "/?t=0123456789abcdef").send();
    assert_eq!((wrong.status, wrong.header("set-cookie")), (303, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_has_256_bits_and_is_another_one_each_time() {
    let served = Served::new().await;
    let again = Dashboard::serve(&served.node, "127.0.0.1:0").await.unwrap();
    assert_eq!(served.token().len(), 64);
    assert_ne!(served.token(), token(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_name_that_leads_here_is_refused() {
    let served = Served::with(|builder| builder.host("ann.example")).await;
    let port = served.dashboard.address().port();
    let ask = |host: &str| served.ask("GET", SELF).bearer(served.token()).header("Host", host).send();
    for host in ["127.0.0.1", "localhost", "[::1]", "ann.example"] {
        assert_eq!(ask(&format!("{host}:{port}")).status, 200, "{host}");
    }
    for host in
        ["evil.example", &format!("evil.example:{port}"), "127.0.0.1", &format!("127.0.0.1.evil.example:{port}")]
    {
        ask(host).is_error(421, "host_not_allowed");
    }
    // Not even the page and the health, and not the start URL.
    for path in ["/", "/healthz", &format!("/?t={}", served.token())] {
        let answer = served.ask("GET", path).header("Host", "evil.example").send();
        answer.is_error(421, "host_not_allowed");
        assert_eq!(answer.header("set-cookie"), None);
    }
    // What the request line says counts as well.
    served.ask("GET", "http://evil.example/healthz").send().is_error(421, "host_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_can_do_nothing() {
    let served = Served::new().await;
    let (cookie, origin) = (served.cookie(), served.origin());
    let order = json!({ "args": 3 });
    let post = |origin: &str| served.ask("POST", CALL).header("Cookie", &cookie).header("Origin", origin).body(&order);
    assert_eq!(post(&origin).send().json()["result"], 9);
    let port = served.dashboard.address().port();
    for foreign in
        ["http://evil.example", "null", &format!("http://127.0.0.1:{}", port ^ 1), &format!("https://127.0.0.1:{port}")]
    {
        post(foreign).send().is_error(403, "origin_not_allowed");
        // Not with the token either: a browser was told to send it.
        post(foreign).bearer(served.token()).send().is_error(403, "origin_not_allowed");
    }
    // A cookie alone does not show where a request comes from.
    post("").send().is_error(403, "origin_not_allowed");
    // A script has no origin.
    assert_eq!(post("").header("Cookie", "").bearer(served.token()).send().json()["result"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_for_our_own_page_and_for_scripts() {
    let served = Served::new().await;
    let (cookie, origin, bearer) = (served.cookie(), served.origin(), format!("Bearer {}", served.token()));
    let refused = |headers: &[(&'static str, &str)]| served.socket_with(headers).err();
    assert_eq!(refused(&[("cookie", &cookie), ("origin", &origin)]), None);
    assert_eq!(refused(&[("authorization", &bearer)]), None);
    assert_eq!(refused(&[("cookie", &cookie), ("origin", "http://evil.example")]), Some(403));
    assert_eq!(refused(&[("cookie", &cookie)]), Some(403));
    assert_eq!(refused(&[("authorization", &bearer), ("origin", "http://evil.example")]), Some(403));
    assert_eq!(refused(&[("authorization", &bearer), ("host", "evil.example")]), Some(421));
    assert_eq!(refused(&[("cookie", "guthi_1=0"), ("origin", &origin)]), Some(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_the_browser_to_be_strict() {
    let served = Served::new().await;
    let answers = [
        served.get(SELF),
        served.ask("GET", SELF).send(),
        served.ask("GET", "/").send(),
        served.ask("GET", "/nowhere.js").send(),
        served.ask("GET", "/").header("Host", "evil.example").send(),
    ];
    for answer in &answers {
        let policy =
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'";
        assert_eq!(answer.header("content-security-policy"), Some(policy));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
    assert_eq!(answers[0].header("cache-control"), Some("no-store"));
    assert_eq!(answers[1].header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_a_password_and_tls_are_required() {
    let home = Home::new();
    let node = home.caller().await;
    let builder = || Dashboard::builder(&node).address("0.0.0.0:0");
    let password = "correct horse battery";
    let error = builder().tls(Tls::SelfSigned).serve().await.unwrap_err();
    assert!(matches!(error, ServeError::PasswordRequired { .. }), "{error}");
    assert!(error.to_string().contains(".password("), "{error}");
    let error = builder().password(password).serve().await.unwrap_err();
    assert!(matches!(error, ServeError::TlsRequired { .. }), "{error}");
    assert!(error.to_string().contains(".tls("), "{error}");
    let error = builder().password("short").tls(Tls::SelfSigned).serve().await.unwrap_err();
    assert!(matches!(error, ServeError::WeakPassword), "{error}");
    let error = Dashboard::builder(&node).token("guessable").serve().await.unwrap_err();
    assert!(matches!(error, ServeError::WeakToken), "{error}");

    let dashboard = builder().password(password).tls(Tls::SelfSigned).serve().await.unwrap();
    assert!(dashboard.url().starts_with("https://127.0.0.1:"), "{}", dashboard.url());
    assert_eq!(dashboard.fingerprint().map(str::len), Some(32 * 3 - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_lets_in_and_cannot_be_guessed_fast() {
    let password = "correct horse battery";
    let served = Served::with(|builder| builder.password(password)).await;
    let origin = served.origin();
    let login = |password: &str, origin: &str| {
        served.ask("POST", "/login").header("Origin", origin).body(&json!({ "password": password })).send()
    };
    let refused = served.ask("GET", SELF).send();
    refused.is_error(401, "unauthorized");
    assert_eq!(refused.json()["error"]["login"], "/login.html");

    let answer = login(password, &origin);
    assert_eq!(answer.status, 204);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(served.ask("GET", SELF).header("Cookie", &cookie).send().status, 200);
    // Nobody is logged in by another site's page.
    login(password, "http://evil.example").is_error(403, "origin_not_allowed");
    login(password, "").is_error(403, "origin_not_allowed");

    for _ in 0..5 {
        login("wrong", &origin).is_error(401, "unauthorized");
    }
    let late = login(password, &origin);
    late.is_error(429, "too_many_requests");
    assert!(late.header("retry-after").is_some() && late.header("set-cookie").is_none());
    assert_eq!(served.get(SELF).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_password_there_is_no_login() {
    let served = Served::new().await;
    let login = served.ask("POST", "/login").header("Origin", &served.origin()).body(&json!({ "password": "" }));
    login.send().is_error(401, "unauthorized");
    assert!(served.ask("GET", SELF).send().json()["error"].get("login").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_is_announced_while_it_is_served() {
    let served = Served::new().await;
    let control = || guthi::local_nodes(Some(&served.home.path())).unwrap()[0].control.clone();
    let told = control().unwrap();
    assert_eq!((told.url, told.token.as_str()), (served.origin(), served.token()));
    let (address, token) = (served.dashboard.address(), served.token().to_owned());
    served.dashboard.close().await;
    assert_eq!(guthi::local_nodes(Some(&served.home.path())).unwrap()[0].control, None);
    // Somebody else may have the port by now.
    if std::net::TcpStream::connect(address).is_ok() {
        Ask::new(address, "GET", SELF).bearer(&token).send().is_error(401, "unauthorized");
    }
}
