//! What machines did in the last minutes, as far as somebody looked.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use guthi::NodeId;
use parking_lot::Mutex;
use serde::Serialize;

use crate::json::Known;

/// How often machines are looked at.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// Points that are kept of each node, for this long.
pub(crate) const POINTS_MAX: usize = 900;
const AGE_MAX_MS: u64 = 900_000;

/// The last 900 points of each node that was looked at.
#[derive(Debug, Default)]
pub(crate) struct History {
    nodes: Mutex<HashMap<NodeId, VecDeque<Point>>>,
}

/// What a machine did at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Point {
    pub(crate) at_ms: u64,
    pub(crate) cpu: Option<f64>,
    pub(crate) memory: f64,
    pub(crate) available_bytes: u64,
    pub(crate) calls: u32,
}

impl Point {
    pub(crate) const fn new(at_ms: u64, known: &Known) -> Self {
        Self {
            at_ms,
            cpu: known.cpu_usage,
            memory: known.memory_load,
            available_bytes: known.available_bytes,
            calls: known.calls,
        }
    }
}

impl History {
    /// Adds one point for each node, and lets go of what is too old.
    pub(crate) fn add(&self, at_ms: u64, points: impl Iterator<Item = (NodeId, Point)>) {
        let mut nodes = self.nodes.lock();
        for (node, point) in points {
            nodes.entry(node).or_default().push_back(point);
        }
        nodes.retain(|_, points| {
            let is_old = |point: &Point| point.at_ms + AGE_MAX_MS < at_ms;
            while points.len() > POINTS_MAX || points.front().is_some_and(is_old) {
                points.pop_front();
            }
            !points.is_empty()
        });
    }

    /// The newest points of a node, so many at most, the oldest of them first.
    pub(crate) fn of(&self, node: NodeId, limit: usize) -> Vec<Point> {
        let nodes = self.nodes.lock();
        let Some(points) = nodes.get(&node) else { return Vec::new() };
        points.iter().skip(points.len().saturating_sub(limit)).copied().collect()
    }

    /// All of it: `[at_ms, cpu, memory, calls]` for each point, by node.
    pub(crate) fn compact(&self) -> HashMap<String, Vec<Compact>> {
        let compact = |point: &Point| (point.at_ms, point.cpu, point.memory, point.calls);
        let nodes = self.nodes.lock();
        nodes.iter().map(|(node, points)| (node.to_string(), points.iter().map(compact).collect())).collect()
    }
}

type Compact = (u64, Option<f64>, f64, u32);

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ms: u64) -> Point {
        Point { at_ms, cpu: None, memory: 1.0, available_bytes: 1, calls: 0 }
    }

    #[test]
    fn what_is_old_or_too_much_goes() {
        let (history, [ann, ben]) = (History::default(), [NodeId([1; 32]), NodeId([2; 32])]);
        history.add(0, [(ben, point(0))].into_iter());
        for at_ms in (0..2000).map(|n| n * 500) {
            history.add(at_ms, [(ann, point(at_ms))].into_iter());
        }
        assert_eq!(history.of(ann, usize::MAX).len(), POINTS_MAX);
        assert_eq!(history.of(ann, 2).iter().map(|point| point.at_ms).collect::<Vec<_>>(), [999_000, 999_500]);
        assert!(history.of(ben, 1).is_empty());
        history.add(3_000_000, std::iter::empty());
        assert!(history.compact().is_empty());
    }
}
