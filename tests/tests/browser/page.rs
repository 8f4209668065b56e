//! What the page shows, and what its forms do.

use std::time::Instant;

use guthi_tests::{
    cluster::{Home, within},
    process::Worker,
};

use super::{NOTICED, Seen, browser::Browser, calm, calm_but, open};

#[tokio::test]
async fn a_node_is_connected_by_the_form() {
    let Some(browser) = Browser::or_skip().await else { return };
    let (ann, ben) = (Seen::apart("ann").await, Seen::apart("ben").await);
    open(&browser, &ann).await;
    assert_eq!(browser.text("[data-role=seer]").await, "ann");
    browser.fill("form[data-form=connect] input[name=address]", "127.0.0.1").await;
    browser.fill("form[data-form=connect] input[name=port]", &ben.port().to_string()).await;
    browser.click("form[data-form=connect] button").await;
    let row = format!("table[data-table=nodes] tr[data-id='{}']", ben.node.id());
    browser.until(&format!("{row} [data-column=status]"), |text| text.contains("alive")).await;
    assert!(browser.text(&format!("{row} [data-column=name]")).await.contains("ben"));
    assert_eq!(browser.text(&format!("{row} [data-column=ip]")).await, "127.0.0.1");
    assert_eq!(browser.text(&format!("{row} [data-column=port]")).await, ben.port().to_string());
    // Whom each of them hears.
    let sees = format!("table[data-table=sees] tr[data-id='{}'] [data-column='{}']", ben.node.id(), ann.node.id());
    browser.until(&sees, |text| !text.is_empty()).await;
    calm(&browser).await;
    // Nobody is there: the form says what to do.
    browser.fill("form[data-form=connect] input[name=address]", "127.0.0.1").await;
    browser.fill("form[data-form=connect] input[name=port]", "1").await;
    browser.click("form[data-form=connect] button").await;
    let error = browser.until("form[data-form=connect] [data-role=error]", |text| !text.is_empty()).await;
    assert!(error.contains("cannot reach") && error.contains("firewall"), "{error}");
}

#[tokio::test]
async fn a_killed_node_turns_failed_and_says_why() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    let _ben = Seen::in_home(&home, "ben").await;
    let worker = Worker::start(env!("CARGO_BIN_EXE_worker"), &home);
    open(&browser, &ann).await;
    let row = format!("table[data-table=nodes] tr[data-id='{}']", worker.id);
    browser.until(&format!("{row} [data-column=status]"), |text| text.contains("alive")).await;
    let killed = Instant::now();
    worker.kill();
    browser.until(&format!("{row} [data-column=status]"), |text| text.contains("failed")).await;
    assert!(killed.elapsed() < NOTICED, "{:?}", killed.elapsed());
    let reason = browser.text(&format!("{row} [data-column=reason]")).await;
    assert!(reason.contains("the link broke"), "{reason}");
    browser.until("[data-role=count]", |text| text.contains("2 alive") && text.contains("1 failed")).await;
    // And so do the events.
    browser.click("[data-tab=events]").await;
    let told = browser.until("table[data-table=events]", |text| text.contains("failed")).await;
    assert!(told.contains("the link broke"), "{told}");
    calm(&browser).await;
}

#[tokio::test]
async fn a_function_is_called_from_the_form_and_its_failure_is_told() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    let _ben = Seen::in_home(&home, "ben").await;
    open(&browser, &ann).await;
    browser.click("[data-tab=functions]").await;
    browser.click("table[data-table=functions] tr[data-id=square] [data-column=name] button").await;
    browser.fill("form[data-form=call] textarea[name=args]", "12").await;
    browser.click("form[data-form=call] [data-role=call]").await;
    browser.until("form[data-form=call] [data-role=result]", |text| text.contains("144")).await;
    // On all nodes: an answer from each.
    browser
        .run(
            "const on = document.querySelector('form[data-form=call] select[name=on]');
        on.value = 'all'; on.dispatchEvent(new Event('change', { bubbles: true }));",
        )
        .await;
    browser.click("form[data-form=call] [data-role=call]").await;
    let answers = browser.until("table[data-table=answers]", |text| text.matches("144").count() == 2).await;
    assert!(answers.contains("ann") && answers.contains("ben"), "{answers}");
    calm(&browser).await;
    browser.fill("form[data-form=call] textarea[name=args]", "\"twelve\"").await;
    browser.click("form[data-form=call] [data-role=call]").await;
    let told = browser.until("[data-panel=functions]", |text| text.contains("invalid_arguments")).await;
    assert!(told.contains("square"), "{told}");
}

#[tokio::test]
async fn graphs_move_under_load() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    open(&browser, &ann).await;
    browser.click("[data-tab=resources]").await;
    let id = ann.node.id().to_string();
    let row = format!("table[data-table=resources] tr[data-id='{id}']");
    browser.until(&format!("{row} [data-column=installed]"), |text| text.contains('G') || text.contains('M')).await;
    let busy = ann.node.call::<guthi_tests::functions::burns>(3_000).into_future();
    let also_busy = ann.node.call::<guthi_tests::functions::burns>(3_000).into_future();
    let burning = tokio::spawn(futures::future::join(busy, also_busy));
    browser
        .until(&format!("{row} [data-column=cpu_usage]"), |text| {
            text.trim_end_matches('%').trim().parse::<f64>().is_ok_and(|percent| percent > 50.0)
        })
        .await;
    let pixels = "return [...document.querySelectorAll('[data-chart]')].map(one => \
        (one.matches('canvas') ? one : one.querySelector('canvas')).toDataURL().length).join()";
    let before = browser.run(pixels).await;
    assert_ne!(before, "", "there are graphs");
    let drawn = "const all = () => [...document.querySelectorAll('[data-chart]')].map(one => \
        (one.matches('canvas') ? one : one.querySelector('canvas')).toDataURL()).join(); \
        const first = all(); return new Promise(done => { const wait = setInterval(() => { \
        if (all() !== first) { clearInterval(wait); done(true); } }, 100); setTimeout(() => done(false), 15000); })";
    assert_eq!(browser.run(drawn).await, true, "they move");
    burning.await.expect("nobody panics").0.expect("it burns");
    calm(&browser).await;
}

#[tokio::test]
async fn a_lock_is_seen_with_who_holds_it_and_who_waits() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    let ben = Seen::in_home(&home, "ben").await;
    open(&browser, &ann).await;
    browser.run("document.activeElement.blur()").await;
    browser.client.active_element().await.expect("the page").send_keys("gk").await.expect("it takes keys");
    browser.until("[data-panel=locks]", |text| text.contains("node.mutex(")).await;
    browser.picture("locks-empty").await;
    // A name that looks like markup is a name.
    let name = "<i>canvas</i>";
    let guard = within("the lock", ben.node.mutex(name).lock()).await.expect("it is free");
    let mutex = ann.node.mutex(name);
    let waiting = tokio::spawn(async move { mutex.lock().await });
    let cell = |column: &str| format!("table[data-table=locks] tr[data-id='{name}'] [data-column={column}]");
    let holder = browser.until(&cell("holder"), |text| text.contains("ben")).await;
    assert!(holder.contains(&guard.fence().to_string()), "{holder}");
    assert_eq!(browser.text(&cell("name")).await, name);
    browser.until(&cell("waiters"), |text| text.contains("ann") && text.contains("× 1")).await;
    assert!(browser.text(&cell("token")).await.contains("ben"));
    // It counts up by itself.
    browser.until(&cell("held"), |text| text.starts_with("2 s")).await;
    browser.fill("[data-role=search]", "nothing of this name").await;
    browser.until("[data-panel=locks]", |text| text.contains("Nothing here says")).await;
    browser.fill("[data-role=search]", "canvas").await;
    browser.until(&cell("holder"), |text| text.contains("ben")).await;
    // The next one has it.
    drop(guard);
    let next = within("the lock", waiting).await.expect("nobody panics").expect("it is given");
    let holder = browser.until(&cell("holder"), |text| text.contains("ann")).await;
    assert!(holder.contains(&next.fence().to_string()), "{holder}");
    browser.until(&cell("waiters"), |text| text == "–").await;
    drop(next);
    browser.until("[data-panel=locks]", |text| !text.contains("held for") && !text.contains("1 mutex is held")).await;
    calm(&browser).await;
}

#[tokio::test]
async fn a_variable_is_seen_changed_and_fought_over() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    let ben = Seen::in_home(&home, "ben").await;
    open(&browser, &ann).await;
    browser.click("[data-tab=variables]").await;
    browser.until("[data-panel=variables]", |text| text.contains("node.variable(")).await;
    browser.picture("variables-empty").await;
    // Names and values that look like markup are text, and large numbers keep their digits.
    let (name, markup) = ("a/<i>name</i>", "<img src=x onerror=alert(1)>".to_owned());
    let text = within("the variable", ben.node.variable(name, markup.clone())).await.expect("it is created");
    let number = within("the variable", ben.node.variable("number", u64::MAX)).await.expect("it is created");
    let row =
        |name: &str, column: &str| format!("table[data-table=variables] tr[data-id='{name}'] [data-column={column}]");
    browser.until(&row(name, "value"), |text| text.contains(&markup)).await;
    assert_eq!(browser.text(&row(name, "name")).await, name);
    browser.until(&row("number", "value"), |text| text == u64::MAX.to_string()).await;
    browser.until(&row("number", "homes"), |text| text.contains("ann") && text.contains("ben")).await;

    // The server looks for what is wanted.
    browser.fill("form[data-form=find] [name=prefix]", "num").await;
    browser.until("table[data-table=variables]", |text| text.contains("number") && !text.contains("name</i>")).await;
    browser.fill("form[data-form=find] [name=prefix]", "").await;
    browser.until("table[data-table=variables]", |text| text.contains("name</i>")).await;

    // Saved as it is if nobody else was faster, and fought over if somebody was.
    browser.click(&format!("{} button", row("number", "name"))).await;
    browser.until("form[data-form=variable] h2", |text| text == "number").await;
    browser.fill("form[data-form=variable] [name=value]", "18446744073709551614").await;
    browser.click("[data-role=save]").await;
    browser.until(&row("number", "value"), |text| text == (u64::MAX - 1).to_string()).await;
    assert_eq!(within("the value", number.get()).await, Ok(u64::MAX - 1));
    within("the write", number.set(7)).await.expect("it is written");
    browser.fill("form[data-form=variable] [name=value]", "8").await;
    browser.click("[data-role=save]").await;
    browser.until("[data-role=theirs]", |text| text == "7").await;
    browser.picture("variables-conflict").await;
    assert_eq!(within("the value", number.get()).await, Ok(7), "nothing is overwritten");
    browser.click("[data-role=overwrite]").await;
    browser.until(&row("number", "value"), |text| text == "8").await;
    browser.fill("form[data-form=variable] [name=value]", "no number").await;
    browser.click("[data-role=save]").await;
    browser.until("form[data-form=variable] [data-role=error]", |text| text.contains("this is no JSON")).await;

    within("the end", text.delete()).await.expect("it is deleted");
    browser.until("table[data-table=variables]", |text| !text.contains("name</i>")).await;
    calm_but(&browser, "412").await;
}

#[tokio::test]
async fn who_does_not_answer_for_its_locks_is_named() {
    let Some(browser) = Browser::or_skip().await else { return };
    let home = Home::new();
    let ann = Seen::in_home(&home, "ann").await;
    let worker = Worker::start(env!("CARGO_BIN_EXE_worker"), &home);
    open(&browser, &ann).await;
    browser.resize(360, 740).await;
    let row = format!("table[data-table=nodes] tr[data-id='{}'] [data-column=status]", worker.id);
    browser.until(&row, |text| text.contains("alive")).await;
    browser.click("[data-tab=locks]").await;
    let guard = within("the lock", ann.node.mutex("canvas").lock()).await.expect("it is free");
    browser.until("[data-panel=locks]", |text| text.contains("1 mutex is held")).await;
    let silent = "[data-role=unanswered]";
    assert_eq!(browser.text(silent).await, "");
    // It lives, and says nothing: two of two cannot go on without it.
    worker.stop();
    browser.until(silent, |text| text.contains("No answer from")).await;
    browser.picture("locks-silent-360").await;
    worker.resume();
    browser.until(silent, str::is_empty).await;
    drop(guard);
    calm(&browser).await;
}
