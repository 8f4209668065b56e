//! Three nodes in this process, on virtual time: a map, one node killed half-way, an hour in a moment.
//!
//! Run it: `cargo run -p guthi --features testing --example simulate`. Another seed is another course of events, the
//! same seed the same again: `.. --example simulate -- 7`.
use std::time::Duration;

use futures::StreamExt;
use guthi::testing::Cluster;

/// Whether a number is prime; it takes a while to tell.
#[guthi::function]
async fn is_prime(n: u64) -> bool {
    tokio::time::sleep(Duration::from_millis(n % 100)).await;
    n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let began = std::time::Instant::now();
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut cluster = Cluster::builder().nodes(3).seed(seed).start().await;
    let say = |cluster: &Cluster, what: &str| println!("{:9.3} s  {what}", cluster.elapsed().as_secs_f64());
    say(&cluster, "a, b and c are linked");

    let mut events = cluster.node(0).events();
    let mut primes = 0;
    let mut done = [0; 3];
    let mut items = Box::pin(cluster.node(0).map::<is_prime>(0..10_000).stream());
    while let Some(item) = items.next().await {
        let item = item.expect("the map goes on");
        primes += u64::from(item.output.expect("it cannot fail"));
        done[cluster.index_of(item.node).expect("it is one of the three")] += 1;
        if done.iter().sum::<u64>() == 5_000 {
            say(&cluster, "half of the items are done; b is killed");
            cluster.kill(1);
        }
    }
    say(&cluster, &format!("{primes} primes below 10,000; a, b and c did {done:?} of the items"));

    cluster.advance(Duration::from_secs(3600)).await;
    say(&cluster, "an hour later");
    cluster.restart(1).await;
    say(&cluster, "b is back, and a has seen this:");
    cluster.settle().await;
    cluster.kill(0);
    while let Some(event) = events.next().await {
        let peer = event.peer().expect("no event is missed");
        println!("             {} {} {}", peer.name, event.name(), peer.reason.as_deref().unwrap_or_default());
    }
    println!("all of it in {:.1?} of real time", began.elapsed());
}
