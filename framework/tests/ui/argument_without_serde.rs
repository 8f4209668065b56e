//! A type that serde does not know.

struct Tile;

#[guthi::function]
fn render(tile: Tile) {
    drop(tile);
}

#[guthi::function]
fn render_twice(tile: Tile, times: u8) {
    drop((tile, times));
}

#[guthi::function]
fn render_all(tiles: Vec<Tile>) {
    drop(tiles);
}

fn main() {}
