//! Mutexes on real nodes, whose tasks and drivers run at the same time.

use guthi::Functions;
use guthi_tests::cluster::{Home, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_is_held_from_the_moment_on_at_which_a_task_has_it() {
    let home = Home::new();
    let _first = home.caller().await;
    for _ in 0..12 {
        let newcomer = home.node(Functions::none()).start().await.expect("it starts");
        // Its first lease and the guard come with the same step of the driver, and the task looks at once.
        let guard = within("the mutex", newcomer.mutex("m").lock()).await.expect("it is granted");
        assert!(guard.is_held());
        guard.unlock().await.expect("it was held");
        newcomer.leave().await.expect("it leaves");
    }
}
