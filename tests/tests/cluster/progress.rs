//! How far a call is, as its caller is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use guthi::{Context, Functions};
use guthi_tests::{
    cluster::{members, within},
    functions::{patient_steps, slow_steps},
};
use tokio::time::Instant;

use super::Home;

/// As often as a caller is told at most.
const INTERVAL: Duration = Duration::from_millis(50);
const STEPS: u16 = 300;

/// What was told, and when.
#[derive(Clone, Debug)]
struct Told {
    begin: Instant,
    shares: Arc<Mutex<Vec<(Duration, f32)>>>,
}

impl Told {
    fn new() -> Self {
        Self { begin: Instant::now(), shares: Arc::default() }
    }

    fn callback(&self) -> impl FnMut(f32) + Send + 'static {
        let told = self.clone();
        move |share| told.shares.lock().unwrap().push((told.begin.elapsed(), share))
    }

    fn shares(&self) -> Vec<(Duration, f32)> {
        self.shares.lock().unwrap().clone()
    }

    /// A step for each millisecond was told seldom, in order, from the first to nearly the last.
    fn assert_steps(&self, how: &str) {
        let (shares, took) = (self.shares(), self.begin.elapsed());
        let (first, last) = (shares.first().expect(how), shares.last().expect(how));
        assert!(first.1 == 0.0 && first.0 < INTERVAL, "{how}: the first is told at once: {shares:?}");
        assert!(shares.is_sorted_by(|a, b| a.1 < b.1), "{how}: {shares:?}");
        assert!(last.1 > 0.6, "{how}: {shares:?}");
        let most = took.as_millis() / INTERVAL.as_millis() + 2;
        assert!(shares.len() >= 3 && shares.len() as u128 <= most, "{how}: {took:?} {shares:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_seldom_however_often_a_function_says_it() {
    let mut home = Home::new().await;
    let (server, _) = home.server().await;
    let caller = home.caller().await;
    for (how, node) in [("elsewhere", &caller), ("on this node", &server)] {
        let told = Told::new();
        let call = node.call::<patient_steps>(STEPS).on(&server).on_progress(told.callback());
        assert_eq!(within(how, call).await, Ok(STEPS));
        told.assert_steps(how);
        let told = Told::new();
        let call = node.call::<slow_steps>(STEPS).on(&server).on_progress(told.callback());
        assert_eq!(within(how, call).await, Ok(STEPS));
        told.assert_steps(how);
        let told = Told::new();
        let call = node.call_named("patient_steps", STEPS.into()).on_progress(told.callback());
        assert_eq!(within(how, call).await, Ok(STEPS.into()));
        told.assert_steps(how);
    }
}

/// Says what is far and what is no share at all, and is done.
#[guthi::function]
async fn hurries(ctx: Context) -> u8 {
    for share in [0.25, 0.5, f32::NAN, 7.0] {
        ctx.progress(share);
        tokio::task::yield_now().await;
    }
    1
}

#[tokio::test(start_paused = true)]
async fn a_result_waits_for_no_progress_and_none_comes_after_it() {
    let mut home = Home::new().await;
    let server = home.start(|node| node.functions(Functions::none().with::<hurries>())).await;
    let caller = home.caller().await;
    members(&caller, 2).await;
    for node in [&caller, &server] {
        let told = Told::new();
        let call = node.call::<hurries>(()).on(&server).on_progress(told.callback());
        assert_eq!(within("it hurries", call).await, Ok(1));
        assert!(told.begin.elapsed() < INTERVAL);
        home.cluster.advance(4 * INTERVAL).await;
        let shares: Vec<_> = told.shares().into_iter().map(|(_, share)| share).collect();
        assert_eq!(shares, [0.25], "the result was there before the next");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_need_ask() {
    let mut home = Home::new().await;
    let (_server, _) = home.server().await;
    let caller = home.caller().await;
    assert_eq!(within("unasked", caller.call::<patient_steps>(STEPS)).await, Ok(STEPS));
    assert_eq!(within("unasked", caller.map::<patient_steps>([3, 4])).await.unwrap(), [3, 4]);
}
