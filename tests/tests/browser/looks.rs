//! How the page looks: nothing sticks out, on a desk and on a phone, by day and by night.

use guthi_tests::{
    cluster::{Home, within},
    process::Worker,
};

use super::{Seen, browser::Browser, calm, open};

const TABS: [&str; 8] = ["nodes", "self", "resources", "functions", "locks", "variables", "events", "logs"];
/// A desk and a phone, in CSS pixels.
const SIZES: [(u32, u32); 2] = [(1440, 900), (360, 740)];

#[tokio::test]
async fn every_screen_fits_a_desk_and_a_phone() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    let ben = Seen::in_home(&home, "ben").await;
    let cat = Worker::start(env!("CARGO_BIN_EXE_worker"), &home);
    open(&browser, &ann).await;
    let row = format!("table[data-table=nodes] tr[data-id='{}'] [data-column=status]", cat.id);
    browser.until(&row, |text| text.contains("alive")).await;
    cat.kill();
    browser.until(&row, |text| text.contains("failed")).await;
    let guard = within("a lock", ben.node.mutex("canvas").lock()).await.expect("it is free");
    let long =
        ben.node.mutex("reports/of-the-whole-last-year/with-all-that-belongs-to-them/and-a-name-that-does-not-end");
    let _long = within("a lock", long.lock()).await.expect("it is free");
    let mutex = ann.node.mutex("canvas");
    let waiting = tokio::spawn(async move { mutex.lock().await.map(drop) });
    for theme in ["light", "dark"] {
        let choose = format!("document.documentElement.dataset.theme = '{theme}'");
        for (width, height) in SIZES {
            browser.resize(width, height).await;
            browser.run(&choose).await;
            for tab in TABS {
                browser.click(&format!("[data-tab={tab}]")).await;
                browser.until(&format!("[data-panel={tab}]"), |text| !text.is_empty()).await;
                let wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
                assert_eq!(browser.run(wider).await, 0, "{tab} is wider than {width} px");
                browser.picture(&format!("{tab}-{width}-{theme}")).await;
            }
        }
    }
    calm(&browser).await;
    drop(guard);
    waiting.await.expect("nobody panics").expect("it is given");
}

#[tokio::test]
async fn every_field_has_a_label_and_every_button_a_name() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    open(&browser, &ann).await;
    let nameless = "const shown = one => one.offsetParent !== null;
        const named = one => (one.labels?.length && [...one.labels].some(label => label.textContent.trim()))
            || one.getAttribute('aria-label') || one.getAttribute('aria-labelledby') || one.title
            || (one.tagName === 'BUTTON' || one.tagName === 'A') && one.textContent.trim();
        return [...document.querySelectorAll('input, select, textarea, button, a')].filter(shown)
            .filter(one => !named(one)).map(one => one.outerHTML.slice(0, 120))";
    for tab in TABS {
        browser.click(&format!("[data-tab={tab}]")).await;
        browser.until(&format!("[data-panel={tab}]"), |text| !text.is_empty()).await;
        assert_eq!(browser.run(nameless).await, serde_json::json!([]), "{tab}");
    }
}

/// What the page may weigh, in bytes as they travel.
const WEIGHT_MAX: u64 = 120_000;

#[tokio::test]
async fn the_page_is_light() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    open(&browser, &ann).await;
    let weight = "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .filter(one => !one.name.includes('/api/')).reduce((sum, one) => sum + one.transferSize, 0)";
    let weight = browser.run(weight).await.as_u64().expect("a number");
    assert!((10_000..WEIGHT_MAX).contains(&weight), "{weight} bytes");
    // Nothing comes from elsewhere.
    let foreign =
        "return performance.getEntriesByType('resource').filter(one => !one.name.startsWith(location.origin)).length";
    assert_eq!(browser.run(foreign).await, 0);
}
