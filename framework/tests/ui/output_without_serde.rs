//! Results that serde does not know, or knows in one direction only.

#[derive(serde::Serialize)]
struct Picture;

#[guthi::function]
fn render() -> Picture {
    Picture
}

#[guthi::function]
async fn render_or_not() -> Result<Picture, String> {
    Ok(Picture)
}

fn main() {}
