//! Whom the page lets in, as a browser sees it.

use guthi_tests::cluster::Home;

use super::{Seen, browser::Browser, calm, open};

#[tokio::test]
async fn without_the_start_url_there_is_nothing_to_see() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    let plain = format!("http://{}/", ann.dashboard.address());
    browser.open(&plain).await;
    let told = browser.until("[data-role=locked]", |text| !text.is_empty()).await;
    assert!(told.contains("guthi"), "it says how to come in: {told}");
    assert!(!browser.text("body").await.contains("ann"), "and nothing else");
    let status = browser.run("return fetch('/api/v1/nodes').then(answer => answer.status)").await;
    assert_eq!(status, 401);
    browser.open(&format!("{plain}?t=wrong")).await;
    browser.until("[data-role=locked]", |text| !text.is_empty()).await;
    // The right one opens, and does not stay in the address.
    open(&browser, &ann).await;
    let address = browser.client.current_url().await.unwrap();
    assert_eq!(address.query(), None, "{address}");
    let cookies = browser.run("return document.cookie").await;
    assert_eq!(cookies, "", "scripts do not see the cookie");
}

#[tokio::test]
async fn a_page_of_another_origin_can_neither_act_nor_listen() {
    let Some(browser) = Browser::or_skip().await else { return };
    let (ann, eve) = (Seen::apart("ann").await, Seen::apart("eve").await);
    // The browser is logged in at both: what is sent to ann from eve's page carries ann's cookie, since cookies know no ports.
    open(&browser, &ann).await;
    open(&browser, &eve).await;
    let target = ann.dashboard.address();
    let post = format!(
        "return fetch('http://{target}/api/v1/nodes/connect', {{ method: 'POST', mode: 'no-cors', credentials: 'include',
         headers: {{ 'Content-Type': 'text/plain' }}, body: JSON.stringify({{ address: '127.0.0.1:{}' }}) }})
         .then(() => 'sent', () => 'stopped')",
        eve.port()
    );
    let sent = browser.run(&post).await;
    assert!(sent == "sent" || sent == "stopped", "{sent}");
    let socket = format!(
        "return new Promise(done => {{ const socket = new WebSocket('ws://{target}/api/v1/stream');
         socket.onopen = () => done('open'); socket.onerror = () => done('refused'); }})"
    );
    assert_eq!(browser.run(&socket).await, "refused");
    assert_eq!(ann.node.peers().len(), 0, "it was not connected");
    assert_eq!(eve.node.peers().len(), 0);
}

#[tokio::test]
async fn a_name_is_text_and_never_markup() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    let _eve = Seen::in_home(&home, "<img src=x onerror=\"document.title='owned'\">").await;
    open(&browser, &ann).await;
    browser.until("table[data-table=nodes]", |text| text.contains("<img src=x")).await;
    for tab in ["self", "resources", "functions", "events", "logs", "nodes"] {
        browser.click(&format!("[data-tab={tab}]")).await;
    }
    assert_eq!(browser.run("return document.querySelectorAll('img').length").await, 0);
    assert!(!browser.client.title().await.unwrap().contains("owned"));
    calm(&browser).await;
}
