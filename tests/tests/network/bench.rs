//! The benchmarks: their processes start, find each other and measure.

use std::process::Command;

use serde_json::Value;

fn figures(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn watching_is_measured() {
    let figures = figures(&["watch", "--json", "--rounds", "1", "--listed", "200", "--mebibytes", "8"]);
    for name in
        ["change_to_remote_p50_ratio", "ephemeral_p50_ratio", "prefix_100k_listing_ms", "channel_bulk_ratio", "call_us"]
    {
        assert!(figures[name].is_number(), "{name}: {figures}");
    }
    assert_eq!(figures["listed"], 200);
    assert!(figures["bulk"]["call_beside_channel_p99_us"].as_f64() > Some(0.0), "{figures}");
}
