//! Compares the documents with the command line and with the schemas.

use super::command;
use lockstep_domain::schemas;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// Returns the README and each document of the folder `docs`.
fn documents() -> Vec<(String, String)> {
    let names = std::fs::read_dir(root().join("docs")).unwrap();
    let names = names.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    let names = names.filter(|name| name.ends_with(".md")).chain(["README.md".to_owned()]);
    names.map(|name| (name.clone(), read(&name))).collect()
}

/// Returns the words behind each `lockstep` that begins a code span or a line of a code block.
fn typed(text: &str) -> Vec<Vec<&str>> {
    let mut commands = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            commands.extend(line.trim_start_matches("$ ").strip_prefix("lockstep "));
        } else {
            commands
                .extend(line.split('`').skip(1).step_by(2).filter_map(|span| span.strip_prefix("lockstep ")));
        }
    }
    commands.into_iter().map(|command| command.split_whitespace().collect()).collect()
}

#[test]
fn each_command_that_a_document_names_exists() {
    let command = command();
    let mut found = 0;
    for (name, text) in documents() {
        for words in typed(&text) {
            let mut at = &command;
            let mut named = 0;
            while let Some(inner) =
                words.get(named).and_then(|word| at.find_subcommand(word.trim_end_matches([',', '.', ';'])))
            {
                (at, named) = (inner, named + 1);
            }
            let is_placeholder = words.first().is_some_and(|word| word.starts_with(['<', '-', '…']));
            assert!(named > 0 || is_placeholder, "{name}: lockstep {}", words.join(" "));
            let lacks = at.is_subcommand_required_set()
                && words.get(named).is_some_and(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
            assert!(!lacks, "{name}: lockstep {}", words.join(" "));
            found += 1;
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn the_tutorial_runs_only_commands_that_are_accepted() {
    let text = read("docs/tutorial.md").replace("<deployment>", "b643c6da");
    let commands = typed(&text);
    assert!(commands.len() > 10, "{commands:?}");
    for words in commands.iter().filter(|words| !words.join(" ").contains('<')) {
        let line = std::iter::once("lockstep").chain(words.iter().copied());
        assert!(command().try_get_matches_from(line).is_ok(), "{words:?}");
    }
}

/// Adds the names of all properties of a schema.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(keywords) => {
            if let Some(Value::Object(known)) = keywords.get("properties") {
                found.extend(known.keys().cloned());
            }
            keywords.values().for_each(|inner| properties(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| properties(inner, found)),
        _ => {}
    }
}

#[test]
fn the_reference_names_each_key_of_the_schemas() {
    let reference = read("docs/reference.md");
    let spans: Vec<&str> = reference.split('`').skip(1).step_by(2).collect();
    for schema in schemas::ALL {
        let mut keys = BTreeSet::new();
        properties(&serde_json::from_str(schema.text).unwrap(), &mut keys);
        for key in keys {
            let named = |span: &&str| span.split(['.', '[', ']']).any(|part| part == key);
            assert!(spans.iter().any(&named), "{}: {key}", schema.name);
        }
    }
}
