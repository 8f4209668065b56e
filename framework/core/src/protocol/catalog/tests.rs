use alloc::{string::ToString, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::wire::limits::{CATALOG_ENTRIES_MAX, CATALOG_VALUE_BYTES_MAX};

fn entries(copy: &Copy) -> Vec<(&str, &[u8])> {
    copy.with_prefix("").collect()
}

fn follow(writer: &Writer, copy: &mut Copy, after: u64, bytes_max: usize) {
    for delta in writer.deltas(after, bytes_max) {
        copy.apply(delta).unwrap();
    }
}

#[test]
fn a_copy_follows_its_writer() {
    let (mut writer, mut copy) = (Writer::default(), Copy::default());
    writer.set("fn/a", vec![1]).unwrap();
    writer.set("name", vec![2]).unwrap();
    follow(&writer, &mut copy, 0, 1000);
    let seen = writer.sequence();
    writer.remove("fn/a");
    writer.set("fn/b", vec![3]).unwrap();
    follow(&writer, &mut copy, seen, 1000);
    assert_eq!(entries(&copy), [("fn/b", &[3][..]), ("name", &[2][..])]);
    assert_eq!(copy.with_prefix("fn/").count(), 1);
}

#[test]
fn a_gap_is_not_taken() {
    let (mut writer, mut copy) = (Writer::default(), Copy::default());
    writer.set("a", vec![1]).unwrap();
    writer.set("b", vec![1]).unwrap();
    let late = writer.deltas(1, 1000).remove(0);
    assert_eq!(copy.apply(late), Err(Ignored::Gap { copy: 0, delta: 1 }));
    assert_eq!(entries(&copy), []);
}

#[test]
fn setting_the_same_again_is_no_change() {
    let mut writer = Writer::default();
    writer.set("a", vec![1]).unwrap();
    writer.set("a", vec![1]).unwrap();
    assert_eq!(writer.sequence(), 1);
}

#[test]
fn bounds_hold_on_both_sides() {
    let mut writer = Writer::default();
    let large = vec![0; CATALOG_VALUE_BYTES_MAX + 1];
    assert!(matches!(writer.set("a", large.clone()), Err(Refused::ValueTooLarge { .. })));
    for entry in 0..CATALOG_ENTRIES_MAX {
        writer.set(&entry.to_string(), vec![]).unwrap();
    }
    assert_eq!(writer.set("one more", vec![]), Err(Refused::Full));
    let hostile = Delta { after: 0, sequence: 1, changes: vec![Change { key: "a".to_string(), value: Some(large) }] };
    assert_eq!(Copy::default().apply(hostile), Err(Ignored::TooLarge));
}

proptest! {
    #[test]
    fn copies_are_equal_whatever_the_cuts(
        steps in proptest::collection::vec((0u8..6, any::<Option<u8>>(), any::<bool>()), 0..60),
        bytes_max in 1usize..200,
    ) {
        let (mut writer, mut early, mut seen) = (Writer::default(), Copy::default(), 0);
        for (key, value, sync) in steps {
            match value {
                Some(value) => writer.set(&key.to_string(), vec![value]).unwrap(),
                None => writer.remove(&key.to_string()),
            }
            if sync {
                follow(&writer, &mut early, seen, bytes_max);
                seen = writer.sequence();
            }
        }
        follow(&writer, &mut early, seen, bytes_max);
        let mut late = Copy::default();
        follow(&writer, &mut late, 0, bytes_max);
        prop_assert_eq!(entries(&early), entries(&late));
    }
}
