//! An error that cannot be told to the caller.

struct Refusal;

#[guthi::function]
fn render() -> Result<u8, Refusal> {
    Err(Refusal)
}

fn main() {}
