//! Options that do not exist, or make no sense.

#[guthi::function(name = "")]
fn empty() {}

#[guthi::function(name = "guthi.internal")]
fn reserved() {}

#[guthi::function(name = "two\nlines")]
fn control() {}

#[guthi::function(name = "long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.long.x")]
fn long() {}

#[guthi::function(name = 5)]
fn number() {}

#[guthi::function(name)]
fn nothing() {}

#[guthi::function(concurrency = 0)]
fn never() {}

#[guthi::function(concurrency = "four")]
fn text() {}

#[guthi::function(concurrency)]
fn unsaid() {}

#[guthi::function(once = true)]
fn flag() {}

#[guthi::function(once, once)]
fn twice() {}

#[guthi::function(onec)]
fn misspelt() {}

#[guthi::function("math.add")]
fn bare() {}

#[guthi::function(once inline)]
fn without_comma() {}

#[guthi::function(inline)]
async fn waits() {}

#[guthi::function(inline, concurrency = 4)]
fn contradicts() {}

fn main() {}
