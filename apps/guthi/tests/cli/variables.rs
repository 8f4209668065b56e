//! Variables that commands read and write.

use std::fs;

use serde_json::{Value, json};

use crate::kit::Home;

#[test]
fn a_variable_is_set_on_one_node_and_read_on_another() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let _ben = home.start("ben", &[]);
    home.wait_for(2, "ann");
    home.wait_for(2, "ben");
    let (code, error) = home.refused(&["var", "get", "site/limit"]);
    assert!(code == 3 && error.contains("guthi var set"), "{error}");
    home.run(&["var", "set", "site/limit", "20", "--node", "ann"]);
    assert_eq!(home.run(&["var", "get", "site/limit", "--node", "ben"]), "20\n");
    assert_eq!(home.run(&["var", "add", "site/limit", "--node", "ben"]), "21\n");
    assert_eq!(home.run(&["var", "add", "site/limit", "-30"]), "-9\n");

    let read = home.json(&["var", "get", "site/limit"]);
    assert_eq!((&read["value"], &read["shape"]), (&json!(-9), &json!("i64")));
    let version = read["version"].as_str().unwrap();
    home.run(&["var", "set", "site/limit", "30", "--if-version", version, "--node", "ben"]);
    let (code, error) = home.refused(&["var", "set", "site/limit", "40", "--if-version", version]);
    assert!(code == 5 && error.contains("does not have the version"), "{error}");
    assert_eq!(home.refused(&["var", "set", "site/limit", "40", "--new"]).0, 5);
    assert_eq!(home.refused(&["var", "set", "site/limit", "40", "--type", "u64"]).0, 5);
    let (code, error) = home.refused(&["var", "set", "site/limit", "x"]);
    assert!(code == 2 && error.contains("i64 is expected"), "{error}");
    assert_eq!(home.run(&["var", "get", "site/limit"]), "30\n");

    let table = home.run(&["var", "ls", "site/"]);
    assert!(table.starts_with("NAME") && table.contains("site/limit") && table.contains("i64"), "{table}");
    assert_eq!(home.json(&["var", "ls", "other"])["items"], json!([]));
    assert_eq!(home.json(&["var", "ls", "--contains", "lim"])["items"][0]["homes"].as_array().map(Vec::len), Some(2));
    home.run(&["var", "reset", "site/limit"]);
    home.run(&["var", "rm", "site/limit", "--node", "ben"]);
    assert_eq!(home.refused(&["var", "rm", "site/limit"]).0, 3);
    assert_eq!(home.refused(&["var", "add", "site/limit"]).0, 3);
}

#[test]
fn values_are_of_the_type_that_was_said() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    let set = |name: &str, value: &str, of_type: &[&str]| {
        home.run(&[&["var", "set", name, value], of_type].concat());
        let read = home.json(&["var", "get", name]);
        (read["value"].clone(), read["shape"].as_str().unwrap_or("?").to_owned())
    };
    assert_eq!(set("a", "18446744073709551615", &[]), (json!(u64::MAX), "u64".into()));
    assert_eq!(set("b", "1.5", &[]), (json!(1.5), "f64".into()));
    assert_eq!(set("c", "hello", &[]), (json!("hello"), "String".into()));
    assert_eq!(set("d", "true", &[]), (json!(true), "bool".into()));
    assert_eq!(set("e", "5", &["--type", "string"]), (json!("5"), "String".into()));
    assert_eq!(set("f", "{\"a\":[1]}", &["--type", "json"]), (json!({ "a": [1] }), "Json(String)".into()));
    assert_eq!(home.run(&["var", "get", "c"]), "\"hello\"\n");
    assert_eq!(home.run(&["var", "get", "c", "--raw"]), "hello\n");
    assert_eq!(home.refused(&["var", "set", "g", "[1]"]).0, 2);
    assert_eq!(home.refused(&["var", "set", "g", "1", "--type", "u63"]).0, 2);
    assert_eq!(home.refused(&["var", "set", "", "1"]).0, 2);
    home.run(&["var", "set", "h", "AQID", "--base64", "--kind", "00000000000000ff"]);
    assert_eq!(home.json(&["var", "get", "h"])["base64"], "AQID");
    assert_eq!(home.run(&["var", "get", "h"]), "AQID\n");
}

#[test]
fn they_are_exported_and_imported() {
    let home = Home::new();
    let _ann = home.start("ann", &[]);
    for number in 0..300 {
        let line = json!({ "name": format!("n/{number:03}"), "value": number });
        let file = fs::OpenOptions::new().create(true).append(true).open(home.path("in.jsonl")).unwrap();
        serde_json::to_writer(&file, &line).unwrap();
        std::io::Write::write_all(&mut &file, b"\n").unwrap();
    }
    let sum = home.json(&["var", "import", "in.jsonl"]);
    assert_eq!(sum, json!({ "imported": 300, "kept": 0, "failed": [] }));
    home.run(&["var", "set", "other", "1"]);
    home.run(&["var", "export", "n/", "--file", "out.jsonl"]);
    let text = fs::read_to_string(home.path("out.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[7]["name"], &lines[7]["value"]), (300, &json!("n/007"), &json!(7)));
    assert_eq!(home.run(&["var", "export"]).lines().count(), 301);
    home.run(&["var", "set", "n/007", "8"]);
    home.run(&["var", "import", "out.jsonl", "--keep"]);
    assert_eq!(home.run(&["var", "get", "n/007"]), "8\n");
    home.run(&["var", "import", "out.jsonl"]);
    assert_eq!(home.run(&["var", "get", "n/007"]), "7\n");
    fs::write(home.path("bad.jsonl"), "{\"name\":\"other\",\"value\":\"x\"}\n{\"name\":\"more\",\"value\":1}\n")
        .unwrap();
    let (code, error) = home.refused(&["var", "import", "bad.jsonl"]);
    assert!(code == 8 && error.contains("other: ") && error.contains("1 imported"), "{error}");
    assert_eq!(home.refused(&["var", "import", "missing.jsonl"]).0, 2);
}
