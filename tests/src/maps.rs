//! What is asked of any map.

use std::{collections::BTreeMap, pin::pin};

use futures::{Stream, StreamExt};
use guthi::{Done, MapError};

use crate::{cluster::within, functions::palindrome};

/// Takes in what a map gives; `watch` is told of each item, and how many there are with it.
///
/// # Panics
/// If an item comes twice, fails, or does not come.
pub async fn gather<T>(
    items: impl Stream<Item = Result<Done<T>, MapError>>,
    mut watch: impl FnMut(usize, &Done<T>),
) -> BTreeMap<usize, T> {
    let mut items = pin!(items);
    let mut outputs = BTreeMap::new();
    while let Some(done) = within("an item", items.next()).await {
        let done = done.expect("the map goes on");
        watch(outputs.len() + 1, &done);
        let twice = outputs.insert(done.index, done.output.expect("no item fails"));
        assert!(twice.is_none(), "item {} came twice", done.index);
    }
    outputs
}

/// Asserts that a map has told of each number up to the last whether it is a palindrome, and so many are.
///
/// # Panics
/// If it has not.
pub fn assert_palindromes(outputs: &BTreeMap<usize, bool>, last: usize, count: usize) {
    assert_eq!(outputs.len(), last + 1);
    assert!(outputs.keys().copied().eq(0..=last));
    assert!(outputs.iter().all(|(n, found)| *found == palindrome(*n as u64)));
    assert_eq!(outputs.values().filter(|found| **found).count(), count);
}
