//! Compares the reading of templates with that of cfn-lint's loader, which `tests/referee/make layouts` records.

use super::read;
use serde_json::Value;

const READINGS: &str = include_str!("../../../../tests/fixtures/template/layouts.jsonl");

#[test]
fn every_layout_is_read_as_the_independent_reader_does() {
    let mut wrong = Vec::new();
    for line in READINGS.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let text = entry["text"].as_str().unwrap();
        let found = read(text).map(|node| node.to_json());
        if found.as_ref().ok() != entry.get("reading") {
            wrong.push(format!("{text:?}: {found:?}, not {:?}", entry.get("reading")));
        }
    }
    let shown = wrong.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {} are read otherwise:\n{shown}", wrong.len(), READINGS.lines().count());
}

#[test]
fn a_line_of_a_text_is_that_of_its_source() {
    let node = read("A: |\n  one\n\n  two\nB: 'x\n\n  y'\nC: short\n").unwrap();
    let lines = |key: &str| {
        let text = node.get(key).unwrap();
        let length = text.as_text().unwrap().len();
        (text.line_at(0), text.line_at(length - 1))
    };
    assert_eq!(lines("A"), (2, 4));
    assert_eq!(lines("B"), (5, 7));
    assert_eq!(lines("C"), (8, 8));
}
