//! `guthi view` and `guthi sees`.

use serde_json::Value;

use crate::{
    client::Client,
    failure::Failure,
    screen::Screen,
    table::{Cell, Grid},
    text::plain,
};

/// Shows the view.
pub(crate) fn show(client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.get("/view", &[])?;
    if screen.is_json() {
        return screen.json(&answer);
    }
    let view = &answer["view"];
    let word = |key: &str| plain(view[key].as_str().unwrap_or("–"));
    let state = match (view["isolated"].as_bool(), view["active"].as_bool()) {
        (Some(true), _) => screen.word("isolated"),
        (_, Some(false)) => "not active yet".into(),
        _ => "active".into(),
    };
    screen.line(&format!("epoch {} of the lineage {}, {state}", word("epoch"), word("lineage")))?;
    let mut grid = Grid::new(&[("MEMBER", 0), ("ID", 0), ("INCARNATION", 1)]);
    for member in view["members"].as_array().into_iter().flatten() {
        let text = |key: &str| Cell::from(member[key].as_str().unwrap_or_default());
        grid.row(vec![text("name"), text("short"), text("incarnation")]);
    }
    screen.grid(&grid)
}

/// Shows who sees whom: a line for each node, and what it sees in the columns.
pub(crate) fn sees(client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.get("/sees", &[])?;
    if screen.is_json() {
        return screen.json(&answer);
    }
    screen.print(&matrix(&answer))?;
    for disagreement in answer["disagreements"].as_array().into_iter().flatten() {
        screen.line(&plain(disagreement["text"].as_str().unwrap_or_default()))?;
    }
    Ok(())
}

/// Columns are numbered, so that sixty-four of them fit; the numbers stand before the names.
fn matrix(answer: &Value) -> String {
    let nodes = answer["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |id: &Value| {
        let known = nodes.iter().find(|node| node["id"] == *id);
        plain(known.and_then(|node| node["name"].as_str()).unwrap_or("?"))
    };
    let rows: Vec<_> =
        answer["rows"].as_array().into_iter().flatten().map(|row| (name(&row["observer"]), row)).collect();
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max("SEES".len());
    let mut text = format!("{:>2}  {:longest$}", "", "SEES");
    for number in 1..=nodes.len() {
        text.push_str(&format!(" {number:>2}"));
    }
    text.push('\n');
    for (number, (name, row)) in (1..).zip(&rows) {
        text.push_str(&format!("{number:>2}  {name:longest$}"));
        for seen in row["sees"].as_array().into_iter().flatten() {
            text.push_str(match seen.as_bool() {
                Some(true) => "  +",
                Some(false) => "  x",
                None => "  ·",
            });
        }
        text.push('\n');
    }
    text.push_str("+ sees   x does not   · itself, or not known\n");
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_one_way_link_can_be_seen() {
        let nodes: Vec<_> = ["ann", "ben", "cat"].iter().map(|name| json!({"id": name, "name": name})).collect();
        let rows = json!([
            {"observer": "ann", "sees": [null, true, true]},
            {"observer": "ben", "sees": [true, null, false]},
            {"observer": "cat", "sees": [true, true, null]},
        ]);
        let expected = "    SEES  1  2  3\n 1  ann   ·  +  +\n 2  ben   +  ·  x\n 3  cat   +  +  ·\n";
        assert!(matrix(&json!({"nodes": nodes, "rows": rows})).starts_with(expected));
    }
}
