//! Bytes that have been sent once must be understood for ever, or the wire version must rise.

use std::time::Duration;

use guthi_core::{
    protocol::{
        catalog::{Change, Delta, Head, Message},
        detector::{self, Load, Vitals},
        packet::{FunctionEntry, Packet, Whereabouts},
        view::{At, Epoch, Lineage, Standing},
    },
    wire::{
        codec,
        id::{Incarnation, Member, NodeId},
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Trace,
    calls::message::{Answer, Batch, CallHeader, Named, Refusal, flags},
};

/// These bytes are this value, and this value is these bytes.
fn golden<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, bytes: &[u8]) {
    assert_eq!(codec::decode::<T>(bytes).as_ref(), Ok(value), "old bytes are read");
    assert_eq!(codec::encode(value, 1024).unwrap(), bytes, "{value:?} is written as before");
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn packets_keep_their_bytes() {
    let detector = |message, bytes: &[u8]| golden(&Packet::Detector(message), bytes);
    detector(detector::Message::Echo { sequence: 300, standing: None }, &[0, 0, 0xac, 2, 0]);
    let at = At { lineage: Lineage([6; 16]), epoch: Epoch(300) };
    let vitals = Vitals { load: Load { cpu: 99, memory: 200, calls: 300 }, hears: 5 };
    let reply = detector::Message::EchoReply { sequence: 1, standing: Some(Standing { at, wedged: true }), vitals };
    detector(reply, &joined(&[&[0, 1, 1, 1], &[6; 16], &[0xac, 2, 1], &[99, 200, 0xac, 2, 5]]));
    detector(detector::Message::Leaving, &[0, 2]);
    let of = Member { node: NodeId([9; 32]), incarnation: Incarnation(5) };
    let head = Head { of, sequence: 300 };
    let have = Message::Have { link: 4, heads: vec![head] };
    golden(&Packet::Catalog(have), &joined(&[&[1, 0, 4, 1], &[9; 32], &[5, 0xac, 2]]));
    golden(&Packet::Catalog(Message::Pull(head)), &joined(&[&[1, 2], &[9; 32], &[5, 0xac, 2]]));
    golden(&Packet::Catalog(Message::Taken { link: 4, head }), &joined(&[&[1, 3, 4], &[9; 32], &[5, 0xac, 2]]));
    let change = |key: &str, sequence, value| Change { key: key.into(), sequence, value };
    let changes = vec![change("fn/a", 2, Some(vec![7, 8])), change("node/name", 3, None)];
    let delta = Packet::Catalog(Message::Delta(Delta { of, after: 1, sequence: 3, floor: 1, changes }));
    let bytes = [&[1, 1], &[9; 32][..], &[5, 1, 3, 1, 2, 4], b"fn/a", &[2, 1, 2, 7, 8, 9], b"node/name", &[3, 0]];
    golden(&delta, &joined(&bytes));
    golden(&Packet::PeersWanted, &[2]);
    let member = Member { node: NodeId([9; 32]), incarnation: Incarnation(5) };
    let peers = Packet::Peers(vec![Whereabouts { member, addresses: vec!["/ip4/1.2.3.4".into()] }]);
    golden(&peers, &joined(&[&[3, 1], &[9; 32], &[5, 1, 12], b"/ip4/1.2.3.4"]));
}

#[test]
fn descriptions_of_functions_keep_their_bytes() {
    let entry = FunctionEntry { signature: 128, shape: "() -> u8".into(), docs: "One.".into(), once: true };
    golden(&entry, &joined(&[&[0x80, 1, 8], b"() -> u8", &[4], b"One.", &[1]]));
}

#[test]
fn the_headers_of_calls_keep_their_bytes() {
    golden(&CallHeader { function: 3, named: None, deadline_ms: 0 }, &[3, 0, 0]);
    let named = Some(Named { name: "add".into(), signature: 1 });
    let apart = CallHeader { function: u32::MAX, named, deadline_ms: 30_000 };
    golden(&apart, &joined(&[&[255, 255, 255, 255, 15, 1, 3], b"add", &[1, 0xb0, 0xea, 1]]));
    assert_eq!([flags::BATCH, flags::JSON, flags::REFUSED, flags::PROGRESS, flags::TRACED], [1, 2, 4, 8, 16]);
    let trace = Some(Trace { id: 0x0102 << 112, span: 0x0304 });
    let header = CallHeader { function: 3, named: None, deadline_ms: 0 };
    let mut body = Vec::new();
    header.put(trace, &mut body);
    assert_eq!(body, joined(&[&[3, 0, 0], &[0; 14], &[2, 1], &[4, 3], &[0; 6]]));
    body.push(7);
    assert_eq!(CallHeader::take(flags::TRACED, &body), Ok((header, trace, &[7][..])));
}

#[test]
fn refusals_keep_their_bytes() {
    golden(&Refusal::NoSuchFunction, &[0]);
    golden(&Refusal::SignatureMismatch { there: "x".into() }, &[1, 1, b'x']);
    golden(&Refusal::InvalidArguments { message: "y".into() }, &[2, 1, b'y']);
    golden(&Refusal::Overloaded, &[3]);
    golden(&Refusal::Cancelled { started: true }, &[4, 1]);
    golden(&Refusal::Deadline { started: false }, &[5, 0]);
    golden(&Refusal::ResultTooLarge { bytes: 128, limit: 127 }, &[6, 0x80, 1, 127]);
    golden(&Refusal::Failed { message: "no".into() }, &[7, 2, b'n', b'o']);
    let panicked = Refusal::Panicked { message: "oh".into(), location: "a:1".into() };
    golden(&panicked, &[8, 2, b'o', b'h', 3, b'a', b':', b'1']);
}

#[test]
fn reply_frames_keep_their_bytes() {
    let mut frames = Vec::new();
    Answer::Value(vec![42]).put(&mut frames, flags::JSON, 258);
    assert_eq!(frames, [13, 0, 0, 0, 1, 3, 2, 0, 2, 1, 0, 0, 0, 0, 0, 0, 42]);
    frames.clear();
    Answer::Refused(Refusal::Overloaded).put(&mut frames, flags::JSON, 1);
    assert_eq!(frames, [13, 0, 0, 0, 1, 3, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3]);
}

#[test]
fn batches_keep_their_bytes() {
    let mut batch = Batch::timed();
    for (tag, content) in [(Batch::VALUE, &b"ab"[..]), (Batch::REFUSED, &[3])] {
        batch.push(|buffer| {
            buffer.extend_from_slice(content);
            tag
        });
    }
    let bytes = batch.took(Duration::from_nanos(513));
    assert_eq!(bytes, [1, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'a', b'b', 1, 1, 0, 0, 0, 3]);
    let (took, results) = Batch::split_time(&bytes).unwrap();
    assert_eq!(took, Duration::from_nanos(513));
    let entries: Option<Vec<_>> = Batch::entries(results).collect();
    assert_eq!(entries, Some(vec![(Batch::VALUE, &b"ab"[..]), (Batch::REFUSED, &[3][..])]));
}

#[test]
fn a_batch_that_is_cut_short_is_noticed_wherever_it_is_cut() {
    let mut batch = Batch::default();
    batch.push(|buffer| {
        buffer.extend_from_slice(b"abc");
        Batch::VALUE
    });
    for end in 1..batch.0.len() {
        assert!(Batch::entries(&batch.0[..end]).any(|entry| entry.is_none()), "{end}");
    }
    assert!(Batch::entries(&[0, 255, 255, 255, 255, 1]).any(|entry| entry.is_none()), "a huge length");
}

#[test]
fn what_no_version_ever_wrote_is_refused() {
    assert!(codec::decode::<Packet>(&[6]).is_err(), "an unknown packet");
    assert!(codec::decode::<Refusal>(&[9]).is_err(), "an unknown refusal");
    assert!(codec::decode::<Packet>(&[5, 0]).is_err(), "bytes behind a packet");
    assert!(codec::decode::<Packet>(&[4, 255, 255, 255, 255, 15]).is_err(), "more peers than bytes");
    // An answer that cannot be read is an unknown outcome, not a refusal.
    assert!(matches!(Answer::take(flags::REFUSED, &[77]), Answer::Lost(_)));
}
