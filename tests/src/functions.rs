//! Functions of every sort, the awkward ones above all.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use guthi::{Context, Functions, NodeId};
use tokio::sync::{Mutex, Notify};

/// What the functions of a node count, and the gate at which some of them wait.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    started: AtomicU64,
    cancelled: AtomicU64,
    dropped: AtomicU64,
    open: AtomicBool,
    begun: std::sync::Mutex<BTreeMap<u64, u32>>,
    fatal: Notify,
    turn: Mutex<()>,
    guards: std::sync::Mutex<Vec<guthi::Guard>>,
}

impl Counters {
    /// Runs that have begun.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.0.started.load(Ordering::SeqCst)
    }

    /// Plain functions that have noticed that nobody waits for them.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Async functions that were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// How often [`gate_at`] has begun each number.
    ///
    /// # Panics
    /// If a function did while it counted.
    #[must_use]
    pub fn begun(&self) -> BTreeMap<u64, u32> {
        self.0.begun.lock().expect("counting does not panic").clone()
    }

    /// Lets [`gate`] and [`gate_at`] pass.
    pub fn open(&self) {
        self.0.open.store(true, Ordering::SeqCst);
    }

    /// Resolves when [`fatal_at`] has met what is fatal.
    pub async fn fatal(&self) {
        self.0.fatal.notified().await;
    }

    fn of(ctx: &Context) -> Self {
        ctx.state::<Self>().expect("every node of these tests has it").as_ref().clone()
    }

    fn start(ctx: &Context) -> Self {
        let counters = Self::of(ctx);
        counters.0.started.fetch_add(1, Ordering::SeqCst);
        counters
    }
}

/// Counts that what holds it was dropped.
struct Dropped(Counters);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// All of them.
#[must_use]
pub fn all() -> Functions {
    let functions = Functions::none().with::<square>().with::<nothing>().with::<three>().with::<same>();
    let functions = functions.with::<nothing_async>().with::<length>().with::<letters>().with::<fails>();
    let functions = functions.with::<panics>().with::<panics_later>().with::<panics_inline>().with::<hang>();
    let functions = functions.with::<hang_async>().with::<hang_once>().with::<hang_if>().with::<gate>();
    let functions = functions.with::<one_at_a_time>().with::<counts>().with::<patience_ms>().with::<here>();
    let functions = functions.with::<palindrome>().with::<slow_palindrome>().with::<patient_palindrome>();
    let functions = functions.with::<slow_steps>().with::<patient_steps>();
    let functions = functions.with::<keep>().with::<is_kept>().with::<add_under>();
    let functions = functions.with::<crate::pipe::give_bulk>().with_stream::<counting>();
    let functions = functions.with_stream::<counting_async>().with_stream::<heavy>().with_stream::<never_streams>();
    let functions = functions.with_stream::<stops_at>().with_stream::<fails_to_stream>();
    let functions = functions.with_stream::<panics_in_stream>();
    functions.with::<prime>().with::<gate_at>().with::<fatal_at>().with::<fails_at>().with::<calls_back>()
}

/// Squares a number.
///
/// It wraps.
#[guthi::function]
pub fn square(n: u64) -> u64 {
    n.wrapping_mul(n)
}

/// Takes nothing and returns a constant.
#[guthi::function]
pub fn nothing() -> u8 {
    7
}

/// The same on the runtime.
#[guthi::function]
pub async fn nothing_async() -> u8 {
    tokio::task::yield_now().await;
    7
}

/// Takes three.
#[guthi::function]
pub fn three(a: u8, b: String, c: Vec<i64>) -> String {
    format!("{a} {b} {c:?}")
}

/// Returns what it is given.
#[guthi::function(inline)]
pub fn same(n: u64) -> u64 {
    n
}

/// How long a text is, of which every letter must be `x`.
#[guthi::function]
pub fn length(text: String) -> Result<u64, String> {
    if text.bytes().all(|byte| byte == b'x') { Ok(text.len() as u64) } else { Err("another letter".into()) }
}

/// A text of so many letters.
#[guthi::function]
pub fn letters(count: u64) -> String {
    "x".repeat(usize::try_from(count).expect("a size"))
}

/// Says no.
#[guthi::function]
pub fn fails(reason: String) -> Result<u8, String> {
    Err(reason)
}

/// The line on which [`panics`] panics.
pub const PANIC_LINE: u32 = line!() + 5;

/// Has a bug.
#[guthi::function]
pub fn panics(reason: String) {
    panic!("oh {reason}");
}

/// Has a bug behind an await.
#[guthi::function]
pub async fn panics_later(reason: String) {
    tokio::task::yield_now().await;
    panic!("later {reason}");
}

/// Has a bug where calls are read.
#[guthi::function(inline)]
pub fn panics_inline(reason: String) {
    panic!("at once {reason}");
}

fn hold(ctx: &Context) {
    let counters = Counters::start(ctx);
    while !ctx.is_cancelled() {
        thread::sleep(Duration::from_millis(1));
    }
    counters.0.cancelled.fetch_add(1, Ordering::SeqCst);
}

/// Runs until nobody waits for it.
#[guthi::function]
pub fn hang(ctx: Context) {
    hold(&ctx);
}

/// The same, and it must not run twice.
#[guthi::function(once)]
pub fn hang_once(ctx: Context) {
    hold(&ctx);
}

/// Runs until nobody waits for it, if it is told to.
#[guthi::function]
pub fn hang_if(ctx: Context, hang: bool) -> bool {
    if hang {
        hold(&ctx);
    }
    hang
}

/// Waits until it is dropped.
#[guthi::function]
pub async fn hang_async(ctx: Context) {
    let _dropped = Dropped(Counters::start(&ctx));
    std::future::pending::<()>().await;
}

/// Waits until the gate of its node is open, or nobody waits for it.
#[guthi::function]
pub fn gate(ctx: Context) -> NodeId {
    wait_at_gate(&ctx, &Counters::start(&ctx));
    ctx.node().expect("it runs on a node").id()
}

/// Waits at the gate of its node with one number, and must not run twice with any.
#[guthi::function(once)]
pub fn gate_at(ctx: Context, n: u64, gate: u64) -> u64 {
    let counters = Counters::start(&ctx);
    *counters.0.begun.lock().expect("counting does not panic").entry(n).or_default() += 1;
    if n == gate {
        wait_at_gate(&ctx, &counters);
    }
    n
}

fn wait_at_gate(ctx: &Context, counters: &Counters) {
    while !counters.0.open.load(Ordering::SeqCst) && !ctx.is_cancelled() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Hangs, but only once at a time.
#[guthi::function(concurrency = 1)]
pub fn one_at_a_time(ctx: Context, hang: bool) -> u8 {
    if hang {
        hold(&ctx);
    }
    1
}

/// What the functions of this node have counted: started, cancelled, dropped.
#[guthi::function]
pub async fn counts(ctx: Context) -> (u64, u64, u64) {
    // On the runtime, since the pool may be full of what it counts.
    tokio::task::yield_now().await;
    let counters = Counters::of(&ctx);
    (counters.started(), counters.cancelled(), counters.dropped())
}

/// How long its caller is going to wait.
#[guthi::function(inline)]
pub fn patience_ms(ctx: Context) -> Option<u64> {
    u64::try_from(ctx.time_left()?.as_millis()).ok()
}

/// The node that runs it, and the one that called.
#[guthi::function]
pub fn here(ctx: Context) -> (NodeId, NodeId) {
    (ctx.node().expect("it runs on a node").id(), ctx.caller().expect("it was called"))
}

/// Calls the caller back from within a call.
#[guthi::function]
pub async fn calls_back(ctx: Context, n: u64) -> Result<u64, guthi::CallError> {
    let (node, caller) = (ctx.node().expect("it runs on a node"), ctx.caller().expect("it was called"));
    node.call::<square>(n).on(caller).await
}

fn is_palindrome(n: u64) -> bool {
    let digits = u64::BITS - n.leading_zeros();
    n == 0 || n.reverse_bits() >> (u64::BITS - digits) == n
}

/// Whether a number reads the same backwards in binary.
#[guthi::function]
pub fn palindrome(n: u64) -> bool {
    is_palindrome(n)
}

/// The same, by a slow worker.
#[guthi::function]
pub fn slow_palindrome(n: u64) -> bool {
    thread::sleep(Duration::from_micros(300));
    is_palindrome(n)
}

/// The same by a worker that takes a millisecond of its runtime's clock for each, one after the other.
#[guthi::function]
pub async fn patient_palindrome(ctx: Context, n: u64) -> bool {
    let counters = Counters::of(&ctx);
    let _turn = counters.0.turn.lock().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    is_palindrome(n)
}

/// Takes a millisecond for each of so many steps, and says each time how far it is.
#[guthi::function]
pub fn slow_steps(ctx: Context, steps: u16) -> u16 {
    for step in 0..steps {
        ctx.progress(f32::from(step) / f32::from(steps));
        thread::sleep(Duration::from_millis(1));
        if ctx.is_cancelled() {
            return step;
        }
    }
    steps
}

/// The same on the runtime.
#[guthi::function]
pub async fn patient_steps(ctx: Context, steps: u16) -> u16 {
    for step in 0..steps {
        ctx.progress(f32::from(step) / f32::from(steps));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    steps
}

/// Whether a number is prime.
#[guthi::function]
pub fn prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// Takes its node down if the numbers are equal: whoever waits for [`Counters::fatal`] has to kill it.
#[guthi::function]
pub async fn fatal_at(ctx: Context, n: u64, fatal: u64) -> u64 {
    if n == fatal {
        Counters::of(&ctx).0.fatal.notify_one();
        std::future::pending::<()>().await;
    }
    n
}

/// Fails if the numbers are equal.
#[guthi::function]
pub fn fails_at(n: u64, fatal: u64) -> Result<u64, String> {
    if n == fatal { Err(format!("not {n}")) } else { Ok(n) }
}

/// Counts up to a number.
#[guthi::function]
pub fn counting(up_to: u64) -> impl Stream<Item = u64> {
    stream::iter(0..up_to)
}

/// The same, with a wait before each hundredth.
#[guthi::function]
pub async fn counting_async(up_to: u64) -> impl Stream<Item = u64> {
    tokio::task::yield_now().await;
    stream::iter(0..up_to).then(async |n| {
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
        n
    })
}

/// Gives so many texts of so many bytes, and counts each as it is given.
#[guthi::function]
pub fn heavy(ctx: Context, count: u64, bytes: usize) -> impl Stream<Item = String> {
    stream::iter(0..count).map(move |_| {
        Counters::start(&ctx);
        "x".repeat(bytes)
    })
}

/// Gives so many numbers, and then waits for ever.
#[guthi::function]
pub fn never_streams(ctx: Context, count: u64) -> impl Stream<Item = u64> {
    let dropped = Dropped(Counters::start(&ctx));
    stream::iter(0..count).chain(stream::once(async move {
        let _dropped = &dropped;
        std::future::pending().await
    }))
}

/// Counts up to where it fails.
#[guthi::function]
pub fn stops_at(fatal: u64) -> impl Stream<Item = Result<u64, String>> {
    stream::iter(0..).map(move |n| if n == fatal { Err(format!("not {n}")) } else { Ok(n) })
}

/// Fails before it gives anything.
#[guthi::function]
pub async fn fails_to_stream() -> Result<impl Stream<Item = u64>, String> {
    tokio::task::yield_now().await;
    if std::hint::black_box(true) { Err("no stream".to_owned()) } else { Ok(stream::empty()) }
}

/// Counts up to where it panics.
#[guthi::function]
pub fn panics_in_stream(fatal: u64) -> impl Stream<Item = u64> {
    stream::iter(0..).inspect(move |n| assert!(*n != fatal, "at {n}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn palindromes_and_primes_are_what_they_should_be() {
        let palindromes: Vec<_> = (0..=33).filter(|n| palindrome(*n)).collect();
        assert_eq!(palindromes, [0, 1, 3, 5, 7, 9, 15, 17, 21, 27, 31, 33]);
        let primes: Vec<_> = (0..30).filter(|n| prime(*n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    }
}

/// Keeps a core busy for so many milliseconds.
#[guthi::function]
pub fn burns(ctx: Context, milliseconds: u64) -> u64 {
    let until = std::time::Instant::now() + Duration::from_millis(milliseconds.min(60_000));
    let mut rounds = 0;
    while std::time::Instant::now() < until && !ctx.is_cancelled() {
        rounds = std::hint::black_box(rounds + 1);
    }
    rounds
}

/// Takes a mutex and keeps it; gives the fence.
#[guthi::function]
pub async fn keep(ctx: Context, name: String) -> Result<String, guthi::LockError> {
    let counters = Counters::of(&ctx);
    let Some(node) = ctx.node() else { return Err(guthi::LockError::Left) };
    let guard = node.mutex(name).lock().await?;
    let fence = guard.fence().to_string();
    counters.0.guards.lock().expect("keeping does not panic").push(guard);
    Ok(fence)
}

/// Whether each of the guards that were kept is held, in the order in which they were taken.
#[guthi::function]
pub fn is_kept(ctx: Context) -> Vec<bool> {
    let counters = Counters::of(&ctx);
    let guards = counters.0.guards.lock().expect("keeping does not panic");
    guards.iter().map(guthi::Guard::is_held).collect()
}

/// Adds each of these numbers to the one in a file, under the mutex of its name. What it has added is noted in the file with
/// it: the sum, and after it the last number of each row, by the row's first one.
#[guthi::function]
pub async fn add_under(ctx: Context, path: PathBuf, from: u64, to: u64) -> Result<u64, String> {
    let node = ctx.node().ok_or("the node has left")?;
    let mutex = node.mutex(path.display().to_string());
    loop {
        let guard = mutex.lock().await.map_err(|error| error.to_string())?;
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(|word| word.parse::<u64>().expect("only numbers are written"));
        let sum = numbers.next().unwrap_or(0);
        let mut rows: Vec<(u64, u64)> = Vec::new();
        while let Some((row, last)) = numbers.next().zip(numbers.next()) {
            rows.push((row, last));
        }
        let next = rows.iter().find(|(row, _)| *row == from).map_or(from, |(_, last)| last + 1);
        if next > to {
            return Ok(sum);
        }
        rows.retain(|(row, _)| *row != from);
        rows.push((from, next));
        let rows: String = rows.iter().map(|(row, last)| format!(" {row} {last}")).collect();
        let new = path.with_extension(guard.fence().to_string());
        std::fs::write(&new, format!("{}{rows}", sum + next)).map_err(|error| error.to_string())?;
        if guard.is_held() {
            std::fs::rename(&new, &path).map_err(|error| error.to_string())?;
        }
        drop(guard);
    }
}
