//! A context of somebody else.

struct Context;

#[guthi::function]
fn render(context: Context) {
    drop(context);
}

#[guthi::function]
async fn render_later(context: &Context) {
    let _ = context;
}

fn main() {}
