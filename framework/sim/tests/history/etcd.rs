//! The histories of etcd that Jepsen recorded in 2014, as they come with the crate `todc-utils`.
//!
//! Their verdicts are those of the tests of that crate, which took them from Horn's checker.

use std::{fs, path::PathBuf, process::Command};

use guthi_sim::history::{Answer, Call, Client, Expected, History, Reply, Variable, is_witness, search};
use todc_utils::{linearizability::WGLChecker, specifications::etcd};

const GOOD: [u32; 23] = [2, 5, 7, 18, 25, 31, 38, 45, 48, 49, 51, 53, 56, 67, 75, 76, 80, 87, 92, 98, 100, 101, 102];
/// In this one etcd did not start.
const WITHOUT_HISTORY: u32 = 95;
const STEPS_MAX: u64 = 10_000_000;

#[test]
fn all_102_histories_of_etcd_get_their_known_verdicts() {
    let logs = logs();
    let (mut good, mut bad) = (0, 0);
    for number in (0..=102).filter(|&number| number != WITHOUT_HISTORY) {
        let path = logs.join(format!("etcd_{number:03}.log"));
        let operations = parse(&fs::read_to_string(&path).unwrap()).operations("etcd");
        let variable = Variable::default();
        let verdict = search(&variable, &operations, STEPS_MAX);
        assert_eq!(verdict.is_ok(), GOOD.contains(&number), "{number}: {verdict:?}");
        let oracle = etcd::history_from_log(path.to_str().unwrap().to_owned());
        assert_eq!(verdict.is_ok(), WGLChecker::<etcd::EtcdSpecification>::is_linearizable(oracle), "{number}");
        match verdict {
            guthi_sim::history::Verdict::Linearizable { order } => {
                good += 1;
                assert!(is_witness(&variable, &operations, &order), "{number}");
            }
            guthi_sim::history::Verdict::NotLinearizable(_) => bad += 1,
            guthi_sim::history::Verdict::OutOfBudget { steps } => panic!("{number}: no answer after {steps} steps"),
        }
    }
    println!("etcd: {good} linearizable, {bad} not");
    assert_eq!((good, bad), (23, 79));
}

/// Where the package lies that this test was compiled with.
fn logs() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ask = |arguments: &[&str]| {
        let output = Command::new(&cargo).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // Only what this machine needs has been downloaded, so nothing else may be asked for.
    let about = ask(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let offline = ["--offline", "--format-version", "1", "--filter-platform", host, "--manifest-path", manifest];
    let metadata: serde_json::Value = serde_json::from_str(&ask(&[&["metadata"][..], &offline].concat())).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "todc-utils").unwrap();
    let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().join("tests/linearizability/etcd")
}

/// Lines such as `INFO  jepsen.util - 3 :ok :cas [1 2]`, with tabs between the last words.
fn parse(log: &str) -> History<Call, Reply> {
    let mut history = History::new();
    for (line, time) in log.lines().zip(0..) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["INFO", "jepsen.util", "-", process, status, op, arguments @ ..] = words.as_slice() else { continue };
        let Ok(process) = process.parse() else { continue };
        let client = Client(process);
        let recorded = match (*status, *op) {
            (":invoke", _) => history.invoke(time, client, "etcd", call(op, arguments)),
            (":ok", ":read") => history.complete(time, client, Answer::Value(arguments[0].parse().ok()).into()),
            (":ok", ":write") => history.complete(time, client, Answer::Done.into()),
            (":ok", ":cas") => history.complete(time, client, Answer::Stored(true).into()),
            (":fail", ":cas") => history.complete(time, client, Answer::Stored(false).into()),
            // A read that failed has told nothing and done nothing.
            (":fail", ":read") => history.withdraw(client),
            (":info", _) => history.give_up(client),
            _ => panic!("{line}"),
        };
        recorded.unwrap();
    }
    history
}

fn call(op: &str, arguments: &[&str]) -> Call {
    let number = |index: usize| arguments[index].trim_matches(['[', ']']).parse().unwrap();
    match op {
        ":read" => Call::Get,
        ":write" => Call::Set(number(0)),
        ":cas" => Call::CompareAndSet { expected: Expected::Value(Some(number(0))), new: number(1) },
        _ => panic!("{op}"),
    }
}
