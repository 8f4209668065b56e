//! What is said again if it is not answered.

use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;

use super::{Prefix, Version};
use crate::{
    protocol::{home::Shard, time::Time},
    wire::name::Name,
};

/// What waits for an answer. If it has one, or if something else is asked in its place, nothing is said again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Asking {
    /// For a copy, under this number.
    Read(Name, u64),
    /// For a copy of what was lost, as long as somebody watches it.
    Watched(Name),
    /// For the first piece of what somebody has whose names begin so.
    Follow(Prefix, u16),
    /// For somebody who follows to know this piece, of its question of that number.
    News(u16, u64, u64),
    /// For what came of the batch of this number.
    Write(Name, u64),
    /// For the acknowledgements of this version.
    Commit(Name, Version),
    /// For somebody to know this piece of what this life, or an earlier one, has had.
    Report(u16, bool, u32),
    /// For records, while so many are missing.
    Pull(Shard, usize),
    /// For somebody to have this piece of a shard.
    Fill(Shard, u16, u32),
    /// For somebody to forget what it has kept.
    Release(u16, bool),
}

/// Those that wait, by how often they were repeated, in the order in which their time comes: each repetition doubles the pause.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Again {
    min: Duration,
    waiting: Vec<VecDeque<(Time, Asking)>>,
}

impl Again {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        let levels = (0..16).take_while(|level| min * (1 << level) <= max).count().max(1);
        Self { min, waiting: alloc::vec![VecDeque::new(); levels] }
    }

    /// It was said now, for the first time or again.
    pub(super) fn push(&mut self, now: Time, level: usize, asking: Asking) {
        let level = level.min(self.waiting.len() - 1);
        self.waiting[level].push_back((now + self.min * (1 << level), asking));
    }

    pub(super) fn clear(&mut self) {
        self.waiting.iter_mut().for_each(VecDeque::clear);
    }

    /// Takes those whose time has come, each with how often it was said.
    pub(super) fn due(&mut self, now: Time) -> Vec<(usize, Asking)> {
        let mut due = Vec::new();
        for (level, waiting) in self.waiting.iter_mut().enumerate() {
            while let Some((_, asking)) = waiting.pop_front_if(|(at, _)| *at <= now) {
                due.push((level + 1, asking));
            }
        }
        due
    }

    /// Takes all.
    pub(super) fn all(&mut self) -> Vec<(usize, Asking)> {
        let waiting = self.waiting.iter_mut().enumerate();
        waiting.flat_map(|(level, waiting)| waiting.drain(..).map(move |(_, it)| (level, it))).collect()
    }

    pub(super) fn first(&self) -> Option<Time> {
        self.waiting.iter().filter_map(|waiting| waiting.front().map(|(at, _)| *at)).min()
    }
}
