//! Operations as people like to see them: a lane for each client, time from left to right.

use super::{Client, Model, Moment, Operation};

/// Draws the operations `shown`, and marks one of them. Two columns compare as the times do; lengths mean nothing.
///
/// ```text
/// client 1 │├ set 5 ┤
/// client 2 │         ├ set 7 ┤
/// client 3 │                  ├ get = 5 ┤  <- does not fit
/// ```
pub fn picture<M: Model>(model: &M, operations: &[Operation<M::Op, M::Ret>], shown: &[usize], marked: usize) -> String {
    let mut bars: Vec<Bar> = shown
        .iter()
        .map(|&index| {
            let operation = &operations[index];
            Bar {
                client: operation.client,
                label: model.describe(&operation.op, operation.ret()),
                start: operation.start,
                end: operation.end(),
                marked: index == marked,
                from: 0,
                to: 0,
            }
        })
        .collect();
    bars.sort_unstable_by_key(|bar| bar.start);
    place(&mut bars);
    lanes(&bars) + &times(&bars)
}

struct Bar {
    client: Client,
    label: String,
    start: Moment,
    end: Moment,
    marked: bool,
    /// Columns.
    from: usize,
    to: usize,
}

/// Gives each start and each end a column of its own, in their order, so that the labels fit.
fn place(bars: &mut [Bar]) {
    let mut events: Vec<(Moment, usize)> =
        bars.iter().enumerate().flat_map(|(index, bar)| [(bar.start, index), (bar.end, index)]).collect();
    events.sort_unstable();
    let mut column = 0;
    for (moment, index) in events {
        let bar = &mut bars[index];
        if moment == bar.start {
            bar.from = column;
        } else {
            column = column.max(bar.from + bar.label.chars().count() + 3);
            bar.to = column;
        }
        column += 1;
    }
}

fn lanes(bars: &[Bar]) -> String {
    let mut clients: Vec<Client> = Vec::new();
    for bar in bars {
        if !clients.contains(&bar.client) {
            clients.push(bar.client);
        }
    }
    let name_width = clients.iter().map(|client| client.to_string().len()).max().unwrap_or(0);
    let mut text = String::new();
    for client in clients {
        let mut lane = String::new();
        let mut column = 0;
        let mut mark = "";
        for bar in bars.iter().filter(|bar| bar.client == client) {
            lane.extend(std::iter::repeat_n(' ', bar.from - column));
            lane += &format!("├ {} ", bar.label);
            let (fill, last) = if bar.end == Moment::NEVER { ('╌', '…') } else { ('─', '┤') };
            lane.extend(std::iter::repeat_n(fill, bar.to - bar.from - bar.label.chars().count() - 3));
            lane.push(last);
            column = bar.to + 1;
            if bar.marked {
                mark = "  <- does not fit";
            }
        }
        text += &format!("client {:<name_width$} │{lane}{mark}\n", client.0);
    }
    text
}

fn times(bars: &[Bar]) -> String {
    let width = |time: u64| time.to_string().len();
    let start_width = bars.iter().map(|bar| width(bar.start.time)).max().unwrap_or(0);
    let end_width =
        bars.iter().filter(|bar| bar.end != Moment::NEVER).map(|bar| width(bar.end.time)).max().unwrap_or(1);
    bars.iter()
        .map(|bar| {
            let end = if bar.end == Moment::NEVER { "?".to_owned() } else { bar.end.time.to_string() };
            let start = bar.start.time;
            format!("  {start:>start_width$} .. {end:<end_width$}  client {}: {}\n", bar.client, bar.label)
        })
        .collect()
}
